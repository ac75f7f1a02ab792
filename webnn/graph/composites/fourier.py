"""Fourier transforms along one axis, and of frames: products with constant matrices of cosines and sines.

Runtimes transform lengths that are powers of two in far fewer steps. For other lengths, onnxruntime 1.32 loses half of
the digits, so these stay products everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import numpy as np

from webnn.errors import NotSupportedError
from webnn.graph.composites.composite import Builder, compose, composite, spelled_out
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.ir import Node
from webnn.graph.operand import MLOperand

__all__ = ["spectra_of_frames", "transformed"]

Array: TypeAlias = np.ndarray[Any, Any]

_WEIGHTS: Final = 1 << 24
"""The most elements of one matrix."""
_LONG: Final = 300_000
"""The elements of a matrix from which on a product takes longer than the steps of a kernel, if there are many rows."""
_FRAMES: Final = 260_000
"""The same for frames, which have to be gathered first."""
_ROWS: Final = 8
"""Fewer rows leave a product waiting for the elements of the matrix, three times as long."""


def transformed(b: Builder, x: MLOperand, *, axis: int, length: int, inverse: bool, onesided: bool) -> MLOperand:
    """The transform of `x` along `axis`, padded with zeros or cropped to `length`.

    Args:
        b: takes the node.
        x: of floats; its last dimension has real numbers, or real and imaginary parts.
        axis: any but the last one.
        length: of the transform.
        inverse: whether it is the inverse one, which is divided by `length`.
        onesided: whether the spectrum has only the frequencies up to the middle, of real numbers.

    Raises:
        NotSupportedError: the numbers or the matrix would take too much memory.
    """
    if length > _WEIGHTS:
        raise NotSupportedError(f"fourier_transform: its transform to {length} elements takes too much memory")
    half = length // 2 + 1
    sizes = [*x.shape]
    sizes[axis], sizes[-1] = (half, 2) if onesided and not inverse else (length, 1 if onesided else 2)
    output = MLOperandDescriptor(x.data_type, sizes)
    options: dict[str, int] = {"axis": axis, "length": length, "inverse": int(inverse), "onesided": int(onesided)}
    rows = math.prod(x.shape) // (x.shape[axis] * x.shape[-1])
    elements = length * x.shape[-1] * sizes[axis] * sizes[-1]
    is_fast = _is_power(length) and elements * (1 if rows >= _ROWS else 3) > _LONG
    has_kernel = x.data_type == "float32" and (inverse or not onesided or x.shape[-1] == 1)
    make = compose if is_fast and has_kernel else spelled_out
    return make(b, "fourier_transform", {"input": x}, [output], **options)[0]


@composite
def fourier_transform(b: Builder, node: Node) -> Sequence[MLOperand]:
    """One product."""
    x = node["input"]
    axis, length, inverse, onesided = (node.attributes[name] for name in ("axis", "length", "inverse", "onesided"))
    parts, back_to_real = x.shape[-1], bool(inverse and onesided)
    half = length // 2 + 1
    size = min(x.shape[axis], half if back_to_real else length)
    outputs = half if onesided and not inverse else length
    if size * outputs * 4 > _WEIGHTS:
        raise NotSupportedError(f"{node.where}: its transform of {size} to {outputs} elements takes too much memory")
    matrix = _spectrum(_factors(size, length, outputs, 1 if inverse else -1), complex_input=parts == 2)
    matrix = matrix / (length if inverse else 1)
    if back_to_real:
        # The omitted half mirrors this one: all count twice but the first, and the middle one of an even length.
        counts = np.where((np.arange(size) == 0) | (2 * np.arange(size) == length), 1, 2)
        matrix = matrix[:, ::2] * np.repeat(counts, parts)[:, None]
    if size < x.shape[axis]:
        x = b.slice(x, [0] * x.rank, [size if i == axis else n for i, n in enumerate(x.shape)])
    order = [*(i for i in range(x.rank - 1) if i != axis), axis, x.rank - 1]
    kept = [x.shape[i] for i in order[:-2]]
    moved = x if order == list(range(x.rank)) else b.transpose(x, permutation=order)
    flat = b.reshape(moved, [math.prod(kept), size * parts])
    weights = b.constant(np.ascontiguousarray(matrix, x.descriptor.dtype))
    result = b.reshape(b.matmul(flat, weights), [*kept, outputs, 1 if back_to_real else 2])
    if moved is x:
        return [result]
    return [b.transpose(result, permutation=[order.index(i) for i in range(x.rank)])]


def spectra_of_frames(
    b: Builder, x: MLOperand, window: MLOperand | None, *, step: int, length: int, onesided: bool
) -> MLOperand:
    """The spectra `[signals, frames, frequencies, 2]` of the frames of signals.

    Args:
        b: takes the node.
        x: `[signals, elements, 1 or 2]` of floats: real numbers, or real and imaginary parts.
        window: factors for the elements of a frame, or none.
        step: from one frame to the next.
        length: of a frame.
        onesided: whether the spectra have only the frequencies up to the middle, of real numbers.

    Raises:
        NotSupportedError: the frames or the matrix would take too much memory.
    """
    count, outputs = (x.shape[1] - length) // step + 1, length // 2 + 1 if onesided else length
    output = MLOperandDescriptor(x.data_type, [x.shape[0], count, outputs, 2])
    operands = {"input": x, **({} if window is None else {"window": window})}
    has_kernel = x.data_type == "float32" and (not onesided or x.shape[2] == 1)
    is_fast = _is_power(length) and length * x.shape[2] * outputs * 2 > _FRAMES
    make = compose if is_fast and has_kernel else spelled_out
    options: dict[str, int] = {"step": step, "length": length, "onesided": int(onesided)}
    return make(b, "fourier_transform_of_frames", operands, [output], **options)[0]


@composite
def fourier_transform_of_frames(b: Builder, node: Node) -> Sequence[MLOperand]:
    """A product of the gathered frames."""
    x, window, step, length = node["input"], node.get("window"), node.attributes["step"], node.attributes["length"]
    (batch, _, parts), (_, count, outputs, _) = x.shape, node.output.shape
    if count * length > _WEIGHTS:
        raise NotSupportedError(f"{node.where}: its {count} frames of {length} elements take too much memory")
    if length * outputs * 4 > _WEIGHTS:
        raise NotSupportedError(f"{node.where}: its transform of {length} to {outputs} elements takes too much memory")
    matrix = _spectrum(_factors(length, length, outputs, -1), complex_input=parts == 2)
    places = np.arange(count)[:, None] * step + np.arange(length)
    frames = b.gather(x, b.constant(places.astype(np.int32)), axis=1)
    if window is not None and window.constant is not None:
        matrix = matrix * np.repeat(window.constant.astype(np.float64), parts)[:, None]
    elif window is not None:
        frames = b.mul(frames, b.reshape(window, [length, 1]))
    weights = b.constant(np.ascontiguousarray(matrix, x.descriptor.dtype))
    result = b.matmul(b.reshape(frames, [batch, count, length * parts]), weights)
    return [b.reshape(result, node.output.shape)]


def _is_power(length: int) -> bool:
    return length & (length - 1) == 0


def _factors(size: int, length: int, outputs: int, sign: int) -> Array:
    """The factors `[size, outputs]` of a transform of `length` elements, of which all but `size` are zero."""
    turns = np.outer(np.arange(size), np.arange(outputs)) % length
    return np.asarray(np.exp(sign * 2j * np.pi * turns / length))


def _spectrum(factors: Array, *, complex_input: bool) -> Array:
    """Complex factors as a real matrix: rows for real and imaginary inputs, columns for those of outputs."""
    size, outputs = factors.shape
    parts = [[factors.real, factors.imag], [-factors.imag, factors.real]][: 2 if complex_input else 1]
    return np.stack([np.stack(row, axis=-1) for row in parts], axis=1).reshape(size * len(parts), outputs * 2)
