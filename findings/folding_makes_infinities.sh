#!/usr/bin/env bash
# One would guess: LogSoftmax is computed without a logarithm of 0, which is why it is an operator of its own: that of
# [0, 200] is [-200, 0].
#
# What happens: the reference evaluator of ONNX takes the logarithm of the softmax. Beyond a difference of 104 the result
# is -infinity. The optimizer of onnxscript folds constants with the evaluator, and writes the infinity into the model.
#
# Seen with onnx 1.23.2 and onnxscript 0.7.2: the evaluator and the optimized model give [-infinity, 0]; onnxruntime
# 1.32.0 gives [-200, 0] for the model as it was.
#
# Why it matters: tables of log-probabilities (language models, CTC, priors) are constants that get folded; -infinity times
# 0 is NaN.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    onnxruntime==1.32.0 onnx==1.23.2 onnxscript==0.7.2 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import numpy as np
import onnxruntime
from onnx import checker, parser
from onnx.reference import ReferenceEvaluator
from onnxscript import optimizer

text = """
<ir_version: 10, opset_import: ["": 21]>
prior (float[1, 2] x) => (float[1, 2] y)
{
    logits = Constant <value = float[1, 2] {0.0, 200.0}> ()
    logs = LogSoftmax (logits)
    y = Add (x, logs)
}
"""
model = parser.parse_model(text)
checker.check_model(model, full_check=True)
feeds = {"x": np.zeros((1, 2), np.float32)}


def run(model):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, feeds)[0].ravel()


wanted, optimized = run(model), run(optimizer.optimize(model))
reference = ReferenceEvaluator(model).run(None, feeds)[0].ravel()
print(wanted, optimized, reference)
np.testing.assert_array_equal(wanted, [-200, 0])
assert reference[0] == -np.inf, "the evaluator computes LogSoftmax without a logarithm of 0 now"
assert optimized[0] == -np.inf, "the optimizer keeps the value now"
PROGRAM
