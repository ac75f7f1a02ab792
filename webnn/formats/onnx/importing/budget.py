"""Limits of memory and nodes for one import, since hostile models ask for a lot in a few bytes."""

from __future__ import annotations

from typing import Final

from webnn.formats.onnx.importing.problems import UnsupportedNodeError

__all__ = ["MAX_UNROLLED_NODES", "Budget"]

_BYTES: Final = 256 << 20
"""The most bytes of all constants that one import computes."""
MAX_UNROLLED_NODES: Final = 1 << 15
"""The most nodes of all unrolled loops of a model."""
_EVALUATIONS: Final = 1024
"""The most calls of the reference evaluator in one import: each takes some milliseconds, and loops repeat them."""


class Budget:
    """The memory, nodes and evaluations that one import may still use."""

    def __init__(self) -> None:
        self._left = _BYTES
        self._nodes = MAX_UNROLLED_NODES
        self._evaluations = _EVALUATIONS

    def take(self, size: int) -> bool:
        """Whether `size` more bytes are within the limit; if so they are counted."""
        if size > self._left:
            return False
        self._left -= size
        return True

    def spend(self, size: int, what: str = "constants") -> None:
        """Count `size` more bytes; raises `UnsupportedNodeError` beyond the limit."""
        if not self.take(size):
            raise UnsupportedNodeError(f"its {what} take too much memory")

    def take_unrolled_nodes(self, count: int) -> bool:
        """Whether `count` more unrolled nodes are within the limit; if so they are counted."""
        if count > self._nodes:
            return False
        self._nodes -= count
        return True

    def take_evaluation(self) -> bool:
        """Whether the reference evaluator may be called once more; if so the call is counted."""
        self._evaluations -= 1
        return self._evaluations >= 0
