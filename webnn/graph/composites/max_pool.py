"""The largest element of each window over one to three axes, and where it was found.

WebNN pools over two axes, and does not say where the largest elements are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from webnn.errors import NotSupportedError
from webnn.graph.composites.composite import Builder, compose, composite, spelled_out
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.ir import Node
from webnn.graph.operand import MLOperand

__all__ = ["largest_of_windows"]

_PLACES: Final = 1 << 24
"""The most indices of elements of windows."""
_ELEMENTS: Final = 1 << 10
"""The most elements of a window whose largest one is looked for."""
_TYPES: Final = ("float32", "float16", "int8", "uint8")
"""Those that runtimes have kernels for."""


def largest_of_windows(
    b: Builder,
    x: MLOperand,
    counts: Sequence[int],
    *,
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    pads: Sequence[int],
    places: bool,
    backwards: bool,
) -> list[MLOperand]:
    """The largest elements `[images, channels, *counts]`, and if `places` their indices among all elements, in int64.

    Args:
        b: takes the node.
        x: `[images, channels, ...]`.
        counts: the number of windows along each axis.
        kernel: the sizes of a window.
        strides: from one window to the next.
        dilations: from one element of a window to the next.
        pads: what the windows reach over the beginning of each axis, then over the end.
        places: whether indices are wanted, too.
        backwards: whether indices count along the first of the spatial axes first.

    Raises:
        NotSupportedError: finding the places takes too much memory.
    """
    shape = [*x.shape[:2], *counts]
    outputs = [MLOperandDescriptor(x.data_type, shape), *([MLOperandDescriptor("int64", shape)] if places else [])]
    options: dict[str, Any] = {"kernel_shape": tuple(kernel), "strides": tuple(strides), "dilations": tuple(dilations)}
    options |= {"pads": tuple(pads), "storage_order": int(backwards)}
    # Runtimes refuse more padding than this, and disagree on windows without an element of the input.
    fits = all(pad < size for pad, size in zip(pads, [*kernel, *kernel], strict=True))
    reaches = max(dilations) == 1 or not any(pads)
    make = compose if x.data_type in _TYPES and fits and reaches else spelled_out
    return make(b, "max_pool", {"input": x}, outputs, **options)


@composite
def max_pool(b: Builder, node: Node) -> Sequence[MLOperand]:
    """Pools over the last two axes, then over the one before; and the largest of slices for the places."""
    x, counts = node["input"], node.output.shape[2:]
    places = [_places(b, node)] if len(node.outputs) > 1 else []
    axes = list(range(len(counts)))
    for step in (axes[-2:], *([axis] for axis in axes[:-2])):
        first, after = 2 + step[0], 3 + step[-1]
        shape = [x.shape[0], math.prod(x.shape[1:first]), *x.shape[first:after], math.prod(x.shape[after:])][:4]
        kernel, strides, dilations = (
            [*(node.attributes[name][axis] for axis in step), 1][:2]
            for name in ("kernel_shape", "strides", "dilations")
        )
        pads = node.attributes["pads"]
        around = [pad for axis in step for pad in (pads[axis], pads[axis + len(counts)])]
        sizes = [counts[axis] for axis in step]
        pooled = b.max_pool2d(
            b.reshape(x, shape),
            window_dimensions=kernel,
            padding=[*around, 0, 0][:4],
            strides=strides,
            dilations=dilations,
            output_sizes=[*sizes, shape[3]][:2],
        )
        x = b.reshape(pooled, [*x.shape[:first], *sizes, *x.shape[after:]])
    return [x, *places]


def _places(b: Builder, node: Node) -> MLOperand:
    """The index of each window's largest element in the flattened input.

    The elements at one position of all windows are one slice of the input; arg_max over these slices finds the largest.
    """
    x, counts = node["input"], node.output.shape[2:]
    kernel, strides, dilations, pads = (
        node.attributes[name] for name in ("kernel_shape", "strides", "dilations", "pads")
    )
    sizes, before = x.shape[2:], pads[: len(counts)]
    total, elements = math.prod(counts), math.prod(kernel)
    if elements > _ELEMENTS or elements * total > _PLACES:
        raise NotSupportedError(
            f"{node.where}: the indices of the largest of {elements} elements in {total} windows take too much memory"
        )
    ends = [
        (count - 1) * stride + (k - 1) * d + 1
        for count, stride, k, d in zip(counts, strides, kernel, dilations, strict=True)
    ]
    after = [max(end - size - pad, 0) for end, size, pad in zip(ends, sizes, before, strict=True)]
    lowest = -math.inf if x.descriptor.dtype.kind == "f" else int(np.iinfo(x.descriptor.dtype).min)
    padded = b.pad(x, [0, 0, *before], [0, 0, *after], value=lowest)
    slices, numbers = [], []
    for element in np.ndindex(*kernel):
        starts = [i * d for i, d in zip(element, dilations, strict=True)]
        lengths = [(count - 1) * stride + 1 for count, stride in zip(counts, strides, strict=True)]
        part = b.slice(padded, [0, 0, *starts], [*x.shape[:2], *lengths], strides=[1, 1, *strides])
        slices.append(b.reshape(part, [*x.shape[:2], 1, total]))
        rows = zip(starts, counts, strides, before, sizes, strict=True)
        places = [np.clip(start + np.arange(n) * step - pad, 0, size - 1) for start, n, step, pad, size in rows]
        grid = np.meshgrid(*places, indexing="ij")
        order = slice(None, None, -1 if node.attributes["storage_order"] else 1)
        numbers.append(np.ravel_multi_index(tuple(grid[order]), sizes[order]).reshape(-1))
    chosen = b.arg_max(b.concat(slices, 2), 2, output_data_type="int32")
    row = b.add(b.mul(chosen, b.constant("int32", total)), b.constant(np.arange(total, dtype=np.int32)))
    number = b.gather(b.constant(np.concatenate(numbers).astype(np.int64)), row)
    images = np.arange(math.prod(x.shape[:2])).reshape([*x.shape[:2], 1]) * math.prod(sizes)
    return b.reshape(b.add(number, b.constant(images.astype(np.int64))), node.output.shape)
