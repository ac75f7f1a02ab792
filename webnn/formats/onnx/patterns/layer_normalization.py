"""Layer normalization, and normalization by the root mean square alone.

Normalization by the root mean square is written as pow, mean, sqrt, div, mul, a form that ONNX Runtime and browsers
fuse to one operator.
"""

from __future__ import annotations

from webnn.formats.onnx.importing.node import OnnxNode
from webnn.formats.onnx.patterns.precision import cast_like, in_float32
from webnn.graph.operand import MLOperand

__all__ = ["layer_normalized", "root_mean_square_normalized", "scaled_and_shifted"]


def layer_normalized(
    node: OnnxNode, x: MLOperand, scale: MLOperand | None, bias: MLOperand | None, *, axis: int, epsilon: float
) -> MLOperand:
    """`x` normalized over the dimensions from `axis` on; `scale` and `bias` broadcast to it."""
    scale, bias = (None if given is None else cast_like(node, given, x) for given in (scale, bias))
    sizes = x.shape[axis:]
    inside = all(given is None or given.shape == sizes for given in (scale, bias))
    y = node.builder.layer_normalization(
        x,
        scale=scale if inside else None,
        bias=bias if inside else None,
        axes=list(range(axis, x.rank)),
        epsilon=epsilon,
    )
    return y if inside else scaled_and_shifted(node, y, scale, bias)


def scaled_and_shifted(node: OnnxNode, y: MLOperand, scale: MLOperand | None, bias: MLOperand | None) -> MLOperand:
    """`y` times `scale` plus `bias`, as far as they are given."""
    if scale is not None:
        y = node.builder.mul(y, cast_like(node, scale, y))
    return y if bias is None else node.builder.add(y, cast_like(node, bias, y))


def root_mean_square_normalized(
    node: OnnxNode, x: MLOperand, scale: MLOperand | None, axis: int, epsilon: float, *, stashed: bool = True
) -> tuple[MLOperand, MLOperand]:
    """`x` divided by its root mean square from `axis` on, times `scale`; and the root mean square.

    With `stashed`, squares are computed in float32, in which those of float16 do not overflow.
    """
    b = node.builder
    wide = in_float32(node, x) if stashed else x
    square = b.reduce_mean(b.pow(wide, node.scalar(wide, 2.0)), axes=list(range(axis, x.rank)), keep_dimensions=True)
    root = b.sqrt(b.add(square, node.scalar(wide, epsilon)))
    y = cast_like(node, b.div(wide, root), x)
    return (y if scale is None else b.mul(y, cast_like(node, scale, y))), root
