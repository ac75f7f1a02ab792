#!/usr/bin/env bash
# One would guess: `cross_entropy` is exported with its `label_smoothing`, or refused.
#
# What happens: the option is dropped. `reduction`, `weight` and `ignore_index` are exported. ONNX has no such option, but
# the mean of `log_softmax` that PyTorch mixes in could be written.
#
# Seen with torch 2.14.1, onnxscript 0.7.2 and onnxruntime 1.32.0: a loss of 1.369 for no smoothing is 1.389 with
# `label_smoothing=0.5` in X and right predictions the losses are
# 7.505 and 0.010.
#
# Why it matters: a loss is exported for training on a device, or to watch a model in use. The loss is off by most where
# the model is sure, for which smoothing is there.
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


def exported(function, *arguments):
    """What the exported function gives for the arguments."""
    file = io.BytesIO()
    torch.onnx.export(Function(function), arguments, dynamo=True, verbose=False).save(file)
    session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    return torch.from_numpy(session.run(None, {n: t.numpy() for n, t in zip(names, arguments)})[0])


scores, labels = torch.tensor([[10.0, 0, 0, 0], [0, 10, 0, 0]]), torch.tensor([0, 1])
weight, seen = torch.tensor([1.0, 2, 3, 4]), {}
for options in ({}, {"weight": weight, "reduction": "sum"}, {"ignore_index": 1}, {"label_smoothing": 0.5}):

    def loss(scores, labels):
        return F.cross_entropy(scores, labels, **options)

    seen[tuple(options)] = loss(scores, labels).item(), exported(loss, scores, labels).item()
for options, pair in seen.items():
    print(options, pair)
smoothed, sharp = seen.pop(("label_smoothing",))
for expected, result in seen.values():
    assert abs(expected - result) < 1e-5
assert abs(smoothed - 3.7501) < 1e-3
assert sharp < 1e-3, "the labels are smoothed now"
PROGRAM
