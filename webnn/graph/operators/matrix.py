"""Matrix."""

from webnn.graph.operator import Operators

__all__ = ["Matrix"]


class Matrix(Operators):
    """Matrix."""
