#!/usr/bin/env bash
# One would guess: `interpolate` with `antialias=True` and `align_corners=True` makes a smaller image of a ramp that is a
# ramp around the same middle, as it is without either of them.
#
# What happens: the step from pixel to pixel follows `align_corners`, and the place of the first pixel does not. The
# image moves to the right and down. ONNX has both options too, and the exported model is symmetric.
#
# Seen with torch 2.14.1, onnxscript 0.7.2 and onnxruntime 1.32.0: the ramp from 0 to 8 in 3 pixels is [1.25, 4, 6.75]
# with `antialias`, [0, 4, 8] with `align_corners`, and [1.89, 5.39, 7.44] with both. The exported model gives [0.67, 4,
# 7.33].
#
# Why it matters: boxes and masks that belong to the image do not move with it. A model that was trained on such images
# is off in onnxruntime by more than a pixel.
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


ramp = torch.arange(9.0)[None, None, None]
seen = {}
for antialias in (False, True):
    for align_corners in (False, True):

        def smaller(x):
            return F.interpolate(x, size=(1, 3), mode="bilinear", antialias=antialias, align_corners=align_corners)

        seen[antialias, align_corners] = smaller(ramp).flatten(), exported(smaller, ramp)(ramp).flatten()
for options, (expected, result) in seen.items():
    print(options, expected.tolist(), result.tolist())
    torch.testing.assert_close((result + result.flip(0)) / 2, torch.full((3,), 4.0))
    if options != (True, True):
        torch.testing.assert_close(expected, result)
torch.testing.assert_close(seen[True, True][1], torch.tensor([2 / 3, 4, 22 / 3]))
moved = seen[True, True][0]
assert (moved - torch.tensor([1.893, 5.387, 7.444])).abs().max() < 0.01, "the image stays in its place now"
PROGRAM
