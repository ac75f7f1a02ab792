"""The functions that import ONNX operators, one module per family."""
