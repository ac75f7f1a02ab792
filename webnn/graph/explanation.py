"""The explanation of a graph: what the runtime can do with it, and why it cannot do the rest."""

from __future__ import annotations

from dataclasses import dataclass

from webnn.graph.donation import Donations

__all__ = ["Explanation"]


@dataclass(frozen=True, slots=True)
class Explanation:
    """What `graph.explain()` gives. Its `str` is meant to be read.

    Attributes:
        donations: the inputs whose memory can become that of an output, and why that of the others cannot.
        why_not_separable: why several runs cannot be executed together as a batch; None if they can.
    """

    donations: Donations
    why_not_separable: str | None = None

    def __str__(self) -> str:
        reason = self.why_not_separable
        return f"{self.donations}\nbatches of several runs: {'yes' if reason is None else 'no, ' + reason}"
