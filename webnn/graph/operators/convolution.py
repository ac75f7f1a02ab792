"""Convolution."""

from webnn.graph.operator import Operators

__all__ = ["Convolution"]


class Convolution(Operators):
    """Convolution."""
