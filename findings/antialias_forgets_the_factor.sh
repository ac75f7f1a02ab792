#!/usr/bin/env bash
# One would guess: `interpolate` with a `scale_factor` of 0.7 is exported with this factor, with `antialias` as without.
#
# What happens: with `antialias` the exporter of PyTorch writes the size of the result, from which `Resize` takes the ratio
# of the sizes in place of the factor.
#
# Seen with torch 2.14.1, onnxscript 0.7.2 and onnxruntime 1.32.0: a ramp from 0 to 7 becomes [0.35, 1.63, 3.06, 4.5, 5.94]
# in PyTorch, and [0.41, 1.93, 3.5, 5.07, 6.59] in the exported model, as by `size=5`. Without `antialias` the two agree.
#
# Why it matters: the step from pixel to pixel is 1.43 in one and 1.6 in the other. At the end of the row the image is off
# by half a pixel or more, and so are boxes that are scaled by 0.7.
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


ramp, seen = torch.arange(8.0)[None, None, None], {}
for antialias in (False, True):

    def by_factor(x):
        return F.interpolate(x, scale_factor=(1, 0.7), mode="bilinear", antialias=antialias)

    def by_size(x):
        return F.interpolate(x, size=(1, 5), mode="bilinear", antialias=antialias)

    seen[antialias] = [a.flatten() for a in (by_factor(ramp), by_size(ramp), exported(by_factor, ramp))]
for case, results in seen.items():
    print(case, *(a.tolist() for a in results))
torch.testing.assert_close(seen[False][0], seen[False][2])
assert (seen[True][0] - torch.tensor([0.3462, 1.6296, 3.0645, 4.5, 5.9355])).abs().max() < 1e-3
torch.testing.assert_close(seen[True][2], seen[True][1], msg="the factor is exported now")
PROGRAM
