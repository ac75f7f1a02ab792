#!/usr/bin/env bash
# One would guess: OpenVINO computes a model with int64 or float64 inputs and outputs in these types, or refuses it.
#
# What happens: its CPU plugin computes in int32 and float32, and converts the result back. An int64 input loses its upper
# half, an int64 constant stops at the largest int32, and a float64 stops at the largest float32. The outputs are int64
# and float64 as declared, and nothing is said.
#
# Seen with openvino 2026.4.1: (2**40 + 1) + 1 is 2, 2**20 * 2**20 of constants is 2147483647, 1e300 + 0 is 3.4e38 and
# 1e-300 * 2 is 0, also with INFERENCE_PRECISION_HINT=f32 and EXECUTION_MODE_HINT=ACCURACY.
#
# Why it matters: token positions, hashes, time stamps and row numbers above 2**31 come out wrong in silence.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check openvino==2026.4.1 numpy==2.4.6

"$folder/venv/bin/python" - <<'PROGRAM'
import numpy as np
import openvino
from openvino import opset15

core = openvino.Core()
options = {"INFERENCE_PRECISION_HINT": "f32", "EXECUTION_MODE_HINT": "ACCURACY"}


def compute(function, array):
    x = opset15.parameter(array.shape, array.dtype.type)
    compiled = core.compile_model(openvino.Model([function(x)], [x]), "CPU", options)
    result = compiled([array])[0]
    assert result.dtype == array.dtype
    return result.tolist()


big = opset15.constant(np.array([2**20]))
seen = [
    compute(lambda x: opset15.add(x, opset15.constant(np.array([1]))), np.array([2**40 + 1])),
    compute(lambda x: opset15.add(x, opset15.multiply(big, big)), np.array([0])),
    compute(lambda x: opset15.add(x, opset15.constant(np.array([0.0]))), np.array([1e300])),
    compute(lambda x: opset15.multiply(x, opset15.constant(np.array([2.0]))), np.array([1e-300])),
]
print(seen)
assert seen[0] == [2] and seen[1] == [2**31 - 1], "int64 has 64 bits now"
assert 3e38 < seen[2][0] < 4e38 and seen[3] == [0], "float64 has 64 bits now"
PROGRAM
