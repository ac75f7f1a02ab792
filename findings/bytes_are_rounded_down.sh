#!/usr/bin/env bash
# One would guess: `interpolate` of bytes gives the nearest bytes in PyTorch and in the exported model, or at least the same
# ones.
#
# What happens: PyTorch rounds to the nearest byte. The exported model is a `Resize` of uint8, for which onnxruntime cuts the
# fraction off, unless `antialias` is set.
#
# Seen with torch 2.14.1, onnxscript 0.7.2 and onnxruntime 1.32.0: a row of bytes, made longer by `bilinear`, is 0.002
# brighter on average in PyTorch than the same in floats, and 0.49 darker in the exported model. With `antialias` the two
# are the same.
#
# Why it matters: half a step of brightness in every image is a shift of the input that the network was not trained for, and
# a network for video applies it again to its own images. Casting to float before resizing prevents it.
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


image = torch.arange(0, 256, 5, dtype=torch.uint8)[None, None, None]
for antialias in (False, True):

    def larger(x):
        return F.interpolate(x, size=(1, 301), mode="bilinear", antialias=antialias)

    exact = larger(image.double()).flatten()
    shifts = [(result.flatten() - exact).mean().item() for result in (larger(image), exported(larger, image))]
    print("antialias" if antialias else "bilinear", shifts)
    assert abs(shifts[0]) < 0.02
    assert abs(shifts[1] + (0 if antialias else 0.49)) < 0.02, "the fraction is rounded now"
PROGRAM
