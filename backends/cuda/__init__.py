"""Graphs on NVIDIA GPUs, by onnxruntime's execution providers for CUDA and TensorRT."""
