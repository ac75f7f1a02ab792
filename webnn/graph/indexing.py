"""Parts of operands by Python's indices: `x[0]`, `x[1:-1, ::2]`, `x[..., None]`."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

from webnn.errors import ValidationError
from webnn.graph.arguments import shown

if TYPE_CHECKING:
    from webnn.graph.builder import MLGraphBuilder
    from webnn.graph.operand import MLOperand

__all__ = ["part"]


def part(builder: MLGraphBuilder[Any], operand: MLOperand, key: Any) -> MLOperand:
    """`operand[key]`, by `reverse` for negative steps, `slice` and `reshape`, as far as they are needed.

    Args:
        builder: the operand's builder.
        operand: any data type and rank.
        key: integers, slices, `...` and `None` as in NumPy, alone or as a tuple.

    Raises:
        ValidationError: an index is out of range or of another kind; there are too many; a slice selects nothing.
    """
    items = key if isinstance(key, tuple) else (key,)
    rank = operand.rank
    taken = sum(item is not None and item is not Ellipsis for item in items)
    if taken > rank:
        raise ValidationError(f"x[{_text(key)}]: {taken} indices for {operand!r} of rank {rank}; give at most {rank}")
    if sum(item is Ellipsis for item in items) > 1:
        raise ValidationError(f"x[{_text(key)}]: only one ... is possible")
    if all(item is not Ellipsis for item in items):
        items += (Ellipsis,)
    ranges: list[range] = []
    shape: list[int] = []
    for item in items:
        if item is None:
            shape.append(1)
            continue
        for one in (slice(None),) * (rank - taken) if item is Ellipsis else (item,):
            axis = len(ranges)
            chosen = _chosen(one, operand.shape[axis])
            if not chosen:
                raise ValidationError(
                    f"x[{_text(key)}]: {_text(one)} selects nothing along axis {axis} of shape {list(operand.shape)};"
                    " a dimension cannot be 0"
                    if isinstance(one, slice)
                    else f"x[{_text(key)}]: {_text(one)} is out of range for axis {axis} of shape {list(operand.shape)}"
                )
            ranges.append(chosen)
            if isinstance(one, slice):
                shape.append(len(chosen))
    backwards = [axis for axis, chosen in enumerate(ranges) if chosen.step < 0]
    if backwards:
        operand = builder.reverse(operand, axes=backwards)
        for axis in backwards:
            last = operand.shape[axis] - 1
            chosen = ranges[axis]
            ranges[axis] = range(last - chosen.start, last - chosen.stop, -chosen.step)
    if any(chosen != range(size) for chosen, size in zip(ranges, operand.shape, strict=True)):
        operand = builder.slice(
            operand,
            starts=[chosen.start for chosen in ranges],
            sizes=[chosen[-1] - chosen.start + 1 for chosen in ranges],
            strides=[chosen.step for chosen in ranges],
        )
    return operand if list(operand.shape) == shape else builder.reshape(operand, shape)


def _chosen(item: Any, size: int) -> range:
    """The indices that `item`, an integer or a slice, selects; empty if an integer is out of range."""
    try:
        if isinstance(item, bool):
            raise TypeError
        if isinstance(item, slice):
            return range(*item.indices(size))
        index = operator.index(item)
    except TypeError:
        raise ValidationError(
            f"an index must be an integer, a slice of integers, ... or None, got {shown(item, 40)};"
            " for computed indices, use builder.gather"
        ) from None
    except ValueError as error:  # a step of 0
        raise ValidationError(f"x[{_text(item)}]: {error}") from None
    index += size if index < 0 else 0
    return range(index, index + 1) if 0 <= index < size else range(0)


def _text(key: Any) -> str:
    """`key` as it stands between the brackets."""
    if isinstance(key, tuple):
        return ", ".join(map(_text, key))
    if isinstance(key, slice):
        bounds = ["" if bound is None else shown(bound, 20) for bound in (key.start, key.stop)]
        return ":".join(bounds if key.step is None else [*bounds, shown(key.step, 20)])
    return "..." if key is Ellipsis else shown(key, 40)
