#!/usr/bin/env bash
# One would guess: an array in the other byte order is converted, as NumPy does in every operation, or refused.
#
# What happens: onnxruntime compares the data type by its kind and size only, and computes with the bytes as they lie. So
# do openvino's Tensor and constants, while its call with an array converts.
#
# Seen with onnxruntime 1.32.0 and openvino 2026.4.1: Neg of [1, 2, 3] in '>f4' is [-4.6e-41, -9.0e-44, -2.3e-41], and of
# [1, 2] in '>i8' it is [-2**56, -2**57]. JAX 0.10.2 and onnx 1.23.2 raise an error.
#
# Why it matters: FITS and NetCDF files, the IDX files of MNIST and much of `np.fromfile(..., ">f4")` are big-endian.
# Subnormal numbers come out of it, which look like zeros.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    onnxruntime==1.32.0 openvino==2026.4.1 onnx==1.23.2 numpy==2.4.6

"$folder/venv/bin/python" - <<'PROGRAM'
import numpy as np
import onnxruntime
import openvino
from onnx import checker, parser
from openvino import opset15


def negative(kind, x):
    text = f'<ir_version: 10, opset_import: ["": 21]> negative ({kind}[N] x) => ({kind}[N] y) {{ y = Neg (x) }}'
    model = parser.parse_model(text)
    checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


numbers = np.array([1, 2, 3], ">f4")
integers = np.array([1, 2], ">i8")
x = opset15.parameter([3], np.float32)
compiled = openvino.Core().compile_model(openvino.Model([opset15.negative(x)], [x]), "CPU")
called, held = compiled([numbers])[0], openvino.Tensor(numbers).data
floats, whole = negative("float", numbers), negative("int64", integers)
print(floats, whole, held, called, -numbers)
assert (-numbers).tolist() == called.tolist() == [-1, -2, -3]
backwards = numbers.view("<f4")
assert held.tolist() == backwards.tolist(), "openvino.Tensor converts or refuses it now"
assert floats.tolist() == (-backwards).tolist(), "onnxruntime converts or refuses it now"
assert whole.tolist() == [-(2**56), -(2**57)]
PROGRAM
