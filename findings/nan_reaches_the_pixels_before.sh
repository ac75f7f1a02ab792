#!/usr/bin/env bash
# One would guess: a convolution with windows of 1x1 computes each pixel on its own: one NaN in the image is one NaN in
# the result.
#
# What happens: where one channel goes in and one comes out, the two pixels before it become NaN as well, also across the
# border of a row. Infinity does the same. With two channels on either side, or through a linear layer, each pixel is on
# its own.
#
# Seen with executorch 1.5.1 with XNNPACK and torch 2.14.1 on x86-64: of 1 to 8 with NaN in place of 6, the identity makes
# [1, 2, 3, NaN, NaN, NaN, 7, 8]. PyTorch and ExecuTorch's own kernels keep 4 and 5.
#
# Why it matters: depth images and maps of the weather mark missing pixels by NaN, and a scale with a bias is a
# convolution like this one. Each hole grows to the left.
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



def convolution(channels):
    layer = torch.nn.Conv2d(1, channels, 1)
    torch.nn.init.ones_(layer.weight)
    torch.nn.init.zeros_(layer.bias)
    return layer


class Identity(torch.nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.layer = convolution(channels)

    def forward(self, x):
        return self.layer(x)


def computed(channels, partitioners):
    x = torch.arange(1.0, 9.0).reshape(1, 1, 2, 4)
    x[0, 0, 1, 1] = float("nan")
    program = to_edge_transform_and_lower(torch.export.export(Identity(channels), (x,)), partitioner=partitioners).to_executorch()
    return Runtime.get().load_program(program.buffer).load_method("forward").execute((x,))[0][0, 0].flatten().clone()


portable, two, one = computed(1, []), computed(2, [XnnpackPartitioner()]), computed(1, [XnnpackPartitioner()])
print(portable, two, one)
assert portable.isnan().nonzero().flatten().tolist() == two.isnan().nonzero().flatten().tolist() == [5]
assert one.isnan().nonzero().flatten().tolist() == [3, 4, 5], "each pixel is on its own now"
PROGRAM
