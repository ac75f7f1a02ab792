"""Operators of `pool.py`."""

from __future__ import annotations

from typing import Final

import numpy as np

from tests.coreml.interpreter.datatypes import Array, wide
from tests.coreml.interpreter.signatures import FLOAT, UndocumentedError, operator, require
from tests.coreml.interpreter.windows import numbers, pads, windows

_OPTIONS: Final = (
    "kernel_sizes: const int32[], pad_type: const string, strides: const int32[] = None, pad: const int32[] = None,"
    " ceil_mode: const bool = False"
)


def _windows(
    x: Array,
    *,
    kernel_sizes: Array,
    pad_type: str,
    strides: Array | None,
    pad: Array | None,
    ceil_mode: bool,
    fill: float,
    outside: float,
) -> Array:
    """The windows over `x`; padding holds `fill`, and what `ceil_mode` adds behind it holds `outside`."""
    require(3 <= x.ndim <= 5, f"x has the rank {x.ndim}, not 3 to 5")
    spatial = x.ndim - 2
    kernel = numbers(kernel_sizes, spatial, 1, "kernel_sizes")
    steps = numbers(strides, spatial, 1, "strides")
    require(pad is None or pad_type == "custom" or not pad.any(), f"pad is given with pad_type {pad_type}")
    if pad_type in ("same", "same_lower"):
        raise UndocumentedError(f"the padding of pad_type {pad_type}: the documentation contradicts itself")
    padding = pads(pad_type, pad, x.shape[2:], kernel, steps)
    array = np.pad(x, [(0, 0), (0, 0), *padding], constant_values=fill)
    if ceil_mode:
        require(spatial <= 2, "ceil_mode is for 1-D and 2-D pools")
        require(all(before == after for before, after in padding), f"ceil_mode with the padding {padding}")
        more = [(0, 0), (0, 0)]
        cut = [slice(None), slice(None)]
        for axis, (before, after) in enumerate(padding):
            size, step = x.shape[axis + 2], steps[axis]
            count = -(-(size + before + after - kernel[axis]) // step) + 1
            if (count - 1) * step >= size + before and before + after > 0:
                count -= 1
            end = (count - 1) * step + kernel[axis]
            more.append((0, max(end - array.shape[axis + 2], 0)))
            cut.append(slice(0, end))
        array = np.pad(array, more, constant_values=outside)[tuple(cut)]
    return windows(array, kernel, steps, [1] * spatial)


@operator(f"max_pool(x: T, {_OPTIONS}) -> T", T=FLOAT)
def max_pool(x: Array, **options: object) -> Array:
    view = _windows(wide(x), **options, fill=-np.inf, outside=-np.inf)  # type: ignore[arg-type]
    return view.max(tuple(range(x.ndim, view.ndim)))


@operator(f"l2_pool(x: T, {_OPTIONS}) -> T", T=FLOAT)
def l2_pool(x: Array, ceil_mode: bool, **options: object) -> Array:
    require(x.ndim <= 4, "l2_pool is for 1-D and 2-D")
    require(not ceil_mode, "ceil_mode is not in the documentation of l2_pool")
    view = _windows(np.square(wide(x)), **options, ceil_mode=False, fill=0, outside=0)  # type: ignore[arg-type]
    return np.sqrt(view.sum(tuple(range(x.ndim, view.ndim))))


@operator(f"avg_pool(x: T, {_OPTIONS}, exclude_padding_from_average: const bool = False) -> T", T=FLOAT)
def avg_pool(x: Array, exclude_padding_from_average: bool, **options: object) -> Array:
    """The elements behind the padding, which `ceil_mode` reaches, never count, as in PyTorch."""
    view = _windows(wide(x), **options, fill=0, outside=0)  # type: ignore[arg-type]
    padding = 0.0 if exclude_padding_from_average else 1.0
    counted = _windows(np.ones(x.shape), **options, fill=padding, outside=0)  # type: ignore[arg-type]
    axes = tuple(range(x.ndim, view.ndim))
    return view.sum(axes) / counted.sum(axes)
