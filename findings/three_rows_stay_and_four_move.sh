#!/usr/bin/env bash
# One would guess: `interpolate` with `scale_factor=1.3` finds the place of each new row by dividing by 1.3, as documented,
# however many rows there are, and so does the exported model.
#
# What happens: if the factor leaves an axis as long as it is, PyTorch copies this axis and divides by the factor along the
# others only. ONNX's `Resize` has no such exception.
#
# Seen with torch 2.14.1, onnxscript 0.7.2 and onnxruntime 1.32.0: 4 rows of [0, 1, 2, 3] become 5 rows of [0, 0.65, 1.42,
# 2.19, 2.96] in both. 3 rows stay 3, since 3.9 is rounded down: they are [0, 1, 2] in PyTorch, and [0, 0.65, 1.42] in the
# exported model.
#
# Why it matters: images with one short side, and the deep layers of a pyramid, have such axes. Their content moves up by
# half a row in one and not in the other.
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


def larger(x):
    return F.interpolate(x, scale_factor=1.3, mode="bilinear")


seen = {}
for rows in (3, 4):
    x = torch.arange(float(rows))[:, None].expand(rows, 10)[None, None].contiguous()
    seen[rows] = larger(x)[0, 0, :, 0].tolist(), exported(larger, x)[0, 0, :, 0].tolist()
    print(rows, *seen[rows])
torch.testing.assert_close(torch.tensor(seen[4][0]), torch.tensor([0, 0.65385, 1.42308, 2.19231, 2.96154]), rtol=1e-4, atol=0)
torch.testing.assert_close(*map(torch.tensor, seen[4]))
torch.testing.assert_close(torch.tensor(seen[3][1]), torch.tensor(seen[4][1][:3]))
assert seen[3][0] == [0, 1, 2], "the factor counts for all axes now"
PROGRAM
