#!/usr/bin/env bash
# One would guess: `log1p` and `expm1`, which exist for small numbers, are exported with what makes them good for small
# numbers.
#
# What happens: the exporter of PyTorch writes `log(1 + x)` and `exp(x) - 1`. ONNX has neither of the two functions, but
# 2 atanh(x / (2 + x)) and 2 t / (1 - t) with t = tanh(x / 2) are accurate in onnxruntime.
#
# Seen with torch 2.14.1, onnxscript 0.7.2 and onnxruntime 1.32.0: both are 0 for 1e-8. For 1e-6 they are 9.54e-7, and for
# 1e-4 they are off by more than 1e-4 of the result.
#
# Why it matters: growth rates, log returns, counts that are scaled by `log1p`, and losses near 0 lose their digits, and
# then are divided by each other.
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


class Function(torch.nn.Module):
    """A module that computes a function."""

    def __init__(self, function):
        super().__init__()
        self.forward = function


def exported(function, *arguments):
    """What the exported function gives for the arguments."""
    file = io.BytesIO()
    torch.onnx.export(Function(function), arguments, dynamo=True, verbose=False).save(file)
    session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    return torch.from_numpy(session.run(None, {n: t.numpy() for n, t in zip(names, arguments)})[0])


def log_by_atanh(x):
    return 2 * torch.atanh(x / (2 + x))


def exp_by_tanh(x):
    t = torch.tanh(x / 2)
    return 2 * t / (1 - t)


numbers = torch.tensor([1e-8, 1e-6, 1e-4, 0.5])
for name, other in (("log1p", log_by_atanh), ("expm1", exp_by_tanh)):

    def function(x):
        return getattr(torch, name)(x)

    expected, seen, by_other = function(numbers), exported(function, numbers), exported(other, numbers)
    print(name, expected.tolist(), seen.tolist(), by_other.tolist())
    torch.testing.assert_close(by_other, expected, rtol=1e-5, atol=0)
    torch.testing.assert_close(seen[3], expected[3])
    assert seen[0] == 0 and (seen / expected - 1)[1] < -0.04 and (seen / expected - 1)[2] > 1e-4, "small numbers are exact"
PROGRAM
