#!/usr/bin/env bash
# One would guess: int32 numbers are equal if they are the same, and quotients and remainders of int32 are exact.
#
# What happens: OpenVINO's CPU plugin compares and divides int32 in float32, which has 24 bits. Sums, products, maxima and
# minima are exact.
#
# Seen with openvino 2026.4.1 on x86-64: 16777216 == 16777217 is true, and < is false. 16777216 / 16777217 is 1, and the
# remainder is 0 instead of 16777216. onnxruntime 1.32.0 gives false, true, 0 and 16777216.
#
# Why it matters: identifiers, hashes, times and flat positions in large tensors are such numbers. A mask of equal identifiers
# has matches that are none.
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

a, b = np.int32([16777216]), np.int32([16777217])
core = openvino.Core()
seen = {}
for operator in ("Equal", "Less", "Div", "Mod", "Add", "Max"):
    data_type = "bool" if operator in ("Equal", "Less") else "int32"
    text = f"""
    <ir_version: 10, opset_import: ["": 21]>
    network (int32[1] a, int32[1] b) => ({data_type}[1] y) {{ y = {operator} (a, b) }}
    """
    model = parser.parse_model(text)
    checker.check_model(model, full_check=True)
    model = model.SerializeToString()
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    compiled = core.compile_model(core.read_model(model), "CPU")
    seen[operator] = (session.run(None, {"a": a, "b": b})[0].item(), compiled({"a": a, "b": b})[0].item())
print(seen)
assert seen["Add"] == (33554433, 33554433) and seen["Max"] == (16777217, 16777217)
assert seen["Equal"] == (False, True) and seen["Less"] == (True, False), "int32 is compared exactly now"
assert seen["Div"] == (0, 1) and seen["Mod"] == (16777216, 0), "int32 is divided exactly now"
PROGRAM
