#!/usr/bin/env bash
# One would guess: a layer normalization gives numbers with a standard deviation of 1, whatever their mean was.
#
# What happens: OpenCV takes the variance of a `LayerNormalization` as the mean of the squares less the square of the mean, in
# float32. Of two large numbers nearly nothing is left. Its `InstanceNormalization` and `GroupNormalization` subtract the mean
# first.
#
# Seen with opencv-python-headless 5.0.0.93: [10000, 10001, 10002, 10003] becomes [-474, -158, 158, 474], and 64 numbers
# around 5000 with a deviation of 1 get one of 288. onnxruntime 1.32.0 has [-1.34, -0.45, 0.45, 1.34], and 1.0.
#
# Why it matters: the stream between the layers of a transformer has channels far from 0, and every block begins with this
# operator.
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


def normalized(row):
    """The row by onnxruntime and by OpenCV."""
    size = len(row)
    model = parser.parse_model(f"""
    <ir_version: 10, opset_import: ["": 18]>
    normalization (float[1, {size}] x, float[{size}] scale) => (float[1, {size}] y) {{ y = LayerNormalization (x, scale) }}
    """)
    checker.check_model(model, full_check=True)
    file = model.SerializeToString()
    feeds = {"x": row[None], "scale": np.ones(size, np.float32)}
    network = cv2.dnn.readNetFromONNX(np.frombuffer(file, np.uint8))
    for name, array in feeds.items():
        network.setInput(array, name)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return session.run(None, feeds)[0][0], network.forward()[0]


noise = np.random.default_rng(0).normal(size=64)
deviations = {mean: [y.std().item() for y in normalized((mean + noise).astype(np.float32))] for mean in (0, 100, 5000)}
steps = normalized(np.float32([10000, 10001, 10002, 10003]))
print(deviations, *steps)
for mean, (expected, seen) in deviations.items():
    assert abs(expected - 1) < 1e-3
    assert (abs(seen - 1) < 2e-2) == (mean < 5000), "the mean is subtracted first now"
np.testing.assert_allclose(steps[0], [-1.3416, -0.4472, 0.4472, 1.3416], rtol=1e-3)
np.testing.assert_allclose(steps[1], [-474.34, -158.11, 158.11, 474.34], rtol=1e-3)
PROGRAM
