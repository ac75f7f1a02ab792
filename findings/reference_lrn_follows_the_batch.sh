#!/usr/bin/env bash
# One would guess: the reference evaluator of ONNX computes LRN as the operator's documentation says, for each channel.
#
# What happens: it counts channels up to the size of the batch. With one image of four channels, only the first channel
# is divided by its neighbours' squares; the others keep their values. Constant folding with the evaluator, as in the
# optimizer of onnxscript, writes these values into the model.
#
# Seen with onnx 1.23.2 and onnxscript 0.7.2: for [1, 2, 3, 4] (size 3, alpha 1) the evaluator and the optimized model
# give [0.479, 2, 3, 4]; onnxruntime 1.32.0 gives [0.479, 0.545, 0.508, 0.749], which is the documented formula. With
# four images in the batch the evaluator agrees.
#
# Why it matters: AlexNet, GoogLeNet and CaffeNet have LRN, and a comparison with the reference blames the wrong side.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    onnxruntime==1.32.0 onnx==1.23.2 onnxscript==0.7.2 numpy==2.4.6

"$folder/venv/bin/python" - <<'PROGRAM'
import numpy as np
import onnxruntime
from onnx import checker, parser
from onnx.reference import ReferenceEvaluator
from onnxscript import optimizer

text = """
<ir_version: 10, opset_import: ["": 21]>
normalized (float[N, 4, 1, 1] x) => (float[N, 4, 1, 1] y) { y = LRN <size = 3, alpha = 1.0> (x) }
"""
folded = """
<ir_version: 10, opset_import: ["": 21]>
constant (float[1] zero) => (float[1, 4, 1, 1] y)
{
    x = Constant <value = float[1, 4, 1, 1] {1.0, 2.0, 3.0, 4.0}> ()
    z = LRN <size = 3, alpha = 1.0> (x)
    y = Add (z, zero)
}
"""


def run(model, feeds):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, feeds)[0].ravel()


model, constant = parser.parse_model(text), parser.parse_model(folded)
checker.check_model(model, full_check=True)
checker.check_model(constant, full_check=True)
image = np.array([1, 2, 3, 4], np.float32).reshape(1, 4, 1, 1)
squares = np.array([1 + 4, 1 + 4 + 9, 4 + 9 + 16, 9 + 16])
documented = image.ravel() / (1 + squares / 3) ** 0.75
computed = run(model, {"x": image})
reference = ReferenceEvaluator(model).run(None, {"x": image})[0].ravel()
four = ReferenceEvaluator(model).run(None, {"x": np.repeat(image, 4, 0)})[0][0].ravel()
optimized = run(optimizer.optimize(constant), {"zero": np.zeros(1, np.float32)})
print(documented, computed, reference, four, optimized, sep="\n")
np.testing.assert_allclose(computed, documented, rtol=1e-5)
np.testing.assert_allclose(four, documented, rtol=1e-5)
np.testing.assert_array_equal(reference[1:], [2, 3, 4], "the evaluator reaches all channels now")
np.testing.assert_array_equal(optimized[1:], [2, 3, 4], "the optimizer folds LRN correctly now")
PROGRAM
