#!/usr/bin/env bash
# One would guess: ReduceL2 of [1e30, 1e30] is 1.41e30, and that of [3e-30, 4e-30] is 5e-30, as math.hypot and
# numpy.linalg.norm in float64 say; both are well within float32.
#
# What happens: the first is infinity and the second 0, since the kernel squares in float32.
#
# Seen with onnxruntime 1.32.0 on the CPU: "inf 0.0".
#
# Why it matters: x / norm(x) becomes 0 or NaN for rows that are merely unscaled; the operator does not warn. Dividing
# by a power of two first avoids it.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6

"$folder/venv/bin/python" - <<'PROGRAM'
import numpy as np
import onnxruntime
from onnx import TensorProto, checker, helper, numpy_helper


def session(op_type, rank_in, rank_out, constants=(), **attributes):
    """A session of one node that reads `x`, and then the constants."""
    names = [f"c{i}" for i, _ in enumerate(constants)]
    node = helper.make_node(op_type, ["x", *names], ["y"], **attributes)
    x, y = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * rank)
        for name, rank in (("x", rank_in), ("y", rank_out))
    )
    weights = [numpy_helper.from_array(np.asarray(value), name) for name, value in zip(names, constants)]
    graph = helper.make_graph([node], "one_node", [x], [y], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    checker.check_model(model)
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


norm = session("ReduceL2", 1, 0, keepdims=0)
large, small = (norm.run(None, {"x": np.array(x, np.float32)})[0] for x in ([1e30, 1e30], [3e-30, 4e-30]))
print(large, small)
assert large == np.inf and small == 0, "ReduceL2 keeps squares in range now"
PROGRAM
