"""Movement."""

from webnn.graph.operator import Operators

__all__ = ["Movement"]


class Movement(Operators):
    """Movement."""
