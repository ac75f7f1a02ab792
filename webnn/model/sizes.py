"""Which compiled batch sizes compute a number of items. Pure: no graph, thread or clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ["SIZES", "Piece", "pieces"]

SIZES: Final = (1, 2, 8, 32)
"""The batch sizes that are compiled, each when it is first wanted. Few, since each has packed weights of its own."""
FULL: Final = 0.75
"""The share of a batch that must be items for the batch to be padded. Below it, smaller sizes compute fewer rows."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Some of the items, computed in one run.

    Attributes:
        start: the number of its first item.
        count: how many items it has.
        size: of the batch; the last `size - count` rows are padding.
    """

    start: int
    count: int
    size: int


def pieces(count: int, sizes: Sequence[int]) -> list[Piece]:
    """`count` items cut into batches of `sizes`, which are in ascending order.

    >>> [(piece.count, piece.size) for piece in pieces(43, (1, 2, 8, 32))]
    [(32, 32), (8, 8), (2, 2), (1, 1)]
    >>> [(piece.count, piece.size) for piece in pieces(7, (1, 2, 8, 32))]
    [(7, 8)]
    """
    cut: list[Piece] = []
    start = 0
    while start < count:
        rest = count - start
        fitting = [size for size in sizes if size <= rest]
        above = next((size for size in sizes if size >= rest), None)
        if above is not None and (not fitting or rest >= FULL * above):
            cut.append(Piece(start, rest, above))
            break
        cut.append(Piece(start, fitting[-1], fitting[-1]))
        start += fitting[-1]
    return cut
