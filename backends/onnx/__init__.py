"""A graph as an ONNX model: used by the onnxruntime, TensorRT and export paths. One module per operator family."""
