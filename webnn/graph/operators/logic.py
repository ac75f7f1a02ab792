"""Logic."""

from webnn.graph.operator import Operators

__all__ = ["Logic"]


class Logic(Operators):
    """Logic."""
