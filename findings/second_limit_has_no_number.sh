#!/usr/bin/env bash
# One would guess: the optimizer of onnxscript gives back a model that loads, if it was given one.
#
# What happens: it makes one `Clip` of a `Max` and a `Min`, and names the new limits after the tensor that goes in. Where one
# tensor is limited twice, both have the same name, and the second limit is not in the model. Two `Flatten` of one tensor have
# the same fault.
#
# Seen with onnxscript 0.7.2 and onnxruntime 1.32.0: a model with x limited to [0, 6] and to [-1, 1] does not load after
# `optimize`, since "x_min_1" is nowhere. With either of them alone it does.
#
# Why it matters: the exporter of PyTorch calls this optimizer by default. The error names a tensor that nobody wrote, and comes
# from another library.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    onnxscript==0.7.2 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - 2> "$folder/log" <<'PROGRAM' || { cat "$folder/log"; exit 1; }
import numpy as np
import onnxruntime
from onnx import checker, parser
from onnxscript import optimizer

HEAD = '<ir_version: 10, opset_import: ["": 20]>\n'
LIMITED = HEAD + """
limited (float[3] x) => (float[3] y, float[3] z)
<float zero = {0}, float six = {6}, float minus = {-1}, float one = {1}>
{
    low = Max (x, zero)
    y = Min (low, six)
    high = SECOND (x, minus)
    z = Min (high, one)
}
"""
FLAT = HEAD + """
flat (float[2, 3, 4] x) => (float[2, 12] y, float[SHAPE] z)
{
    y = Flatten <axis = 1> (x)
    z = SECOND (x)
}
"""


def loads(text, second):
    """The message of onnxruntime for the optimized model; None if it loads."""
    shape = "6, 4" if second.startswith("Flatten") else "2, 3, 4"
    model = parser.parse_model(text.replace("SECOND", second).replace("SHAPE", shape))
    checker.check_model(model, full_check=True)
    onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    optimized = optimizer.optimize(model).SerializeToString()
    try:
        onnxruntime.InferenceSession(optimized, providers=["CPUExecutionProvider"])
    except Exception as error:
        return str(error)
    return None


seen = {second: loads(text, second) for text, second in (
    (LIMITED, "Add"), (LIMITED, "Max"), (FLAT, "Relu"), (FLAT, "Flatten <axis = 2>")
)}
for second, message in seen.items():
    print(second, message)
assert seen["Add"] is seen["Relu"] is None
assert "x_min_1" in (seen["Max"] or ""), "a tensor may be limited twice now"
assert "x/shape_1" in (seen["Flatten <axis = 2>"] or ""), "a tensor may be flattened twice now"
PROGRAM
