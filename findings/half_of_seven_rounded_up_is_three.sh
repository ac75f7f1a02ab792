#!/usr/bin/env bash
# One would guess: arithmetic with a dynamic size means the same in the exported model as in Python: `-(-n // 2)` is the
# half of n, rounded up.
#
# What happens: the exporter of PyTorch writes `//` of sizes as ONNX's `Div`, which rounds towards 0 where Python rounds
# down. A division of integer tensors that rounds down is exported correctly.
#
# Seen with torch 2.14.1, onnxscript 0.7.2 and onnxruntime 1.32.0: of 7 rows, `x[: -(-x.shape[0] // 2)]` takes 4 in
# PyTorch and 3 in the exported model. 6 and 8 rows are right. `(n - 10) // 3` is -1 for n = 8, and 0.
#
# Why it matters: this is the usual way to round up: for patches, chunks and strides. Every second size loses its last
# row, and the example of the export was probably even.
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


def exported(function, *arguments, **options):
    """The function as an exported model, as a function of tensors."""
    file = io.BytesIO()
    torch.onnx.export(Function(function), arguments, dynamo=True, verbose=False, **options).save(file)
    session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    return lambda *tensors: torch.from_numpy(session.run(None, {n: t.numpy() for n, t in zip(names, tensors)})[0])


def first_half(x):
    return x[: -(-x.shape[0] // 2)]


def thirds(x):
    return x + (x.shape[0] - 10) // 3


def of_tensors(x):
    return torch.div(x.to(torch.int64), -2, rounding_mode="floor")


any_size = dict(dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
example, seen = torch.zeros(6, 1), {}
for function in (first_half, thirds, of_tensors):
    model = exported(function, example, **any_size)
    for size in (6, 7, 8):
        x = torch.arange(float(size))[:, None]
        seen[function.__name__, size] = function(x).flatten().tolist(), model(x).flatten().tolist()
for case, (expected, result) in seen.items():
    print(*case, expected, result)
for case in (("first_half", 6), ("first_half", 8), ("thirds", 7), *(("of_tensors", size) for size in (6, 7, 8))):
    assert seen[case][0] == seen[case][1], case
assert seen["first_half", 7] == ([0, 1, 2, 3], [0, 1, 2]), "halves of sizes are rounded down now"
assert seen["thirds", 8][0][0] == -1 and seen["thirds", 8][1][0] == 0, "thirds of sizes are rounded down now"
PROGRAM
