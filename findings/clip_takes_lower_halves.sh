#!/usr/bin/env bash
# One would guess: `Clip` of int64 bounds its input, whatever its size.
#
# What happens: it compares the lower 32 bits of a number only. -4147483648 between -2 and 3 stays as it is, since its
# lower half is 147483648. `Max` and `Min` of int64 do the same.
#
# Seen with onnxruntime 1.27.0 on the CPU (x86-64 with AVX-512), and so in onnxruntime-webgpu 1.27.0, which contains that
# CPU provider. onnxruntime 1.32.0 is right.
#
# Why it matters: indices and sizes are int64, and a guard against values out of range lets some of them pass.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnxruntime==1.27.0 onnx==1.23.2 numpy==2.4.6

"$folder/venv/bin/python" - <<'PROGRAM'
import numpy as np
import onnxruntime
from onnx import TensorProto, checker, helper, numpy_helper

x = np.array([-4147483648, 5, -1, 3, 2**40, -(2**40), 2, 7], np.int64)
given, made = (helper.make_tensor_value_info(name, TensorProto.INT64, x.shape) for name in "xy")
bounds = [numpy_helper.from_array(np.array(bound, np.int64), name) for name, bound in (("low", -2), ("high", 3))]
graph = helper.make_graph([helper.make_node("Clip", ["x", "low", "high"], ["y"])], "clip", [given], [made], bounds)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
checker.check_model(model)
session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
found, expected = session.run(None, {"x": x})[0], np.clip(x, -2, 3)
print("found   ", found.tolist())
print("expected", expected.tolist())
assert found[0] == -4147483648, "Clip of int64 is right now: `_WRONG` in backends/webgpu/kernels.py may go"
assert (found[1:] == expected[1:]).all()
PROGRAM
