#!/usr/bin/env bash
# One would guess: `baddbmm` with `beta=0` ignores its first argument, in which NaN and infinity then do not matter, as its
# documentation says, and so does the exported model.
#
# What happens: the exporter of PyTorch writes the product with 0, which keeps NaN. That of `addmm`, which becomes `Gemm`,
# ignores the argument in onnxruntime.
#
# Seen with torch 2.14.1, onnxscript 0.7.2 and onnxruntime 1.32.0: for a first argument of [NaN, infinity, 1] all three
# functions give 2 in PyTorch. In the exported models `addmm` gives 2, and `baddbmm` and `addbmm` give [NaN, NaN, 2].
#
# Why it matters: `beta=0` is how models write a scaled product of a batch, with any tensor of the right shape as the first
# argument. If that one may overflow, a masked score is NaN in the exported model alone.
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


one, batch = torch.ones(1, 2), torch.ones(1, 2, 3)
unused, seen = torch.tensor([[torch.nan, torch.inf, 1]]), {}
for name, first, left, right in (
    ("addmm", unused, one, batch[0]),
    ("addbmm", unused, one[None], batch),
    ("baddbmm", unused[None], one[None], batch),
):

    def function(first, left, right):
        return getattr(torch, name)(first, left, right, beta=0, alpha=1)

    seen[name] = function(first, left, right).flatten(), exported(function, first, left, right).flatten()
for name, (expected, result) in seen.items():
    print(name, expected.tolist(), result.tolist())
    assert expected.tolist() == [2, 2, 2]
assert seen["addmm"][1].tolist() == [2, 2, 2]
for name in ("addbmm", "baddbmm"):
    assert seen[name][1].isnan().tolist() == [True, True, False], f"the exported {name} ignores its first argument now"
PROGRAM
