#!/usr/bin/env bash
# One would guess: `fold_constants` of onnx-graphsurgeon makes a constant of the `Shape` of a tensor of known shape, with
# the numbers that the operator gives.
#
# What happens: it takes the whole shape. `Shape` has `start` and `end` since opset 15, and they are ignored, also where a
# `Gather` picks one of the numbers.
#
# Seen with onnx-graphsurgeon 0.6.1 and onnxruntime 1.32.0: of a tensor of 2x3x4, `Shape` with start=1 is [3, 4] before, and
# [2, 3, 4] after. Its second number is 4 before and 3 after.
#
# Why it matters: it is the usual step before TensorRT. A size that is picked becomes that of another axis, and no error
# says so where a `Reshape` or a division goes on with it.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    onnx-graphsurgeon==0.6.1 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - 2> "$folder/log" <<'PROGRAM' || { cat "$folder/log"; exit 1; }
import numpy as np
import onnx_graphsurgeon
import onnxruntime
from onnx import checker, parser

text = """
<ir_version: 10, opset_import: ["": 21]>
sizes (float[2, 3, 4] x) => (int64[n] y, int64 second)
{
    one = Constant <value = int64 {1}> ()
    y = Shape <ATTRIBUTE> (x)
    second = Gather (y, one)
}
"""


def run(model):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    shape, second = session.run(None, {"x": np.zeros((2, 3, 4), np.float32)})
    return shape.tolist(), int(second)


def before_and_after(attribute):
    model = parser.parse_model(text.replace("ATTRIBUTE", attribute))
    checker.check_model(model, full_check=True)
    graph = onnx_graphsurgeon.import_onnx(model).fold_constants().cleanup()
    return run(model), run(onnx_graphsurgeon.export_onnx(graph))


for attribute, expected in (("start = 0", ([2, 3, 4], 3)), ("start = 1", ([3, 4], 4)), ("end = -1", ([2, 3], 3))):
    before, after = before_and_after(attribute)
    print(attribute, "before", before, "after", after)
    assert before == expected
    assert after == ([2, 3, 4], 3), "start and end count now"
PROGRAM
