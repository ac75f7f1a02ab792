#!/usr/bin/env bash
# One would guess: onnxoptimizer's default passes keep what a model computes.
#
# What happens: a Pad with zeros in front of a MaxPool becomes the pool's own `pads`. The pool takes no notice of its
# own padding, while the zeros of Pad are values, which are larger than all negative ones.
#
# Seen with onnxoptimizer 0.4.2: an image of -1 everywhere gives 0 at the border before, and -1 everywhere after.
#
# Why it matters: Keras pads by a layer of its own before the first pool of its ResNets. Behind a ReLU the two are the
# same, so a test with such a model passes, and the next model is wrong.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    onnxoptimizer==0.4.2 onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6

"$folder/venv/bin/python" - <<'PROGRAM'
import numpy as np
import onnxoptimizer
import onnxruntime
from onnx import checker, parser

text = """
<ir_version: 10, opset_import: ["": 21]>
pooled (float[1, 1, 4, 4] x) => (float[1, 1, 4, 4] y)
{
    pads = Constant <value = int64[8] {0, 0, 1, 1, 0, 0, 1, 1}> ()
    padded = Pad (x, pads)
    y = MaxPool <kernel_shape = [3, 3]> (padded)
}
"""


def run(model):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": np.full((1, 1, 4, 4), -1, np.float32)})[0][0, 0]


model = parser.parse_model(text)
checker.check_model(model, full_check=True)
before, after = run(model), run(onnxoptimizer.optimize(model))
print(before, after, sep="\n")
assert before[0].tolist() == [0, 0, 0, 0] and before[1].tolist() == [0, -1, -1, 0]
assert (after == -1).all(), "the pad stays apart from the pool now"
PROGRAM
