"""Windows over spatial dimensions, which convolutions and pools share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tests.coreml.interpreter.datatypes import Array
from tests.coreml.interpreter.signatures import ProgramError, UndocumentedError, require

__all__ = ["numbers", "pads", "windows"]


def numbers(given: Array | None, count: int, default: int, name: str) -> list[int]:
    """A parameter with one number for each of `count` places."""
    values = [default] * count if given is None else [int(value) for value in given]
    require(len(values) == count, f"{name} has {len(values)} elements, not {count}")
    return values


def pads(
    pad_type: str, pad: Array | None, sizes: Sequence[int], reaches: Sequence[int], strides: Sequence[int]
) -> list[tuple[int, int]]:
    """The padding before and after each spatial dimension, whose windows reach over so many elements.

    The documentation has two formulas for `same` and `same_lower`: a padding made of the window alone, and an output of
    ceil(size / stride) elements. Where they differ it is undocumented.
    """
    match pad_type:
        case "valid":
            return [(0, 0)] * len(sizes)
        case "custom":
            values = numbers(pad, 2 * len(sizes), 0, "pad")
            require(min(values) >= 0, f"pad has negative elements: {values}")
            return list(zip(values[::2], values[1::2], strict=True))
        case "same" | "same_lower":
            found = []
            for size, reach, stride in zip(sizes, reaches, strides, strict=True):
                total = max((-(-size // stride) - 1) * stride + reach - size, 0)
                if total != reach - 1:
                    raise UndocumentedError(
                        f"pad_type {pad_type} of {size} elements, window {reach} and stride {stride}"
                    )
                before = -(-total // 2) if pad_type == "same_lower" else total // 2
                found.append((before, total - before))
            return found
    raise ProgramError(f"there is no pad_type {pad_type}")


def windows(x: Array, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]) -> Array:
    """Every window of `x` [n, C, *D], as a view [n, C, *D_out, *kernel]."""
    reaches = tuple((size - 1) * dilation + 1 for size, dilation in zip(kernel, dilations, strict=True))
    spatial = tuple(range(2, x.ndim))
    require(
        all(x.shape[axis] >= reach for axis, reach in zip(spatial, reaches, strict=True)), "a window is larger than x"
    )
    view = np.lib.stride_tricks.sliding_window_view(x, reaches, spatial)
    every = (slice(None), slice(None))
    return view[(*every, *(slice(None, None, s) for s in strides), *(slice(None, None, d) for d in dilations))]
