"""The normalization family in ONNX."""
