"""Normalization."""

from webnn.graph.operator import Operators

__all__ = ["Normalization"]


class Normalization(Operators):
    """Normalization."""
