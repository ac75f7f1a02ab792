"""The arrays backend's table of kernels.

A kernel computes one operator on arrays of a library that follows the array-API standard, version 2024.12. It is
written like the specification's text, so that the two can be read side by side. It calls nothing else of a library, and
writes into arrays only through `updated`, so that the kernels also run on libraries whose arrays never change.
Standard: https://data-apis.org/array-api/2024.12/
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from webnn.backends.lowering import Lowerings
from webnn.graph.ir import Node
from webnn.graph.operand import MLOperand

__all__ = ["Array", "Arrays", "Kernel", "dtype_of", "kernels", "one_to_one", "updated"]

Array: TypeAlias = Any
"""An array of the library in use; the standard has no type for it."""
Arrays: TypeAlias = Mapping[str, Any]
"""A node's operands by parameter name: an `Array`, or a tuple of them for a list parameter."""
Kernel: TypeAlias = Callable[[Any, Node, Arrays], Array | tuple[Array, ...]]
"""`kernel(xp, node, operands)`: `xp` is the library's namespace; the result has the outputs' shapes and data types."""

kernels: Lowerings[Kernel] = Lowerings("arrays")


def dtype_of(xp: Any, operand: MLOperand) -> Any:
    """The library's own data type for an operand's values; NumPy's if the library does not name it, as for int4."""
    return getattr(xp, operand.data_type, operand.descriptor.dtype)


def updated(array: Array, key: tuple[Any, ...], values: Array) -> Array:
    """`array` with `values` at `key`: changed in place, or a new array from a library whose arrays never change.

    The caller must have made `array`, and must not use it any more.
    """
    if hasattr(array, "at"):  # as of JAX
        return array.at[key].set(values)
    array[key] = values
    return array


def one_to_one(table: Mapping[str, str]) -> None:
    """Compute operators that are one function of the array-API standard, with the operands in the same order."""
    for op, function in table.items():

        @kernels.lowers(op)
        def compute_directly(xp: Any, node: Node, operands: Arrays, function: str = function) -> Array:
            return getattr(xp, function)(*operands.values())
