#!/usr/bin/env bash
# One would guess: `MeanVarianceNormalization` of equal numbers is 0: ONNX adds 1e-9 to the standard deviation before it divides.
#
# What happens: onnxruntime adds nothing. The result is 0 / 0, or, where the mean is rounded, the same rounding error above and
# below the line.
#
# Seen with onnxruntime 1.32.0 on x86-64: a plane of 3 gives NaN, and one of 3.1 gives 1 everywhere. The reference evaluator of
# onnx 1.23.2 gives 0 and 0.00017. A plane of 1, 2 and 3 is right in both.
#
# Why it matters: images have black borders, and activations after a ReLU have planes of zeros. One NaN spreads through the
# network, and a 1 where a 0 should be is as bright as a standard deviation.
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

text = """
<ir_version: 10, opset_import: ["": 13]>
network (float[1,1,1,3] x) => (float[1,1,1,3] y) { y = MeanVarianceNormalization <axes = [0, 2, 3]> (x) }
"""
model = parser.parse_model(text)
checker.check_model(model, full_check=True)
session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
seen = {}
for numbers in ((1, 2, 3), (3, 3, 3), (3.1, 3.1, 3.1)):
    feeds = {"x": np.float32(numbers).reshape(1, 1, 1, 3)}
    seen[numbers] = session.run(None, feeds)[0].ravel()
    reference = ReferenceEvaluator(model).run(None, feeds)[0].ravel()
    print(f"{numbers}: {seen[numbers]} in onnxruntime, {reference} in the reference evaluator")
    if len(set(numbers)) == 1:
        assert abs(reference).max() < 0.001
np.testing.assert_allclose(seen[1, 2, 3], [-1.224745, 0, 1.224745], atol=1e-5)
assert np.isnan(seen[3, 3, 3]).all(), "a plane of 3 is 0 now"
assert (abs(seen[3.1, 3.1, 3.1]) > 0.5).all(), "a plane of 3.1 is about 0 now"
PROGRAM
