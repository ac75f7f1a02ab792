#!/usr/bin/env bash
# One would guess: functions that PyTorch has so that small probabilities do not become 0 (`logsigmoid`, `logaddexp`,
# `logcumsumexp`, `binary_cross_entropy_with_logits`) are exported in a form that keeps this.
#
# What happens: the exporter writes the formula: the logarithm of a sigmoid, of a sum of exponentials, of a cumulative
# sum. They are infinite beyond differences of about 100. `log_softmax` and `logsumexp` have an operator of their own,
# and are right.
#
# Seen with torch 2.14.1, onnxscript 0.7.2 and onnxruntime 1.32.0: `logsigmoid(-200)` is -200 and exported -infinity, and
# so is `logcumsumexp` of [0, 200] at its first place. `logaddexp(100, 100)` is 100.7 and infinity. The cross entropy of
# a logit of 200 is 200 and infinity.
#
# Why it matters: sequences, mixtures and losses add such numbers up, and one infinity is the result of all. 0 times it
# is NaN.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    torch==2.14.1 onnxscript==0.7.2 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - 2> "$folder/log" <<'PROGRAM' || { cat "$folder/log"; exit 1; }
import io

import onnxruntime
import torch
import torch.nn.functional as F


class Function(torch.nn.Module):
    """A module that computes a function."""

    def __init__(self, function):
        super().__init__()
        self.forward = function


def exported(function, *arguments, **options):
    """The function as an exported model, as a function of tensors."""
    file = io.BytesIO()
    torch.onnx.export(Function(function), arguments, dynamo=True, verbose=False, **options).save(file)
    session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    return lambda *tensors: torch.from_numpy(session.run(None, {n: t.numpy() for n, t in zip(names, tensors)})[0])


numbers = torch.tensor([0.0, 200.0])
functions = {
    "log_softmax": lambda x: F.log_softmax(x, 0),
    "logsumexp": lambda x: torch.logsumexp(x, 0),
    "logsigmoid": lambda x: F.logsigmoid(-x),
    "logaddexp": lambda x: torch.logaddexp(x, x),
    "logcumsumexp": lambda x: torch.logcumsumexp(x, 0),
    "cross entropy": lambda x: F.binary_cross_entropy_with_logits(-x, torch.ones(2), reduction="none"),
}
infinite = set()
for name, function in functions.items():
    expected, seen = function(numbers), exported(function, numbers)(numbers)
    print(name, expected.tolist(), seen.tolist())
    assert expected.isfinite().all()
    if seen.isinf().any():
        infinite.add(name)
    else:
        torch.testing.assert_close(seen, expected)
assert infinite == set(functions) - {"log_softmax", "logsumexp"}, "more functions stay finite now"
PROGRAM
