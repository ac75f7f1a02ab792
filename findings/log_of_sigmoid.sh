#!/usr/bin/env bash
# One would guess: sigmoid(-18) is 1.5e-8, since float32 reaches down to 1e-38; NumPy and PyTorch say so.
#
# What happens: the kernel of Sigmoid has an absolute error of about 1e-7 near 0. sigmoid(-17) is twice what it should
# be, and from about -18 on the result is exactly 0.
#
# Seen with onnxruntime 1.32.0 on the CPU (x86-64): [8.940697e-08 0.000000e+00] for [-17, -18]; exact are
# [4.139938e-08 1.522998e-08].
#
# Why it matters: log(sigmoid(x)) is -infinity from -18 on, so losses, log-probabilities and products of small
# probabilities break in models that are fine elsewhere. 1 / (exp(-x) + 1) as three nodes has all digits.
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


x = np.array([-17, -18], np.float32)
result = session("Sigmoid", 1, 1).run(None, {"x": x})[0]
exact = 1 / (1 + np.exp(-x.astype(np.float64)))
print(result, exact)
assert result[0] > 1.5 * exact[0] and result[1] == 0, "Sigmoid is accurate near 0 now"
PROGRAM
