"""Long sums, means and products of floats, in stages.

Serves onnxruntime's kernels of `ReduceSum`, `ReduceMean` and `ReduceProd`, which add up float32 in float32: one value
after the other where the last axis is kept, in eight partial sums where it is reduced. A sum of ones stops at 2**24,
or 2**27. In stages each value goes through few additions, at about the same speed.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod
from typing import Final

from webnn.graph.dtypes import FLOATS
from webnn.graph.ir import Graph, Node
from webnn.graph.operand import MLOperand
from webnn.graph.rewriting import Replacement, rewritten

__all__ = ["staged_sums"]

_OPS: Final = frozenset({"reduce_mean", "reduce_product", "reduce_sum"})
_LONG: Final = 512
"""How many values may be added one after the other. Of equal ones that costs up to a third as many ULPs."""
_LONG_ROW: Final = 4096
"""The same of values that lie next to each other in memory, of which the kernel has eight partial sums."""
_WIDTH: Final = 256
"""How many values the first stage adds where there is a choice: rows that are shorter take more time."""
_FEW: Final = 16
"""With fewer values side by side the kernels are slow; then the first stage adds values that are far apart."""


def staged_sums(graph: Graph) -> Graph:
    """`graph` with every reduction of many floats as a reduction of the reductions of equal parts."""
    return rewritten(graph, [node for node in graph.nodes if node.op in _OPS and _is_long(node)], _staged)


def _is_long(node: Node) -> bool:
    if node.output.data_type not in FLOATS:
        return False
    axes, shape = sorted(node.attributes["axes"]), node["input"].shape
    is_row = axes == list(range(len(shape) - len(axes), len(shape)))
    count: int = prod(shape[axis] for axis in axes)
    return count > (_LONG_ROW if is_row else _LONG)


def _staged(node: Node) -> Sequence[MLOperand]:
    builder = Replacement(node)
    x = builder.cast(node["input"], "float32")  # as the kernels compute float16 too
    shape = node["input"].shape
    for first, last in reversed(_runs(sorted(node.attributes["axes"]))):
        sizes = (prod(shape[:first]), prod(shape[first : last + 1]), prod(shape[last + 1 :]))
        x = _reduced(builder, node.op, x, sizes)
        shape = (*shape[:first], *[1] * (last + 1 - first), *shape[last + 1 :])
    return [builder.cast(builder.reshape(x, node.output.shape), node.output.data_type)]


def _runs(axes: Sequence[int]) -> list[tuple[int, int]]:
    """The first and last of each run of axes that follow each other.

    >>> _runs([0, 1, 3])
    [(0, 1), (3, 3)]
    """
    starts = [axes[0], *(after for before, after in pairwise(axes) if after != before + 1)]
    ends = [*(before for before, after in pairwise(axes) if after != before + 1), axes[-1]]
    return list(zip(starts, ends, strict=True))


def _reduced(builder: Replacement, op: str, x: MLOperand, sizes: tuple[int, int, int]) -> MLOperand:
    """`x`, taken for `[before, count, after]`, reduced to `[before, after]`."""
    before, count, after = sizes
    if count <= (_LONG if after > 1 else _LONG_ROW):
        # The kernels are slow where there is an axis of size 1 before the reduced one or behind it.
        shape = [size for i, size in enumerate(sizes) if size > 1 or i == 1]
        reduced: MLOperand = getattr(builder, op)(builder.reshape(x, shape), axes=[int(before > 1)])
        return reduced
    width = _width(count)
    whole, rest = count - count % width, count % width
    if rest:
        x = builder.reshape(x, sizes)
        parts = ((0, whole), (whole, rest))
        results = [
            _reduced(builder, op, builder.slice(x, [0, start, 0], [before, size, after]), (before, size, after))
            for start, size in parts
        ]
        return _joined(builder, op, results, [size / count for _, size in parts])
    first = (before, width, count // width * after) if 1 < after < _FEW else (before * (count // width), width, after)
    return _reduced(builder, op, _reduced(builder, op, x, first), (before, count // width, after))


def _width(count: int) -> int:
    """The divisor of `count` that is nearest to `_WIDTH`, or that number itself where none is near."""
    near = [width for width in range(_WIDTH // 4, 2 * _WIDTH + 1) if count % width == 0]
    return min(near, key=lambda width: max(width / _WIDTH, _WIDTH / width), default=_WIDTH)


def _joined(builder: Replacement, op: str, parts: Sequence[MLOperand], shares: Sequence[float]) -> MLOperand:
    """One result of those of two parts, which hold such shares of the values."""
    if op == "reduce_product":
        return builder.mul(*parts)
    if op == "reduce_sum":
        return builder.add(*parts)
    first, second = (
        builder.mul(part, builder.constant("float32", share)) for part, share in zip(parts, shares, strict=True)
    )
    return builder.add(first, second)
