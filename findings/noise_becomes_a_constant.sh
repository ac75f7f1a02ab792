#!/usr/bin/env bash
# One would guess: an optimizer computes in advance what depends on constants alone, and leaves random numbers to the run.
#
# What happens: onnxslim draws the random numbers of a constant shape, and onnxscript those of `Bernoulli` and of `Dropout` in
# training mode, and save what they drew. onnxruntime and onnxsim leave them.
#
# Seen with onnxslim 0.1.98, onnxscript 0.7.2 and onnxruntime 1.32.0: noise that is added to an input differs in each of three
# runs as it is. Behind onnxslim it is the same for all three operators, and behind onnxscript for two.
#
# Why it matters: noise of a constant shape is what generators of images and speech begin with, and dropped weights are how a
# network tells how sure it is. The model gives one answer for ever, and nothing says that it is not the most likely one.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    onnxslim==0.1.98 onnxscript==0.7.2 onnxsim==0.8.1 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - > "$folder/log" 2>&1 <<'PROGRAM' || { cat "$folder/log"; exit 1; }
import numpy as np
import onnxruntime
import onnxsim
import onnxslim
from onnx import checker, parser
from onnxscript import optimizer

TEXT = """
<ir_version: 10, opset_import: ["": 20]>
noisy (float x) => (float[1000] y) <float half = {0.5}, bool train = {1}, float[1000] level = {NUMBERS}>
{
    noise = OPERATOR
    y = Add (noise, x)
}
"""
TOOLS = {
    "as it is": lambda model: model,
    "onnxscript": optimizer.optimize,
    "onnxslim": onnxslim.slim,
    "onnxsim": lambda model: onnxsim.simplify(model)[0],
}


def varies(model):
    """Whether one of two further runs differs from the first."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    first, *others = (session.run(None, {"x": np.zeros((), np.float32)})[0] for _ in range(3))
    return any((first != other).any() for other in others)


text, seen = TEXT.replace("NUMBERS", ", ".join(["0.5"] * 1000)), {}
for operator in ("Bernoulli (level)", "Dropout (level, half, train)", "RandomNormalLike (level)"):
    model = parser.parse_model(text.replace("OPERATOR", operator))
    checker.check_model(model, full_check=True)
    seen[operator] = {tool: varies(optimize(model)) for tool, optimize in TOOLS.items()}
    print("SEEN whether runs differ:", operator, seen[operator])
    assert seen[operator]["as it is"] and seen[operator]["onnxsim"]
    assert not seen[operator]["onnxslim"], "onnxslim leaves it to the run now"
bernoulli, dropout, normal = seen.values()
assert normal["onnxscript"]
assert not bernoulli["onnxscript"] and not dropout["onnxscript"], "onnxscript leaves it to the run now"
PROGRAM
grep SEEN "$folder/log"
