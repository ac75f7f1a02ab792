#!/usr/bin/env bash
# One would guess: the reference evaluator of ONNX reads the pads of MaxPool as AveragePool and Conv do: all beginnings
# first, then all ends.
#
# What happens: for MaxPool it takes them in pairs, beginning and end of each axis. If they are not all equal, the result
# has another shape. Constant folding with the evaluator, as in the optimizer of onnxscript, writes it into the model.
#
# Seen with onnx 1.23.2: a 9x7 image, windows of 3x3 and pads [1, 0, 2, 1] give 8x8. Shape inference, onnxruntime 1.32.0
# and AveragePool of the evaluator give 10x6, which is the documented size.
#
# Why it matters: TensorFlow's "SAME" is exported with pads [0, 0, 1, 1], and the evaluator is what others are compared with.
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

text = """
<ir_version: 10, opset_import: ["": 21]>
pools (float[1, 1, 9, 7] x) => (float[1, 1, 10, 6] greatest, float[1, 1, 10, 6] mean)
{
    greatest = MaxPool <kernel_shape = [3, 3], pads = [1, 0, 2, 1]> (x)
    mean = AveragePool <kernel_shape = [3, 3], pads = [1, 0, 2, 1]> (x)
}
"""
model = parser.parse_model(text)
checker.check_model(model, full_check=True)
image = np.arange(63, dtype=np.float32).reshape(1, 1, 9, 7)
session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
wanted = session.run(None, {"x": image})
seen = ReferenceEvaluator(model).run(None, {"x": image})
print([y.shape for y in wanted], [y.shape for y in seen])
np.testing.assert_allclose(seen[1], wanted[1], rtol=1e-6)
assert wanted[0].shape == (1, 1, 10, 6)
assert seen[0].shape == (1, 1, 8, 8), "the evaluator reads the pads of MaxPool in the right order now"
PROGRAM
