#!/usr/bin/env bash
# One would guess: the largest of some numbers is one of them, and a maximum over -infinity is -infinity, as `ReduceMax`
# says.
#
# What happens: `MaxPool` and `GlobalMaxPool` begin with the lowest finite number, and keep it where nothing is larger.
#
# Seen with onnxruntime 1.32.0 on the CPU: of values that are all -infinity, both give -3.4e38, over one, two and three
# axes. `ReduceMax` gives -infinity.
#
# Why it matters: -infinity marks what is masked or absent. -3.4e38 is finite: a softmax over such values gives equal
# weights to places that do not exist, where NaN would tell, and a test for infinity behind the pool finds none.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import numpy as np
import onnxruntime
from onnx import TensorProto, checker, helper


def pooled(op_type, value, axes, **attributes):
    shape = [1, 1] + [2] * axes
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * len(shape))
    graph = helper.make_graph([helper.make_node(op_type, ["x"], ["y"], **attributes)], "pool", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": np.full(shape, value, np.float32)})[0].item()


seen = {}
for axes in (1, 2, 3):
    local = pooled("MaxPool", -np.inf, axes, kernel_shape=[2] * axes)
    seen[axes] = local, pooled("GlobalMaxPool", -np.inf, axes), pooled("ReduceMax", -np.inf, axes)
print(seen)
lowest = float(np.finfo(np.float32).min)
assert all(reduced == -np.inf for _, _, reduced in seen.values())
for local, everywhere, _ in seen.values():
    assert local == lowest, "the maximum of a window is one of its numbers now"
    assert everywhere == lowest, "the maximum of a plane is one of its numbers now"
PROGRAM
