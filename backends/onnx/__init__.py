"""A graph as an ONNX model, for backends that read ONNX and for export. One module for each family of operators."""
