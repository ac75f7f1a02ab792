"""Compositions of WebNN operators that several ONNX operators share."""
