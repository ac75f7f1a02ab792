"""The WebGPU backend: graphs lowered to ONNX, run by onnxruntime's execution provider of that name."""
