"""Broadcasting of shapes.

Spec: https://www.w3.org/TR/webnn/#algorithms-broadcasting
"""

from itertools import zip_longest

from webnn.errors import ValidationError

__all__ = ["bidirectional", "broadcast", "is_blockwise", "is_same_but_for", "is_unidirectional", "plain_broadcast"]

Shape = tuple[int, ...]


def bidirectional(a: Shape, b: Shape) -> Shape | None:
    """The shape that both `a` and `b` broadcast to, or None if there is none.

    >>> bidirectional((5, 1), (6,))
    (5, 6)
    """
    if a == b:
        return a
    result = []
    for i, j in zip_longest(reversed(a), reversed(b), fillvalue=1):
        if i != j and i != 1 and j != 1:
            return None
        result.append(max(i, j))
    return tuple(reversed(result))


def broadcast(**shapes: Shape) -> Shape:
    """The shape that all of `shapes` broadcast to. The keywords are the names of the operands.

    Raises:
        ValidationError: there is no such shape. The message names the operands.
    """
    result: Shape = ()
    for shape in shapes.values():
        both = bidirectional(result, shape)
        if both is None:
            operands = " and ".join(f"{name} {list(shape)}" for name, shape in shapes.items())
            raise ValidationError(f"{operands} cannot be broadcast together")
        result = both
    return result


def is_unidirectional(shape: Shape, target: Shape) -> bool:
    """Whether `shape` broadcasts to exactly `target`."""
    if len(shape) > len(target):
        return False
    return all(i in (1, j) for i, j in zip(reversed(shape), reversed(target), strict=False))


def is_blockwise(shape: Shape, target: Shape) -> bool:
    """Whether both have the same rank, and each dimension of `shape` divides that of `target` into whole blocks."""
    return len(shape) == len(target) and all(j % i == 0 for i, j in zip(shape, target, strict=True))


def plain_broadcast(shape: Shape, target: Shape) -> tuple[Shape, Shape]:
    """The two shapes to reshape blockwise operands to, so that the first broadcasts to the second as usual.

    Each dimension is split into the number of blocks and the size of a block. Neighbours are then merged if possible.

    >>> plain_broadcast((4, 5), (16, 10))
    ((4, 1, 5, 1), (4, 4, 5, 2))
    >>> plain_broadcast((1, 3, 2), (2, 3, 2))
    ((1, 6), (2, 6))
    """
    runs: list[tuple[bool, int]] = []
    for i, j in zip(shape, target, strict=True):
        for repeated, size in ((False, i), (True, j // i)):
            if size == 1:
                continue
            merged = bool(runs) and runs[-1][0] == repeated
            runs.append((repeated, size * runs.pop()[1] if merged else size))
    return tuple(1 if repeated else size for repeated, size in runs), tuple(size for _, size in runs)


def is_same_but_for(axis: int, shape: Shape, other: Shape) -> bool:
    """Whether two shapes have the same rank, and the same dimensions except for `axis`."""
    return len(shape) == len(other) and all(
        i == j or d == axis for d, (i, j) in enumerate(zip(shape, other, strict=True))
    )
