#!/usr/bin/env bash
# One would guess: a model that onnx.version_converter has brought to a newer opset computes what it did before, or the
# converter refuses it.
#
# What happens: for operators whose meaning changed, it raises the version and leaves the node as it is. Resize of opset
# 10, and Upsample before it, map coordinates in another way than Resize of opset 11 does without its new attribute;
# Hardmax of opset 11 flattens what Hardmax of opset 13 takes row by row.
#
# Seen with onnx 1.23.2, before and after computed by onnxruntime 1.32.0: a linear Upsample of [0, 1] by 2 gives
# [0, 0.5, 1, 1] in opset 9 and [0, 0.25, 0.75, 1] in opset 11, and so does Resize from opset 10; Hardmax of 2x2 numbers
# along axis 1 of [1, 2, 2] has one 1 in opset 11 and two in opset 13.
#
# Why it matters: old segmentation and detection models are converted to run at all, and lose accuracy without a word.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6

"$folder/venv/bin/python" - <<'PROGRAM'
import numpy as np
import onnxruntime
from onnx import checker, parser, version_converter


def run(model, x):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0].ravel().tolist()


def before_and_after(body, opset, newer, x):
    shape = ", ".join(map(str, x.shape))
    text = f'<ir_version: 8, opset_import: ["": {opset}]> old (float[{shape}] x) => (float[a, b, c, d] y) {{ {body} }}'
    model = parser.parse_model(text.replace("[a, b, c, d]", "[a, b, c]") if x.ndim == 3 else text)
    checker.check_model(model)
    return run(model, x), run(version_converter.convert_version(model, newer), x)


row = np.array([0, 1], np.float32).reshape(1, 1, 1, 2)
scales = "scales = Constant <value = float[4] {1.0, 1.0, 1.0, 2.0}> ()"
seen = [
    before_and_after(f'{scales} y = Upsample <mode = "linear"> (x, scales)', 9, 11, row),
    before_and_after(f'{scales} y = Resize <mode = "linear"> (x, scales)', 10, 11, row),
    before_and_after("y = Hardmax <axis = 1> (x)", 11, 13, np.array([[[1, 2], [4, 3]]], np.float32)),
]
print(*seen, sep="\n")
for before, after in seen[:2]:
    assert before == [0, 0.5, 1, 1] and after == [0, 0.25, 0.75, 1], "the converter names the old mapping now"
before, after = seen[2]
assert before == [0, 0, 1, 0] and sum(after) == 2, "the converter flattens for Hardmax now"
PROGRAM
