"""Executes a graph by onnxruntime's OpenVINO execution provider, on Intel's processors and accelerators."""
