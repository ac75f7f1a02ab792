"""Images with their channels first, as ONNX has them, or last."""

from __future__ import annotations

from webnn.graph.builder import MLGraphBuilder
from webnn.graph.operand import MLOperand

__all__ = ["channels_first", "channels_last"]


def channels_first(b: MLGraphBuilder[object], x: MLOperand) -> MLOperand:
    """`[images, ..., channels]` as `[images, channels, ...]`."""
    return b.transpose(x, permutation=[0, x.rank - 1, *range(1, x.rank - 1)])


def channels_last(b: MLGraphBuilder[object], x: MLOperand) -> MLOperand:
    """`[images, channels, ...]` as `[images, ..., channels]`."""
    return b.transpose(x, permutation=[0, *range(2, x.rank), 1])
