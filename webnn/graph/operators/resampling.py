"""Resampling."""

from webnn.graph.operator import Operators

__all__ = ["Resampling"]


class Resampling(Operators):
    """Resampling."""
