"""Activation."""

from webnn.graph.operator import Operators

__all__ = ["Activation"]


class Activation(Operators):
    """Activation."""
