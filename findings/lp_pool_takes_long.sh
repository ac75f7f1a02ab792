#!/usr/bin/env bash
# One would guess: LpPool with p=2 takes somewhat longer than AveragePool with the same windows, for a square of each
# value and a root of each result.
#
# What happens: it takes 15 to 75 times as long. Mul, AveragePool, a factor for the size of the window and Sqrt
# compute the same several times faster.
#
# Seen with onnxruntime 1.32.0 on 2 x86-64 cores, 32 planes of 112x112, windows of 3x3, strides of 2: 3336 us against
# 44 us.
#
# Why it matters: an L2 pool in a network (or what an exporter makes of torch.nn.LPPool2d) can outweigh the
# convolutions around it.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6

"$folder/venv/bin/python" - <<'PROGRAM'
import time

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


x = np.random.default_rng(0).uniform(0.5, 1, (1, 32, 112, 112)).astype(np.float32)
results, timed = {}, {}
for op_type, options in (("AveragePool", {}), ("LpPool", {"p": 2})):
    run = session(op_type, 4, 4, kernel_shape=[3, 3], strides=[2, 2], **options)
    feed = x * x if op_type == "AveragePool" else x
    times = []
    for _ in range(30):
        started = time.perf_counter()
        results[op_type] = run.run(None, {"x": feed})[0]
        times.append(time.perf_counter() - started)
    timed[op_type] = min(times) * 1e6
print({op_type: f"{microseconds:.0f} us" for op_type, microseconds in timed.items()})
np.testing.assert_allclose(np.sqrt(9 * results["AveragePool"]), results["LpPool"], rtol=1e-5)
assert timed["LpPool"] > 8 * timed["AveragePool"], "LpPool takes little longer than AveragePool now"
PROGRAM
