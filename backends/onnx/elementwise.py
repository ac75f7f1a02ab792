"""Element-wise arithmetic in ONNX."""

from webnn.backends.onnx.lowerings import one_to_one

one_to_one({"add": "Add"})
