#!/usr/bin/env bash
# One would guess: a GRU with `direction="reverse"` reads its sequence from the end, or is refused.
#
# What happens: OpenCV reads it from the beginning. For an LSTM, the outputs of all steps are right, but the final state is
# that of the last step in time, which has seen one step only.
#
# Seen with opencv-python-headless 5.0.0.93: the GRU gives to the last bit what it gives with `direction="forward"`, and the
# LSTM's `Y_h` is `Y[-1]` instead of `Y[0]`. onnxruntime 1.32.0 reads from the end. With "bidirectional", both agree.
#
# Why it matters: speech and text models have such layers, and an exported stack of them may spell out the two directions.
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

values = np.random.default_rng(0).normal(size=(3, 8, 2)).astype(np.float32)
feeds = {"x": values[0, :3, None], "w": values[1:2], "r": values[2:]}


def outputs(operator, direction):
    """Y and Y_h of a layer of two units, by onnxruntime and by OpenCV."""
    gates = {"GRU": 6, "LSTM": 8}[operator]
    data = {"x": feeds["x"], "w": feeds["w"][:, :gates].copy(), "r": feeds["r"][:, :gates].copy()}
    model = parser.parse_model(f"""
    <ir_version: 10, opset_import: ["": 18]>
    recurrent (float[3, 1, 2] x, float[1, {gates}, 2] w, float[1, {gates}, 2] r) => (float[3, 1, 1, 2] y, float[1, 1, 2] h)
    {{ y, h = {operator} <hidden_size = 2, direction = "{direction}"> (x, w, r) }}
    """)
    checker.check_model(model, full_check=True)
    file = model.SerializeToString()
    expected = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"]).run(None, data)
    network = cv2.dnn.readNetFromONNX(np.frombuffer(file, np.uint8))
    for name, array in data.items():
        network.setInput(array, name)
    return expected, network.forward(["y", "h"])


def same(a, b):
    return np.allclose(a, b, rtol=1e-4, atol=1e-6)


for operator in ("GRU", "LSTM"):
    (y, h), (forward, state) = outputs(operator, "forward")
    assert same(y, forward) and same(h, state) and same(h, y[-1])
    (y, h), (reverse, state) = outputs(operator, "reverse")
    print(operator, y.ravel(), reverse.ravel(), h.ravel(), state.ravel())
    assert same(h, y[0])
    if operator == "GRU":
        assert (reverse == forward).all() and not same(y, reverse), "the direction counts now"
    else:
        assert same(y, reverse) and same(state, y[-1]) and not same(state, h), "the final state is right now"
PROGRAM
