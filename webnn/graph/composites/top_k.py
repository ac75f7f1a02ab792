"""The k largest or smallest elements along an axis, in order, with their indices.

Without sorting, which WebNN lacks, they are found by comparing all pairs, or by a bitonic network.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from webnn.errors import NotSupportedError
from webnn.graph.composites.composite import Builder, compose, composite
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.ir import Node
from webnn.graph.operand import MLOperand

__all__ = ["largest_or_smallest"]

_COMPARED: Final = 1 << 20
"""The most pairs that are compared at once, with a few operators instead of the hundreds of a network."""
_SORTED: Final = 1 << 22
"""The most elements for a network."""


def largest_or_smallest(b: Builder, x: MLOperand, *, k: int, axis: int, largest: bool) -> list[MLOperand]:
    """The `k` largest or smallest elements of `x` along `axis`, best first, and their indices in int64.

    Of equal elements the one with the smaller index comes first. `k` is 1 to the size of the axis.
    """
    shape = [k if i == axis else size for i, size in enumerate(x.shape)]
    outputs = [MLOperandDescriptor(x.data_type, shape), MLOperandDescriptor("int64", shape)]
    return compose(b, "top_k", {"input": x}, outputs, k=k, axis=axis, largest=largest)


@composite
def top_k(b: Builder, node: Node) -> Sequence[MLOperand]:
    """By arg_max, by the rank of each element, or by a sorting network; whichever has the fewest operators."""
    x, k, axis, largest = node["input"], node.attributes["k"], node.attributes["axis"], node.attributes["largest"]
    size = x.shape[axis]
    if k == 1:
        choose, reduce = (b.arg_max, b.reduce_max) if largest else (b.arg_min, b.reduce_min)
        place = choose(x, axis, keep_dimensions=True, output_data_type="int64")
        return [reduce(x, axes=[axis], keep_dimensions=True), place]
    if size * math.prod(x.shape) <= _COMPARED:
        return _by_rank(b, x, axis, k, largest=largest)
    order = [*(i for i in range(x.rank) if i != axis), axis]
    rows = b.reshape(b.transpose(x, permutation=order), [math.prod(x.shape) // size, size])
    back = [order.index(i) for i in range(x.rank)]
    shape = [*(x.shape[i] for i in order[:-1]), k]
    found = _BitonicNetwork(b, rows, k, largest=largest, where=node.where).top()
    return [b.transpose(b.reshape(result, shape), permutation=back) for result in found]


def _by_rank(b: Builder, x: MLOperand, axis: int, k: int, *, largest: bool) -> list[MLOperand]:
    """By the rank of each element, the number of elements that come before it."""
    size, behind = x.shape[axis], [1] * (x.rank - axis - 1)
    one, other = [*x.shape[:axis], size, 1, *x.shape[axis + 1 :]], [*x.shape[:axis], 1, size, *x.shape[axis + 1 :]]
    mine, theirs = b.reshape(x, one), b.reshape(x, other)
    places = np.arange(size, dtype=np.int32)
    earlier = (places[None, :] < places[:, None]).astype(np.uint8).reshape([size, size, *behind])
    ahead = b.greater(theirs, mine) if largest else b.lesser(theirs, mine)
    before = b.logical_or(ahead, b.logical_and(b.equal(theirs, mine), b.constant(earlier)))
    ranks = b.reduce_sum(b.cast(before, "int32"), axes=[axis + 1])
    index = b.constant(np.ascontiguousarray(np.broadcast_to(places.reshape([size, *behind]), x.shape)))
    sorted_index = b.scatter_elements(index, ranks, index, axis=axis)
    sizes = [k if i == axis else n for i, n in enumerate(x.shape)]
    chosen = b.slice(sorted_index, [0] * x.rank, sizes)
    return [b.gather_elements(x, chosen, axis=axis), b.cast(chosen, "int64")]


class _BitonicNetwork:
    """Batcher's bitonic sorting network over rows, cut down to the elements that are needed.

    Blocks of at least `k` elements are sorted, every other one backwards. Of two neighbouring blocks the better
    elements are kept and sorted again, until one block is left.
    """

    def __init__(self, b: Builder, rows: MLOperand, k: int, *, largest: bool, where: str) -> None:
        self._b = b
        self._k = k
        self._largest = largest
        self._block = 1 << (k - 1).bit_length()
        count, size = rows.shape
        width = max(1 << (size - 1).bit_length(), self._block)
        if count * width > _SORTED:
            raise NotSupportedError(
                f"{where}: WebNN cannot sort, and sorting networks for {count} rows of {size} elements take too much"
                " memory; sort outside the graph"
            )
        worst = -math.inf if largest else math.inf
        self._values = b.pad(rows, [0, 0], [0, width - size], value=worst) if width > size else rows
        # The padding also has larger indices, so that it comes after elements that are equal to it.
        numbers = b.constant(np.arange(width, dtype=np.int32).reshape(1, width))
        self._numbers = b.expand(numbers, [count, width])

    def top(self) -> list[MLOperand]:
        """The best elements of each row, and their indices."""
        length = 2
        while length <= self._block:
            self._merge(length)
            length *= 2
        while self._values.shape[1] > self._block:
            self._halve()
            self._merge(self._block)
        b, count = self._b, self._values.shape[0]
        values, numbers = (b.slice(x, [0, 0], [count, self._k]) for x in (self._values, self._numbers))
        return [values, b.cast(numbers, "int64")]

    def _merge(self, length: int) -> None:
        """Sort bitonic sequences of this length, every other one backwards."""
        b = self._b
        places = np.arange(self._values.shape[1])
        forwards = places & length == 0
        distance = length // 2
        while distance:
            partner = b.constant((places ^ distance).astype(np.int32))
            values, numbers = (b.gather(x, partner, axis=1) for x in (self._values, self._numbers))
            shall_be_ahead = (places & distance == 0) == forwards
            wanted = b.constant(shall_be_ahead.astype(np.uint8).reshape(1, -1))
            swap = b.equal(self._is_ahead(values, numbers, self._values, self._numbers), wanted)
            self._values = b.where(swap, values, self._values)
            self._numbers = b.where(swap, numbers, self._numbers)
            distance //= 2

    def _halve(self) -> None:
        """Keep the better elements of each two neighbouring blocks."""
        b, (count, width) = self._b, self._values.shape
        pairs = [count, width // (2 * self._block), 2, self._block]
        half = [count, width // 2]
        parts = [b.split(b.reshape(x, pairs), 2, axis=2) for x in (self._values, self._numbers)]
        (mine, theirs), (first, second) = ([b.reshape(part, half) for part in both] for both in parts)
        swap = self._is_ahead(theirs, second, mine, first)
        self._values, self._numbers = b.where(swap, theirs, mine), b.where(swap, second, first)

    def _is_ahead(self, value: MLOperand, number: MLOperand, other: MLOperand, other_number: MLOperand) -> MLOperand:
        b = self._b
        better = b.greater(value, other) if self._largest else b.lesser(value, other)
        return b.logical_or(better, b.logical_and(b.equal(value, other), b.lesser(number, other_number)))
