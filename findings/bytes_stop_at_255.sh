#!/usr/bin/env bash
# One would guess: sums and products of uint8 and int8 wrap around, as in NumPy, PyTorch and onnxruntime.
#
# What happens: OpenVINO's CPU plugin saturates them. Those of int32 wrap around.
#
# Seen with openvino 2026.4.1 on x86-64: 200 + 100 is 255 (44 in onnxruntime 1.32.0), 20 - 100 is 0 (176), and 20 * 100 is 255
# (208), in uint8. In int8, 120 + 100 is 127 (-36).
#
# Why it matters: checksums, hashes and differences of images count on the lowest bits, and a model that was tested in one
# runtime gives other images in the other.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check openvino==2026.4.1 onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import numpy as np
import onnxruntime
import openvino
from onnx import checker, parser

core = openvino.Core()


def results(operator, a, b):
    """What onnxruntime and OpenVINO give."""
    data_type = a.dtype.name
    text = f"""
    <ir_version: 10, opset_import: ["": 21]>
    network ({data_type}[1] a, {data_type}[1] b) => ({data_type}[1] y) {{ y = {operator} (a, b) }}
    """
    model = parser.parse_model(text)
    checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    compiled = core.compile_model(core.read_model(model.SerializeToString()), "CPU")
    return session.run(None, {"a": a, "b": b})[0].item(), compiled({"a": a, "b": b})[0].item()


seen = {
    "200 + 100": results("Add", np.uint8([200]), np.uint8([100])),
    "20 - 100": results("Sub", np.uint8([20]), np.uint8([100])),
    "20 * 100": results("Mul", np.uint8([20]), np.uint8([100])),
    "120 + 100": results("Add", np.int8([120]), np.int8([100])),
}
print(seen)
assert results("Add", np.int32([2**31 - 1]), np.int32([1])) == (-(2**31), -(2**31))
assert [right for right, _ in seen.values()] == [44, 176, 208, -36]
assert [other for _, other in seen.values()] == [255, 0, 255, 127], "the results wrap around now"
PROGRAM
