"""Pooling."""

from webnn.graph.operator import Operators

__all__ = ["Pooling"]


class Pooling(Operators):
    """Pooling."""
