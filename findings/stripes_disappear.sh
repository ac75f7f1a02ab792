#!/usr/bin/env bash
# One would guess: a Resize with `antialias = 1` averages the pixels that it leaves out, or is refused.
#
# What happens: OpenVINO reads the model, ignores the attribute, and takes the two or four nearest pixels.
#
# Seen with openvino 2026.4.1 on x86-64: [0, 0, 0, 8, 0, 0, 0, 4], made four times smaller, is [0, 0] with mode "linear", with
# antialias as well as without. onnxruntime 1.32.0 and the reference evaluator of onnx 1.23.2 give [1.25, 1.875] with antialias.
#
# Why it matters: this is how models that take images of any size make them smaller, as PIL does. Thin lines disappear, or
# patterns of them turn up, and the network sees other images than those it was trained with.
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

stripes = np.float32([[[[0, 0, 0, 8, 0, 0, 0, 4]]]])
core = openvino.Core()
seen = {}
for antialias in (0, 1):
    text = f"""
    <ir_version: 10, opset_import: ["": 19]>
    network (float[1,1,1,8] x) => (float[1,1,1,2] y) <float[4] scales = {{1.0, 1.0, 1.0, 0.25}}>
    {{ y = Resize <antialias = {antialias}, mode = "linear"> (x, , scales) }}
    """
    model = parser.parse_model(text)
    checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    compiled = core.compile_model(core.read_model(model.SerializeToString()), "CPU")
    results = session.run(None, {"x": stripes})[0], ReferenceEvaluator(model).run(None, {"x": stripes})[0], compiled({"x": stripes})[0]
    seen[antialias] = [result.ravel().tolist() for result in results]
    print(f"antialias = {antialias}: onnxruntime, reference evaluator, OpenVINO: {seen[antialias]}")
assert seen[0] == [[0, 0]] * 3
assert seen[1][:2] == [[1.25, 1.875]] * 2
assert seen[1][2] == [0, 0], "antialias is respected now"
PROGRAM
