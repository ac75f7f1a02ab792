"""Graphs on NVIDIA GPUs, by TensorRT itself."""
