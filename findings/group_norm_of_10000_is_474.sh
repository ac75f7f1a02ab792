#!/usr/bin/env bash
# One would guess: the normalizations of ONNX agree where they normalize the same numbers: one group, one instance, one layer.
#
# What happens: the standard defines `GroupNormalization` and `MeanVarianceNormalization` by bodies that take the variance as
# the mean of the squares less the square of the mean. onnxruntime runs the body of the first, and the reference evaluator
# those of both. In float32, nothing is left of the variance of numbers far from 0.
#
# Seen with onnxruntime 1.32.0: `GroupNormalization` of [10000, 10001, 10002, 10003] in one group is [-474, -158, 158, 474].
# That is what the evaluator of onnx 1.23.2 gives as well; its `MeanVarianceNormalization` ends at 1.5e9.
# `InstanceNormalization` and `LayerNormalization` give [-1.34, -0.45, 0.45, 1.34] in both.
#
# Why it matters: image networks with groups begin with pixels or latents that are not centred, and PyTorch, which subtracts
# the mean first, is right for the same numbers.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6

"$folder/venv/bin/python" - <<'PROGRAM'
import numpy as np
import onnxruntime
from onnx import checker, parser
from onnx.reference import ReferenceEvaluator

onnxruntime.set_default_logger_severity(3)
nodes = {
    "GroupNormalization": "GroupNormalization <num_groups = 1> (x, one, zero)",
    "MeanVarianceNormalization": "MeanVarianceNormalization <axes = [0, 2, 3]> (x)",
    "InstanceNormalization": "InstanceNormalization (x, one, zero)",
    "LayerNormalization": "LayerNormalization <axis = 2> (x, ones)",
}
x = np.arange(10000, 10004, dtype=np.float32).reshape(1, 1, 2, 2)
seen = {}
for operator, node in nodes.items():
    model = parser.parse_model(f"""
    <ir_version: 10, opset_import: ["": 21]>
    normalization (float[1, 1, 2, 2] x) => (float[1, 1, 2, 2] y)
    <float[1] one = {{1}}, float[1] zero = {{0}}, float[2, 2] ones = {{1, 1, 1, 1}}>
    {{ y = {node} }}
    """)
    checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    seen[operator] = [run(None, {"x": x})[0].ravel() for run in (session.run, ReferenceEvaluator(model).run)]
    print(operator, *seen[operator])
exact = (x.ravel() - 10001.5) / np.sqrt(1.25)
for operator in ("InstanceNormalization", "LayerNormalization"):
    np.testing.assert_allclose(seen[operator], [exact, exact], rtol=1e-3)
runtime, reference = seen["GroupNormalization"]
np.testing.assert_allclose(runtime, exact * np.sqrt(1.25 / 1e-5), rtol=1e-3, err_msg="the mean is subtracted first now")
np.testing.assert_allclose(reference, runtime, rtol=1e-3)
runtime, reference = seen["MeanVarianceNormalization"]
np.testing.assert_allclose(runtime, exact, rtol=1e-3)
np.testing.assert_allclose(reference, (x.ravel() - 10001.5) / 1e-9, rtol=1e-3)
PROGRAM
