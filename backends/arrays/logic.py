"""Comparisons, logic and selection on arrays."""

from typing import Any, Final

from webnn.backends.arrays.kernels import Array, Arrays, kernels
from webnn.graph.ir import Node

__all__: list[str] = []

_COMPARISONS: Final = {
    "equal": "equal",
    "not_equal": "not_equal",
    "greater": "greater",
    "greater_or_equal": "greater_equal",
    "lesser": "less",
    "lesser_or_equal": "less_equal",
    "is_nan": "isnan",
    "is_infinite": "isinf",
}
_LOGIC: Final = ("logical_and", "logical_or", "logical_xor", "logical_not")
"""The operators, and their names in the array-API standard."""


@kernels.lowers(*_COMPARISONS)
def comparison(xp: Any, node: Node, operands: Arrays) -> Array:
    """1 where it is true."""
    return xp.astype(getattr(xp, _COMPARISONS[node.op])(*operands.values()), xp.uint8)


@kernels.lowers(*_LOGIC)
def logic(xp: Any, node: Node, operands: Arrays) -> Array:
    """Every value but 0 is true."""
    return xp.astype(getattr(xp, node.op)(*(array != 0 for array in operands.values())), xp.uint8)


@kernels.lowers("where")
def where(xp: Any, node: Node, operands: Arrays) -> Array:
    """Every condition but 0 is true."""
    return xp.where(operands["condition"] != 0, operands["true_value"], operands["false_value"])
