#!/usr/bin/env bash
# One would guess: the mean of an image that is 255 everywhere is 255, or within a few units in the last place, and in
# no case above the largest value.
#
# What happens: GlobalAveragePool of 1024x1024 values adds them up one after the other in float32. Every addition
# rounds the same way, and the mean comes out 0.3% too large.
#
# Seen with onnxruntime 1.32.0 on the CPU: 255.74901 for 255, 0.90216 for 0.9. ReduceMean over the same axes gives
# 0.1% for 0.1, since it has eight partial sums.
#
# Why it matters: means over large planes (saliency maps, audio, satellite images) are off by far more than float32
# suggests, and the sum of ones stops at 2**24. NumPy adds pairwise and gives 255.0. Averaging the rows first and then
# the column costs less and is exact here.
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


pool = session("GlobalAveragePool", 4, 4)
plane = np.full((1, 1, 1024, 1024), 255, np.float32)
mean = float(pool.run(None, {"x": plane})[0].item())
rows = pool.run(None, {"x": plane.reshape(1, 1024, 1024, 1)})[0].reshape(1, 1, 1024, 1)
staged = float(pool.run(None, {"x": rows})[0].item())
print(mean, staged, float(plane.mean()))
assert mean > 255.5, "GlobalAveragePool sums in a better way now"
assert staged == plane.mean() == 255
PROGRAM
