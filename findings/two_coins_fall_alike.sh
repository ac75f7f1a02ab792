#!/usr/bin/env bash
# One would guess: two nodes that draw random numbers draw different ones, and no optimization makes one node of the two.
#
# What happens: onnxruntime takes two `Bernoulli` of one tensor for the same expression, and computes it once. `RandomNormal`
# and the like it knows. The optimizer of onnxscript does the same, and onnxslim and onnxsim merge those as well.
#
# Seen with onnxruntime 1.32.0, onnxscript 0.7.2, onnxslim 0.1.98 and onnxsim 0.8.1: the difference of two `Bernoulli` of 1000
# probabilities of 0.5 is 0 everywhere, and not for every second one as without optimizations. The difference of two
# `RandomNormalLike` is 0 behind onnxslim and onnxsim.
#
# Why it matters: networks for speech draw noise twice, and the spread of several dropped-out runs tells how sure a network is.
# It is 0 then, so that the network seems to be sure of everything. Give the random numbers as inputs.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    onnxruntime==1.32.0 onnxscript==0.7.2 onnxslim==0.1.98 onnxsim==0.8.1 onnx==1.23.2 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - > "$folder/log" 2>&1 <<'PROGRAM' || { cat "$folder/log"; exit 1; }
import numpy as np
import onnxruntime
import onnxsim
import onnxslim
from onnx import checker, parser
from onnxscript import optimizer

TEXT = """
<ir_version: 10, opset_import: ["": 20]>
coins (float[1000] x) => (float[1000] y)
{
    first = OPERATOR (x)
    second = OPERATOR (x)
    y = Sub (first, second)
}
"""
LEVELS = onnxruntime.GraphOptimizationLevel


def differing(model, level):
    """How many of the 1000 numbers differ."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = level
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return int(np.count_nonzero(session.run(None, {"x": np.full(1000, 0.5, np.float32)})[0]))


for operator in ("Bernoulli", "RandomNormalLike"):
    model = parser.parse_model(TEXT.replace("OPERATOR", operator))
    checker.check_model(model, full_check=True)
    seen = {
        "as it is": differing(model, LEVELS.ORT_DISABLE_ALL),
        "optimized": differing(model, LEVELS.ORT_ENABLE_ALL),
        "onnxscript": differing(optimizer.optimize(model), LEVELS.ORT_DISABLE_ALL),
        "onnxslim": differing(onnxslim.slim(model), LEVELS.ORT_DISABLE_ALL),
        "onnxsim": differing(onnxsim.simplify(model)[0], LEVELS.ORT_DISABLE_ALL),
    }
    print("SEEN", operator, seen)
    assert seen["as it is"] > 300
    if operator == "Bernoulli":
        assert seen["optimized"] == 0, "onnxruntime keeps both now"
        assert seen["onnxscript"] == 0, "onnxscript keeps both now"
    else:
        assert min(seen["optimized"], seen["onnxscript"]) > 300
    assert seen["onnxslim"] == 0, "onnxslim keeps both now"
    assert seen["onnxsim"] == 0, "onnxsim keeps both now"
PROGRAM
grep SEEN "$folder/log"
