#!/usr/bin/env bash
# One would guess: QuantizeLinear rounds x / scale, halves to even, and adds the zero point, as ONNX says.
#
# What happens: OpenVINO adds the zero point first, and rounds the sum. With an odd zero point, halves go the other way.
#
# Seen with openvino 2026.4.1 on x86-64, a scale of 1 and halves from -1.5 to 3.5: with a zero point of 128, OpenVINO and
# onnxruntime 1.32.0 agree. With one of 3, onnxruntime gives [1, 3, 3, 5, 5, 7] and OpenVINO [2, 2, 4, 4, 6, 6].
#
# Why it matters: pixels divided by a scale of 2 are halves, half of the time. A whole step of difference in each of them hides
# what else differs between two runtimes, and depends on the zero point of each layer.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check openvino==2026.4.1 onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6

"$folder/venv/bin/python" - <<'PROGRAM'
import numpy as np
import onnxruntime
import openvino
from onnx import checker, parser
from onnx.reference import ReferenceEvaluator

x = np.float32([-1.5, -0.5, 0.5, 1.5, 2.5, 3.5])
core = openvino.Core()
seen = {}
for zero_point in (128, 3):
    text = f"""
    <ir_version: 10, opset_import: ["": 21]>
    network (float[6] x) => (uint8[6] y) <float scale = {{1.0}}, uint8 zero_point = {{{zero_point}}}>
    {{ y = QuantizeLinear (x, scale, zero_point) }}
    """
    model = parser.parse_model(text)
    checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    compiled = core.compile_model(core.read_model(model.SerializeToString()), "CPU")
    expected = (np.rint(x) + zero_point).astype(np.uint8)
    assert (session.run(None, {"x": x})[0] == expected).all()
    assert (ReferenceEvaluator(model).run(None, {"x": x})[0] == expected).all()
    seen[zero_point] = (expected.tolist(), compiled({"x": x})[0].tolist())
print(seen)
assert seen[128][0] == seen[128][1]
assert seen[3] == ([1, 3, 3, 5, 5, 7], [2, 2, 4, 4, 6, 6]), "the zero point is added after rounding now"
PROGRAM
