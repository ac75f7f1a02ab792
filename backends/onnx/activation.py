"""The activation family in ONNX."""
