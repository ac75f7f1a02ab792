#!/usr/bin/env bash
# One would guess: `interpolate` with scale_factor=1.5 maps pixels by 1.5, also where the size is not a multiple of it,
# when ExecuTorch hands it to XNNPACK.
#
# What happens: PyTorch maps by the factor that was given. XNNPACK knows only sizes, and takes the ratio of the rounded
# sizes. The partitioner hands the bilinear mode over all the same.
#
# Seen with executorch 1.5.1 and torch 2.14.1: five pixels 0, 10, 20, 30, 40, times 1.5, become [0, 5, 11.7, 18.3, 25,
# 31.7, 38.3] in PyTorch and with ExecuTorch's own kernels, and [0, 5.7, 12.9, 20, 27.1, 34.3, 40] with XNNPACK: 5 / 7
# instead of 1 / 1.5.
#
# Why it matters: feature maps and masks are shifted against each other, more and more towards the right and the bottom.
# With an even size, or with size= in place of a factor, there is nothing to see.
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



def enlarged(x):
    return torch.nn.functional.interpolate(x, scale_factor=1.5, mode="bilinear", align_corners=False)


def of_size(x):
    return torch.nn.functional.interpolate(x, size=(7, 7), mode="bilinear", align_corners=False)


x = (torch.arange(5.0) * 10).expand(1, 1, 5, 5).contiguous()
portable, delegated = lowered(enlarged, x, []), lowered(enlarged, x, [XnnpackPartitioner()])
print(enlarged(x)[0, 0, 0], portable[0, 0, 0], delegated[0, 0, 0])
torch.testing.assert_close(portable, enlarged(x), rtol=1e-4, atol=1e-4)
torch.testing.assert_close(lowered(of_size, x, [XnnpackPartitioner()]), of_size(x), rtol=1e-4, atol=1e-4)
assert (delegated - enlarged(x)).abs().max() > 1, "the factor is taken as it was given now"
torch.testing.assert_close(delegated, of_size(x), rtol=1e-4, atol=1e-4)
PROGRAM
