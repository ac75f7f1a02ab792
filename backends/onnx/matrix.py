"""The matrix family in ONNX."""
