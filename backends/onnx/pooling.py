"""The pooling family in ONNX."""
