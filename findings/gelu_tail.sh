#!/usr/bin/env bash
# One would guess: gelu(-5) is -1.4333e-6 to float32 precision, and gelu(-5.6) is -6.0e-8, not zero.
#
# What happens: 0.5 * x * (1 + erf(x / sqrt(2))) cancels for negative x. gelu(-5) is 4% off, and everything below
# -5.54 is a negative zero.
#
# Seen with onnxruntime 1.32.0 on the CPU: [-1.4901161e-06 -0.0000000e+00].
#
# Why it matters: the absolute error is below 1e-7, which networks do not feel; but a test that compares with erfc in
# relative terms fails, as does a ratio or logarithm of such values. PyTorch uses the same formula on the CPU, so
# agreement with it proves nothing about the digits.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6

"$folder/venv/bin/python" - <<'PROGRAM'
import math

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


x = np.array([-5, -5.6], np.float32)
result = session("Gelu", 1, 1).run(None, {"x": x})[0]
exact = np.array([0.5 * v * math.erfc(-v / math.sqrt(2)) for v in x.tolist()])
print(result, exact)
assert abs(result[0] / exact[0] - 1) > 0.03 and result[1] == 0 != exact[1], "Gelu keeps its digits now"
PROGRAM
