"""The resampling family in ONNX."""
