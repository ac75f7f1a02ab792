"""What each ONNX operator becomes in WebNN, one module per family."""
