#!/usr/bin/env bash
# One would guess: a dimension that is declared dynamic is dynamic in the exported model, or the export fails, as it does
# for `x.view(6)`.
#
# What happens: where a size goes through a float, `torch.export` writes the number of the example into the program, and
# beside it a check that refuses other sizes. `torch.onnx.export` leaves the check out. In a pool of a given output size,
# it writes the window of the example's size itself. The model accepts every size.
#
# Seen with torch 2.14.1, onnxscript 0.7.2, onnxruntime 1.32.0 and 6 rows as the example: `x[: int(x.shape[0] * 0.5)]` of
# 10 rows has 5 rows in PyTorch and 3 in the exported model. `adaptive_avg_pool1d(x, 2)` of a length of 10 has 2 numbers,
# and 3. With `math.ceil(x.shape[0] / 2)` the model is dynamic.
#
# Why it matters: shares of a length, and pools before a classifier, are what dynamic sizes are for. The model is right
# for the size of the example, which is the size of most tests.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    torch==2.14.1 onnxscript==0.7.2 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - 2> "$folder/log" <<'PROGRAM' || { cat "$folder/log"; exit 1; }
import io
import math

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


def half(x):
    return x[: int(x.shape[0] * 0.5)]


def pooled(x):
    return F.adaptive_avg_pool1d(x.T, 2)


def rounded_up(x):
    return x[: math.ceil(x.shape[0] / 2)]


example, longer = torch.ones(6, 1), torch.ones(10, 1)
dynamic = dict(dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
try:
    exported(lambda x: x.view(6), example, **dynamic)
    raise SystemExit("a view of six was exported")
except torch.onnx.OnnxExporterError:
    pass
seen = {}
for function in (half, pooled, rounded_up):
    program = torch.export.export(Function(function), (example,), **dynamic).module()
    model = exported(function, example, **dynamic)
    assert program(example).shape == model(example).shape == function(example).shape
    try:
        checked = program(longer).numel()
    except AssertionError as error:
        checked = str(error)
    seen[function.__name__] = [function(longer).numel(), checked, model(longer).numel()]
print(seen)
assert seen["rounded_up"] == [5, 5, 5]
assert seen["half"][0] == 5 and "Guard failed" in str(seen["half"][1])
assert seen["pooled"][0] == 2
assert seen["half"][2] == seen["pooled"][2] == 3, "the size is dynamic now"
PROGRAM
