"""The logic family in ONNX."""
