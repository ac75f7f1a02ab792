"""The movement family in ONNX."""
