#!/usr/bin/env bash
# One would guess: a number in a product with a tensor in float16 means the same in PyTorch and in the exported model.
#
# What happens: PyTorch multiplies by it in float32 and rounds the result. The exporter makes it a constant in float16,
# where 100000 is infinity and 1e-8 is 0.
#
# Seen with torch 2.14.1, onnxscript 0.7.2 and onnxruntime 1.32.0: 0.5 * 100000 is 49984 in PyTorch and infinity in the
# exported model, 0 * 100000 is 0 and NaN, 60000 / 100000 is 0.6 and 0, and 60000 * 1e-8 is 0.0006 and 0.
#
# Why it matters: such factors scale timestamps, sensor values and losses, and undo an earlier scale. The same model in
# float32 is exported correctly.
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


def product(x):
    return x * 100000


def quotient(x):
    return x / 100000


def tiny(x):
    return x * 1e-8


numbers, seen = torch.tensor([0.5, 0, 60000]), {}
for data_type in (torch.float32, torch.float16):
    for function in (product, quotient, tiny):
        x = numbers.to(data_type)
        seen[data_type, function.__name__] = function(x).tolist(), exported(function, x).tolist()
for case, pair in seen.items():
    print(*case, *pair)
    if case[0] == torch.float32:
        torch.testing.assert_close(*map(torch.tensor, pair))
halves = {name: pair for (data_type, name), pair in seen.items() if data_type == torch.float16}
assert halves["product"][0][:2] == [49984, 0] and halves["quotient"][0][2] > 0.6 and halves["tiny"][0][2] > 5e-4
assert halves["product"][1][0] == torch.inf and halves["product"][1][1] != halves["product"][1][1], "it is finite now"
assert halves["quotient"][1] == halves["tiny"][1] == [0, 0, 0], "the numbers are kept in float32 now"
PROGRAM
