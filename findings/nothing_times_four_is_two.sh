#!/usr/bin/env bash
# One would guess: the graph optimizations of onnxruntime may change the last digits of a result. Integers stay what they are,
# and so do shapes.
#
# What happens: `Div` of 1 by x and a `Mul` of the quotient by z become z / x. In integers 1 / x is 0 for every x but 1 and
# -1, and z / x is not. A 1 of the shape [1, 1] also gives the result another rank, which goes with it.
#
# Seen with onnxruntime 1.32.0: for x = [2, 3, 1] and z = [4, 9, 4] in int64, (1 / x) * z is [0, 0, 4] without optimizations,
# and [2, 3, 4] with the default ones. With a 1 of the shape [1, 1] and floats, the shape is [3] instead of [1, 3].
#
# Why it matters: sizes and strides are computed in int64, and rounded down on purpose. A model is checked with another
# runtime, or without optimizations, and computes something else in production.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import numpy as np
import onnxruntime
from onnx import checker, parser
from onnx.reference import ReferenceEvaluator

TEXT = """
<ir_version: 10, opset_import: ["": 20]>
quotients (TYPE[3] x, TYPE[3] z) => (TYPE[SHAPE] y) <TYPE one = {1}>
{
    inverse = Div (one, x)
    y = Mul (inverse, z)
}
"""
LEVELS = onnxruntime.GraphOptimizationLevel


def results(dtype, shape, one):
    """What the reference evaluator gives, and onnxruntime without and with optimizations."""
    text = TEXT.replace("TYPE one", one).replace("TYPE", dtype).replace("SHAPE", shape)
    model = parser.parse_model(text)
    checker.check_model(model, full_check=True)
    feeds = {name: np.array(numbers, dtype.replace("float", "float32")) for name, numbers in NUMBERS.items()}
    yield ReferenceEvaluator(model).run(None, feeds)[0]
    for level in (LEVELS.ORT_DISABLE_ALL, LEVELS.ORT_ENABLE_ALL):
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = level
        options.log_severity_level = 4
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        yield session.run(None, feeds)[0]


NUMBERS = {"x": [2, 3, 1], "z": [4, 9, 4]}
integers = [result.tolist() for result in results("int64", "3", "int64 one")]
shapes = [result.shape for result in results("float", "1, 3", "float[1, 1] one")]
floats = [result.tolist() for result in results("float", "3", "float one")]
print("integers", integers, "shapes", shapes, "floats", floats)
np.testing.assert_allclose(floats, [[2, 3, 4]] * 3, rtol=1e-6)
assert integers[:2] == [[0, 0, 4]] * 2 and shapes[:2] == [(1, 3)] * 2
assert integers[2] == [2, 3, 4], "integers are divided first now"
assert shapes[2] == (3,), "the shape is kept now"
PROGRAM
