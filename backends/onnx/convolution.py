"""The convolution family in ONNX."""
