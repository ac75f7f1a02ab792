"""The arrays backend's table of kernels.

A kernel computes one operator on arrays of a library that follows the array-API standard. It is written like the
specification's text, so that the two can be read side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from webnn.backends.lowering import Lowerings
from webnn.graph.ir import Node

__all__ = ["Array", "Arrays", "Kernel", "kernels", "one_to_one"]

Array: TypeAlias = Any
"""An array of the library in use; the standard has no type for it."""
Arrays: TypeAlias = Mapping[str, Any]
"""A node's operands by parameter name: an `Array`, or a tuple of them for a list parameter."""
Kernel: TypeAlias = Callable[[Any, Node, Arrays], Array | tuple[Array, ...]]
"""`kernel(xp, node, operands)`: `xp` is the library's namespace; the result has the outputs' shapes and data types."""

kernels: Lowerings[Kernel] = Lowerings("arrays")


def one_to_one(table: Mapping[str, str]) -> None:
    """Compute operators that are one function of the array-API standard, with the operands in the same order."""
    for op, function in table.items():

        @kernels.lowers(op)
        def compute_directly(xp: Any, node: Node, operands: Arrays, function: str = function) -> Array:
            return getattr(xp, function)(*operands.values())
