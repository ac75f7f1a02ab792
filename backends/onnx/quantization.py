"""The quantization family in ONNX."""
