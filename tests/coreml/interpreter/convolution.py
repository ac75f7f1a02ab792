"""Operators of `conv.py`."""

from __future__ import annotations

import itertools
from typing import Final

import numpy as np

from tests.coreml.interpreter.datatypes import Array, wide
from tests.coreml.interpreter.signatures import FLOAT, UndocumentedError, operator, require
from tests.coreml.interpreter.windows import numbers, pads, windows

_OPTIONS: Final = (
    "pad_type: const string{}, pad: const int32[] = None, strides: const int32[] = None,"
    " dilations: const int32[] = None, groups: const int32 = 1"
)


def _check(x: Array, weight: Array, bias: Array | None, outputs: int) -> None:
    require(3 <= x.ndim <= 5, f"x has the rank {x.ndim}, not 3 to 5")
    require(weight.ndim == x.ndim, f"weight has the rank {weight.ndim}, x {x.ndim}")
    require(bias is None or bias.shape == (outputs,), f"bias is not a vector of {outputs}")


def _biased(result: Array, bias: Array | None) -> Array:
    return result if bias is None else result + wide(bias).reshape(-1, *[1] * (result.ndim - 2))


@operator(f"conv(x: T, weight: U, bias: U = None, {_OPTIONS.format('')}) -> T", T=FLOAT, U=FLOAT)
def conv(
    x: Array,
    *,
    weight: Array,
    bias: Array | None,
    pad_type: str,
    pad: Array | None,
    strides: Array | None,
    dilations: Array | None,
    groups: int,
) -> Array:
    _check(x, weight, bias, weight.shape[0])
    spatial = x.ndim - 2
    steps, spread = numbers(strides, spatial, 1, "strides"), numbers(dilations, spatial, 1, "dilations")
    require(pad is None or pad_type == "custom" or not pad.any(), f"pad is given with pad_type {pad_type}")
    require(x.shape[1] % groups == 0 and weight.shape[0] % groups == 0, f"channels in {groups} groups")
    require(weight.shape[1] == x.shape[1] // groups, f"weight {weight.shape} for x {x.shape} in {groups} groups")
    kernel = weight.shape[2:]
    reaches = [(size - 1) * dilation + 1 for size, dilation in zip(kernel, spread, strict=True)]
    padding = pads(pad_type, pad, x.shape[2:], reaches, steps)
    view = windows(np.pad(wide(x), [(0, 0), (0, 0), *padding]), kernel, steps, spread)
    contracted = (1, *range(2 + spatial, 2 + 2 * spatial))
    filters = wide(weight)
    outputs = [
        np.tensordot(inputs, part, (contracted, range(1, 2 + spatial)))
        for inputs, part in zip(np.split(view, groups, 1), np.split(filters, groups), strict=True)
    ]
    return _biased(np.moveaxis(np.concatenate(outputs, -1), -1, 1), bias)


@operator(
    f"conv_transpose(x: T, weight: U, bias: U = None, {_OPTIONS.format(' = None')},"
    " output_shape: const int32[] = None) -> T",
    T=FLOAT,
    U=FLOAT,
)
def conv_transpose(
    x: Array,
    *,
    weight: Array,
    bias: Array | None,
    pad_type: str | None,
    pad: Array | None,
    strides: Array | None,
    dilations: Array | None,
    groups: int,
    output_shape: Array | None,
) -> Array:
    """The gradient of `conv`: every element of `x` adds a scaled kernel to the output."""
    each = weight.shape[1]
    _check(x, weight, bias, each * groups)
    spatial = x.ndim - 2
    steps, spread = numbers(strides, spatial, 1, "strides"), numbers(dilations, spatial, 1, "dilations")
    require(weight.shape[0] == x.shape[1] and x.shape[1] % groups == 0, f"weight {weight.shape} for x {x.shape}")
    require(pad is None or pad_type == "custom" or not pad.any(), f"pad is given with pad_type {pad_type}")
    if pad_type not in (None, "valid", "custom"):
        raise UndocumentedError(f"where the output of pad_type {pad_type} begins")
    padding = pads(pad_type or "valid", pad, x.shape[2:], [1] * spatial, steps)
    kernel = weight.shape[2:]
    full = [(x.shape[2 + i] - 1) * steps[i] + (kernel[i] - 1) * spread[i] + 1 for i in range(spatial)]
    # [n, groups, C_in / groups, *D] with [groups, C_in / groups, C_out / groups, *K]
    inputs = wide(x).reshape(x.shape[0], groups, -1, *x.shape[2:])
    filters = wide(weight).reshape(groups, -1, each, *kernel)
    sizes = [int(size) for size in output_shape[2:]] if output_shape is not None else None
    if output_shape is not None:
        require(tuple(output_shape[:2]) == (x.shape[0], each * groups), f"output_shape begins with {output_shape[:2]}")
        require(len(output_shape) == x.ndim, f"output_shape has {len(output_shape)} elements")
    total = np.zeros((x.shape[0], groups, each, *full))
    for place in itertools.product(*map(range, kernel)):
        part = np.einsum("ngi...,gio->ngo...", inputs, filters[(slice(None),) * 3 + place])
        where = tuple(
            slice(p * d, p * d + (n - 1) * s + 1, s)
            for p, d, n, s in zip(place, spread, x.shape[2:], steps, strict=True)
        )
        total[(slice(None),) * 3 + where] += part
    total = total.reshape(x.shape[0], each * groups, *full)
    for axis, (before, after) in enumerate(padding):
        natural = full[axis] - before - after
        size = natural if sizes is None else sizes[axis]
        # A stride maps so many sizes to one: the gradient reaches none of the elements behind the full output.
        require(natural <= size < natural + steps[axis], f"output_shape {size} where {natural} is natural")
        longer = np.pad(total, [(0, size) if i == axis + 2 else (0, 0) for i in range(total.ndim)])
        total = np.take(longer, range(before, before + size), axis + 2)
    return _biased(total, bias)
