"""How much one import may spell out: hostile models announce a lot in a few bytes."""

from __future__ import annotations

from typing import Final

from webnn.formats.onnx.importing.problems import UnsupportedNodeError

__all__ = ["MAX_UNROLLED_NODES", "Budget"]

_BYTES: Final = 256 << 20
"""The most bytes that all results of one import may take together."""
MAX_UNROLLED_NODES: Final = 1 << 15
"""The most nodes that the iterations of all loops of a model may have together."""
_EVALUATIONS: Final = 1024
"""How often the reference evaluator is asked in one import, for some milliseconds each time: loops ask without end."""


class Budget:
    """What one import may still spell out."""

    def __init__(self) -> None:
        self._left = _BYTES
        self._nodes = MAX_UNROLLED_NODES
        self._evaluations = _EVALUATIONS

    def take(self, size: int) -> bool:
        """Whether `size` more bytes are fine; if so they are counted."""
        if size > self._left:
            return False
        self._left -= size
        return True

    def spend(self, size: int, what: str = "constants") -> None:
        """Count `size` more bytes; raises `UnsupportedNodeError` if they are too many."""
        if not self.take(size):
            raise UnsupportedNodeError(f"the {what} to spell out take too much memory")

    def take_unrolled_nodes(self, count: int) -> bool:
        """Whether iterations of `count` more nodes are fine; if so they are counted."""
        if count > self._nodes:
            return False
        self._nodes -= count
        return True

    def take_evaluation(self) -> bool:
        """Whether the reference evaluator may be asked once more; if so that is counted."""
        self._evaluations -= 1
        return self._evaluations >= 0
