#!/usr/bin/env bash
# One would guess: onnxoptimizer drops the first of two `Reshape` in a row only if the second one does not depend on it.
#
# What happens: it always drops it. A 0 in the shape of the second `Reshape` stands for the size that comes out of the
# first one, and takes that of the original tensor then. Sizes that are no longer the same are no error.
#
# Seen with onnxoptimizer 0.4.2, onnx 1.23.2 and onnxruntime 1.32.0: a tensor of 1x4x2, reshaped to two groups by [1, 2,
# 2, 2] and then by [0, 0, -1], becomes 1x4x2 in place of 1x2x4. Its means over the last axis are four in place of two.
# With `optimize(model)` as it is, and with the pass `eliminate_consecutive_idempotent_ops` alone. Other passes leave
# the model as it is.
#
# Why it matters: `GroupNormalization` of opset 21, expanded by its own definition in ONNX, holds these two nodes. It
# becomes an instance normalization: the shapes of its results are right, and the numbers are not.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    onnxoptimizer==0.4.2 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import numpy as np
import onnxoptimizer
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

x = np.arange(8, dtype=np.float32).reshape(1, 4, 2)
nodes = [
    helper.make_node("Reshape", ["x", "groups"], ["grouped"]),
    helper.make_node("Reshape", ["grouped", "copied"], ["flat"]),
    helper.make_node("ReduceMean", ["flat"], ["means"], axes=[2], keepdims=1),
    helper.make_node("Sub", ["flat", "means"], ["centred"]),
    helper.make_node("Reshape", ["centred", "original"], ["y"]),
]
shapes = {"groups": [1, 2, 2, 2], "copied": [0, 0, -1], "original": [1, 4, 2]}
types = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4, 2]) for name in "xy"]
constants = [numpy_helper.from_array(np.int64(shape), name) for name, shape in shapes.items()]
graph = helper.make_graph(nodes, "g", types[:1], types[1:], constants)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def run(model):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


in_two_groups = (x.reshape(1, 2, 4) - x.reshape(1, 2, 4).mean(-1, keepdims=True)).reshape(x.shape)
in_four_groups = x - x.mean(-1, keepdims=True)
seen = {"as it is": run(model), "optimized": run(onnxoptimizer.optimize(model))}
seen["by the one pass"] = run(onnxoptimizer.optimize(model, ["eliminate_consecutive_idempotent_ops"]))
for name, y in seen.items():
    print("onnxoptimizer", onnxoptimizer.version.version, name, y.ravel().tolist())
np.testing.assert_array_equal(seen["as it is"], in_two_groups)
for name in ("optimized", "by the one pass"):
    np.testing.assert_array_equal(seen[name], in_four_groups, "both reshapes stay now")
PROGRAM
