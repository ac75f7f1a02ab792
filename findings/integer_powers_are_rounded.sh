#!/usr/bin/env bash
# One would guess: Pow of integers gives integers that are exact as long as they fit, and wraps like Mul where they do not.
#
# What happens: Pow computes in float64 and converts the result back. An int64 result above 2**53 is rounded to the
# nearest float64, and an int32 result that does not fit becomes the lowest int32, where Mul wraps.
#
# Seen with onnxruntime 1.32.0 on the CPU: int64 3**39 is 4052555153018976256 instead of ...267, (2**31 + 1)**2 is
# 4611686022722355200 instead of ...201, and int32 3**20 is -2147483648 instead of -808182895. The same square by Mul is
# exact.
#
# Why it matters: Pow(x, 2) and Mul(x, x) are taken for the same, and hashes and ids that are computed in a graph come
# out different from what NumPy, the ONNX reference evaluator or a graph without Pow give.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6

"$folder/venv/bin/python" - <<'PROGRAM'
import numpy as np
import onnxruntime
from onnx import checker, helper


def compute(op_type, x, y):
    kind = helper.np_dtype_to_tensor_dtype(x.dtype)
    infos = [helper.make_tensor_value_info(name, kind, [None]) for name in "xyz"]
    graph = helper.make_graph([helper.make_node(op_type, ["x", "y"], ["z"])], "one_node", infos[:2], infos[2:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x, "y": y})[0]


base, exponent = np.array([3, 2**31 + 1]), np.array([39, 2])
powers = compute("Pow", base, exponent)
square = compute("Mul", base[1:], base[1:])
small = compute("Pow", np.array([3], np.int32), np.array([20], np.int32))
print(powers, square, small, base**exponent)
assert powers.tolist() == [4052555153018976256, 4611686022722355200], "Pow of int64 is exact now"
assert square.tolist() == [4611686022722355201] and (base**exponent).tolist() == [3**39, (2**31 + 1) ** 2]
assert small.tolist() == [-(2**31)], "Pow of int32 wraps now"
PROGRAM
