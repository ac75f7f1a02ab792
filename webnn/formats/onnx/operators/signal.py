"""Fourier transforms, of whole signals and of their frames."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from webnn.backends.onnx.messages import TensorProto
from webnn.errors import DataError, NotSupportedError
from webnn.formats.onnx.importing.node import OnnxNode
from webnn.formats.onnx.importing.operator_table import Imported, imports
from webnn.formats.onnx.importing.problems import UnsupportedNodeError
from webnn.graph.composites.fourier import spectra_of_frames, transformed
from webnn.graph.operand import MLOperand

__all__: list[str] = []


_WEIGHTS: Final = 1 << 24
"""The most elements of one matrix."""


@imports("DFT")
def fourier_17(node: OnnxNode) -> Imported:
    """DFT before opset 20, with the axis as an attribute."""
    return _fourier(node, node.axis(node.get_int("axis", 1), node.rank(0)))


@imports("DFT", since=20)
def fourier(node: OnnxNode) -> Imported:
    """DFT with the axis as an input."""
    return _fourier(node, node.axis(int(node.number(2, "the axis")) if node.has(2) else -2, node.rank(0)))


def _fourier(node: OnnxNode, axis: int) -> MLOperand:
    """The transform along one axis; the last dimension has real numbers, or real and imaginary parts."""
    b = node.builder
    x = node.operand(0)
    inverse, onesided = bool(node.get_int("inverse", 0)), bool(node.get_int("onesided", 0))
    parts = x.shape[-1]
    if axis == x.rank - 1 or parts not in {1, 2}:
        raise DataError(
            f"axis {axis} of an input {list(x.shape)}: the last dimension must be 1 or 2, and cannot be the axis"
        )
    default = 2 * (x.shape[axis] - 1) if inverse and onesided else x.shape[axis]
    length = int(node.number(1, "the length")) if node.has(1) else default
    if length < 1:
        raise DataError(f"dft_length must be at least 1, got {length}")
    try:
        return transformed(b, x, axis=axis, length=length, inverse=inverse, onesided=onesided)
    except NotSupportedError as error:
        raise UnsupportedNodeError(str(error).partition(": ")[2]) from None


@imports("STFT")
def short_time_fourier(node: OnnxNode) -> Imported:
    """The spectra `[batch, frames, frequencies, 2]` of the windowed frames of a signal."""
    b = node.builder
    x = node.operand(0)
    if x.rank == 2:
        x = b.reshape(x, [*x.shape, 1])
    if x.rank != 3 or x.shape[2] not in {1, 2}:
        raise DataError(f"the signal must be [batch, length, 1 or 2], got {list(x.shape)}")
    total = x.shape[1]
    step = int(node.number(1, "the frame step"))
    window = node.optional(2)
    length = total if window is None else math.prod(window.shape)
    length = int(node.number(3, "the frame length")) if node.has(3) else length
    if step < 1 or not 1 <= length <= total or (window is not None and window.shape != (length,)):
        raise DataError(f"frames of {length} with steps of {step} do not fit a signal of {total} and its window")
    onesided = bool(node.get_int("onesided", 1))
    try:
        return spectra_of_frames(b, x, window, step=step, length=length, onesided=onesided)
    except NotSupportedError as error:
        raise UnsupportedNodeError(str(error).partition(": ")[2]) from None


@imports("MelWeightMatrix")
def mel_weights(node: OnnxNode) -> Imported:
    """Triangular filters over the frequencies of a spectrum, evenly spaced on the mel scale."""
    bins = int(node.number(0, "the number of bins"))
    length = int(node.number(1, "the length of the transform"))
    rate = float(node.number(2, "the sample rate"))
    low, high = (float(node.number(i, "a bound of the frequencies")) for i in (3, 4))
    if bins < 1 or length < 1 or not 0 < rate < math.inf or not 0 <= low < high < math.inf:
        raise DataError(
            f"{bins} bins from {low} to {high} Hz, a DFT of length {length} and a sample rate of {rate} do not fit"
        )
    rows = length // 2 + 1
    if rows * bins > _WEIGHTS:
        raise UnsupportedNodeError(f"{rows} x {bins} constants take too much memory")
    ends = 2595 * np.log10(1 + np.array([low, high]) / 700)
    heard = ends[0] + np.arange(bins + 2) * (ends[1] - ends[0]) / (bins + 2)
    edges = np.floor((length + 1) * 700 * (10 ** (heard / 2595) - 1) / rate)
    left, center, right = edges[:-2], edges[1:-1], edges[2:]
    places = np.arange(rows)[:, None]
    rising = np.where(center > left, (places - left) / np.maximum(center - left, 1), places == center)
    falling = (right - places) / np.maximum(right - center, 1)
    result = np.where(places <= center, rising * (places >= left), falling * (places < right))
    return np.asarray(result, node.element_dtype(node.get_int("output_datatype", TensorProto.FLOAT)))
