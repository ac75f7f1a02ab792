#!/usr/bin/env bash
# One would guess: the square root of infinity is infinity and the reciprocal square root of 0 is infinity, as IEEE 754
# has it and PyTorch gives it.
#
# What happens: XNNPACK, to which ExecuTorch hands both, gives NaN on x86-64. ExecuTorch's own kernels are right.
#
# Seen with executorch 1.5.1 and torch 2.14.1 on x86-64: the roots of [4, infinity] are [2, NaN], and the reciprocal roots
# of [4, 0] are [0.5, NaN].
#
# Why it matters: a squared distance that overflows is infinitely far away, and a weight of 1 / sqrt(0) can be clipped to
# a maximum. NaN can be neither compared nor clipped, and spreads.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    executorch==1.5.1 torch==2.14.1 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import torch
from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
from executorch.exir import to_edge_transform_and_lower
from executorch.runtime import Runtime


class Model(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.forward = function


def lowered(function, tensor, partitioners):
    """The result of the function as a program of ExecuTorch."""
    exported = torch.export.export(Model(function), (tensor,))
    program = to_edge_transform_and_lower(exported, partitioner=partitioners).to_executorch()
    return Runtime.get().load_program(program.buffer).load_method("forward").execute((tensor,))[0].clone()


infinity = float("inf")
roots, reciprocals = torch.tensor([4.0, infinity] * 8), torch.tensor([4.0, 0.0] * 8)
assert lowered(lambda x: torch.sqrt(x), roots, [])[:2].tolist() == torch.sqrt(roots)[:2].tolist() == [2, infinity]
assert lowered(lambda x: torch.rsqrt(x), reciprocals, [])[:2].tolist() == torch.rsqrt(reciprocals)[:2].tolist() == [0.5, infinity]
root = lowered(lambda x: torch.sqrt(x), roots, [XnnpackPartitioner()])[:2]
reciprocal = lowered(lambda x: torch.rsqrt(x), reciprocals, [XnnpackPartitioner()])[:2]
print(root, reciprocal)
assert root[0] == 2 and abs(reciprocal[0] - 0.5) < 1e-6
assert root[1].isnan(), "the root of infinity is infinity now"
assert reciprocal[1].isnan(), "the reciprocal root of 0 is infinity now"
PROGRAM
