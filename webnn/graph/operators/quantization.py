"""Quantization."""

from webnn.graph.operator import Operators

__all__ = ["Quantization"]


class Quantization(Operators):
    """Quantization."""
