#!/usr/bin/env bash
# One would guess: a sum over all axes but that of the channels counts each number of a batch once.
#
# What happens: OpenCV's reductions over three axes of which the first two do not touch, such as 0, 2 and 3, read the second
# image in place of the third and all later ones. Batches of one and two, and sums over two axes, are right.
#
# Seen with opencv-python-headless 5.0.0.93: three images of two channels with the numbers [1, 2], [4, 8] and [16, 32] have
# the sums [9, 18], which are 1 + 4 + 4 and 2 + 8 + 8, and the maxima [4, 8]. onnxruntime 1.32.0 has [21, 42] and [16, 32].
#
# Why it matters: means over batch, height and width are those of batch and channel normalizations. A test with one image or
# two does not show it.
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


def reduced(operator, images):
    """The result for each channel by onnxruntime and by OpenCV."""
    model = parser.parse_model(f"""
    <ir_version: 10, opset_import: ["": 18]>
    channels (float[{len(images)}, 2, 1, 1] x) => (float[1, 2, 1, 1] y) <int64[3] axes = {{0, 2, 3}}>
    {{ y = {operator} (x, axes) }}
    """)
    checker.check_model(model, full_check=True)
    file = model.SerializeToString()
    x = np.array(images, np.float32).reshape(-1, 2, 1, 1)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    network = cv2.dnn.readNetFromONNX(np.frombuffer(file, np.uint8))
    network.setInput(x, "x")
    return session.run(None, {"x": x})[0].ravel().tolist(), network.forward().ravel().tolist()


images = [[1, 2], [4, 8], [16, 32]]
seen = {operator: reduced(operator, images) for operator in ("ReduceSum", "ReduceMax")}
print(seen)
assert reduced("ReduceSum", images[:2]) == ([5, 10], [5, 10])
assert seen["ReduceSum"] == ([21, 42], [9, 18]), "the third image counts now"
assert seen["ReduceMax"] == ([16, 32], [4, 8])
PROGRAM
