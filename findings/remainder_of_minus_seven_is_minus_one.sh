#!/usr/bin/env bash
# One would guess: `%` of integers has the sign of the divisor in an exported program, as in PyTorch and Python.
#
# What happens: the portable kernel of ExecuTorch takes the remainder as C does, with the sign of the dividend. For floats
# it is right, and so is `//` of the same integers, which rounds down. Quotient and remainder do not belong together.
#
# Seen with executorch 1.5.1 and torch 2.14.1: [-1, -7, 7] % [3, 3, -3] is [2, 2, -2] in PyTorch and for floats, and [-1,
# -1, 1] in the program, for int8, int32 and int64.
#
# Why it matters: places in a ring and relative positions are taken modulo a size. -1 % n is meant to be the last place;
# what comes out is before the first.
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


dividends, divisors = torch.tensor([-1, -7, 7]), torch.tensor([3, 3, -3])
remainders = {}
for dtype in (torch.float32, torch.int8, torch.int32, torch.int64):
    a, b = dividends.to(dtype), divisors.to(dtype)
    assert torch.remainder(a, b).tolist() == [2, 2, -2]
    assert lowered(lambda a, b: a // b, a, b).tolist() == (a // b).tolist() == [-1, -3, -3]
    remainders[str(dtype)] = lowered(lambda a, b: a % b, a, b).tolist()
print(remainders)
assert remainders.pop("torch.float32") == [2, 2, -2]
assert all(remainder == [-1, -1, 1] for remainder in remainders.values()), "the remainder has the sign of the divisor now"
PROGRAM
