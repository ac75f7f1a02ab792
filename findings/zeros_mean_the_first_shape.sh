#!/usr/bin/env bash
# One would guess: a 0 in the shape of a `Reshape` takes the size from the array that this `Reshape` gets.
#
# What happens: OpenCV makes one of two that follow each other, and takes the size from what the first one gets.
#
# Seen with opencv-python-headless 5.0.0.93: [1, 4, 2] to [1, 2, 2, 2] to [0, 0, -1] is [1, 4, 2], and the sums over its last
# axis are four numbers. The standard and onnxruntime 1.32.0 say [1, 2, 4], and two numbers, as the model declares it.
#
# Why it matters: the body that ONNX gives for `GroupNormalization` has these two steps. Spelled out in this way, it
# normalizes each channel on its own.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    opencv-python-headless==5.0.0.93 onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6

"$folder/venv/bin/python" - <<'PROGRAM'
import cv2
import numpy as np
import onnxruntime
from onnx import checker, parser

model = parser.parse_model("""
<ir_version: 10, opset_import: ["": 18]>
groups (float[1, 4, 2] x) => (float[1, 2, 1] y)
<int64[4] first = {1, 2, 2, 2}, int64[3] second = {0, 0, -1}, int64[1] last = {2}>
{
    split = Reshape (x, first)
    joined = Reshape (split, second)
    y = ReduceSum (joined, last)
}
""")
checker.check_model(model, full_check=True)
file = model.SerializeToString()
x = np.arange(8, dtype=np.float32).reshape(1, 4, 2)
expected = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]
network = cv2.dnn.readNetFromONNX(np.frombuffer(file, np.uint8))
network.setInput(x, "x")
seen = network.forward()
print(expected.tolist(), seen.tolist())
assert expected.tolist() == [[[6], [22]]]
assert seen.tolist() == [[[1], [5], [9], [13]]], "the sizes are those of the second input now"
PROGRAM
