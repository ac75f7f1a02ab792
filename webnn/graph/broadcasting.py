"""How shapes stretch to fit each other.

Spec: https://www.w3.org/TR/webnn/#algorithms-broadcasting
"""

from itertools import zip_longest

__all__ = ["bidirectional", "is_blockwise", "is_unidirectional"]

Shape = tuple[int, ...]


def bidirectional(a: Shape, b: Shape) -> Shape | None:
    """The shape that both `a` and `b` stretch to, or None.

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


def is_unidirectional(shape: Shape, target: Shape) -> bool:
    """Whether `shape` stretches to `target`, which stays as it is."""
    if len(shape) > len(target):
        return False
    return all(i in (1, j) for i, j in zip(reversed(shape), reversed(target), strict=False))


def is_blockwise(shape: Shape, target: Shape) -> bool:
    """Whether each dimension of `shape` divides the one of `target` at its place: same rank, whole blocks."""
    return len(shape) == len(target) and all(j % i == 0 for i, j in zip(shape, target, strict=True))
