"""The bytes of an ONNX file: parsed without its weights, which stay where they lie."""
