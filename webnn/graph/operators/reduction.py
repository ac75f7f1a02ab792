"""Reduction."""

from webnn.graph.operator import Operators

__all__ = ["Reduction"]


class Reduction(Operators):
    """Reduction."""
