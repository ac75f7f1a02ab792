"""The recurrent family in ONNX."""
