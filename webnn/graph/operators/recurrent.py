"""Recurrent."""

from webnn.graph.operator import Operators

__all__ = ["Recurrent"]


class Recurrent(Operators):
    """Recurrent."""
