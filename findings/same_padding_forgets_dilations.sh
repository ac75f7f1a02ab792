#!/usr/bin/env bash
# One would guess: auto_pad SAME_UPPER gives an output of the input's size divided by the stride, which is its name and
# the formula in the documentation of MaxPool.
#
# What happens: onnxruntime pads for the window without its dilations, so the output is smaller. ONNX's shape inference
# keeps to the formula.
#
# Seen with onnxruntime 1.32.0 on the CPU: a window of 3x3 with dilations of 2 over 7x7 gives 5x5; shape inference of
# onnx 1.23.2 says 7x7. Conv refuses the same combination with an error.
#
# Why it matters: a tool that plans buffers or writes declared shapes by shape inference is wrong about the runtime.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6

"$folder/venv/bin/python" - <<'PROGRAM'
import numpy as np
import onnxruntime
from onnx import checker, parser, shape_inference

text = """
<ir_version: 10, opset_import: ["": 21]>
pooled (float[1, 1, 7, 7] x) => (float[1, 1, H, W] y)
{
    y = MaxPool <auto_pad = "SAME_UPPER", kernel_shape = [3, 3], dilations = [2, 2]> (x)
}
"""
model = parser.parse_model(text)
checker.check_model(model)
session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
seen = session.run(None, {"x": np.zeros((1, 1, 7, 7), np.float32)})[0].shape
model.graph.output[0].type.tensor_type.ClearField("shape")
inferred = shape_inference.infer_shapes(model).graph.output[0].type.tensor_type.shape
inferred = tuple(dimension.dim_value for dimension in inferred.dim)
print(seen, inferred)
assert inferred == (1, 1, 7, 7)
assert seen == (1, 1, 5, 5), "onnxruntime pads for dilated windows now"
PROGRAM
