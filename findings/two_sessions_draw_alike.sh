#!/usr/bin/env bash
# One would guess: a node for random numbers without a seed draws other numbers in each session, as ONNX says that the seed is
# then generated.
#
# What happens: onnxruntime takes one seed for the whole process, when it is loaded. Every session begins with it, and draws
# the numbers of the one before. Another process, and a second run of a session, draw others. `Dropout` differs in each.
#
# Seen with onnxruntime 1.32.0: the first 100 numbers of two sessions of one model are equal for `RandomNormal`,
# `RandomUniform`, `RandomNormalLike`, `Bernoulli` and `Multinomial`, and those of a second run are not.
#
# Why it matters: a server has a session for each worker or model, and samples the same tokens and noise in each; an average
# over sessions is that of one. Give the random numbers as inputs, or a `seed` to each session.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import numpy as np
import onnxruntime
from onnx import checker, parser

TEXT = """
<ir_version: 10, opset_import: ["": 20]>
drawn (float[1, 100] x) => (TYPE y) <float half = {0.5}, bool train = {1}> { y = OPERATOR }
"""
onnxruntime.set_default_logger_severity(3)
OPERATORS = {
    "RandomNormal <shape = [100]> ()": "float[100]",
    "RandomUniform <shape = [100]> ()": "float[100]",
    "RandomNormalLike (x)": "float[1, 100]",
    "Bernoulli (x)": "float[1, 100]",
    "Multinomial <sample_size = 100> (x)": "int32[1, 100]",
    "Dropout (x, half, train)": "float[1, 100]",
}


def two_runs(operator):
    """What a new session draws in its first and its second run."""
    model = parser.parse_model(TEXT.replace("TYPE", OPERATORS[operator]).replace("OPERATOR", operator))
    checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return [session.run(None, {"x": np.full((1, 100), 0.5, np.float32)})[0] for _ in range(2)]


for operator in OPERATORS:
    (first, second), (other, _) = two_runs(operator), two_runs(operator)
    differing = [int(np.count_nonzero(first != numbers)) for numbers in (second, other)]
    print(operator, "differing in the second run", differing[0], "in the second session", differing[1])
    assert differing[0] > 0
    if operator.startswith("Dropout"):
        assert differing[1] > 0
    else:
        assert differing[1] == 0, "sessions draw other numbers now"
PROGRAM
