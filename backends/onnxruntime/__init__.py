"""The default backend: graphs lowered to ONNX, run by ONNX Runtime with buffers bound in place."""
