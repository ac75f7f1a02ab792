#!/usr/bin/env bash
# One would guess: a division of floats by zero that is rounded down follows IEEE 754: 0 // 0 is NaN, and 1 // -0.0 is
# minus infinity, as in PyTorch.
#
# What happens: the portable kernel of ExecuTorch handles zero on its own. It gives infinity with the sign of the
# dividend, whatever the sign of the zero, and infinity for 0 // 0. Its plain division is right.
#
# Seen with executorch 1.5.1 and torch 2.14.1: [0, 1, -1] // [0, -0, -0] is [nan, -inf, inf] in PyTorch, and [inf, inf,
# -inf] in the program.
#
# Why it matters: NaN is what later steps look for to leave out empty cells. An infinity with the wrong sign passes, and
# wins a maximum that it should lose.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    executorch==1.5.1 torch==2.14.1 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import torch
from executorch.exir import to_edge_transform_and_lower
from executorch.runtime import Runtime

class Model(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.forward = function


def lowered(function, *tensors):
    """The result of the function as a program of ExecuTorch, with its portable kernels."""
    program = to_edge_transform_and_lower(torch.export.export(Model(function), tensors)).to_executorch()
    return Runtime.get().load_program(program.buffer).load_method("forward").execute(tensors)[0].clone()


a, b = torch.tensor([0.0, 1.0, -1.0]), torch.tensor([0.0, -0.0, -0.0])
expected, exact = torch.floor_divide(a, b), torch.div(a, b)
result = lowered(lambda a, b: a // b, a, b)
print(expected, result)
torch.testing.assert_close(exact, expected, equal_nan=True)
torch.testing.assert_close(lowered(lambda a, b: a / b, a, b), exact, equal_nan=True)
assert result.tolist() == [float("inf"), float("inf"), float("-inf")], "0 // 0 is NaN now"
PROGRAM
