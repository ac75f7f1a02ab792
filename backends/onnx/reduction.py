"""The reduction family in ONNX."""
