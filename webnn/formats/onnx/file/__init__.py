"""Reading ONNX files. Models are parsed without their weights, which stay in the file."""
