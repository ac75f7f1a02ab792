"""The explanation of a graph: what the runtime can do with it, and why it cannot do the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import field
from functools import cached_property

from webnn.graph.donation import Donations
from webnn.graph.placement import OperatorPlacement, shown_placements
from webnn.graph.quick_dataclass import dataclass
from webnn.graph.rewrites import Rewrite

__all__ = ["Explanation"]


def _unknown() -> None:
    """Nothing is known of the operators."""


@dataclass(frozen=True)
class Explanation:
    """What `graph.explain()` gives. Its `str` is meant to be read.

    Attributes:
        donations: the inputs whose memory can become that of an output, and why that of the others cannot.
        why_not_separable: why several runs cannot be executed together as a batch; None if they can.
    """

    donations: Donations
    why_not_separable: str | None = None
    find: Callable[[], Sequence[OperatorPlacement] | None] = field(default=_unknown, repr=False, compare=False)
    """Finds `operators`, when that is asked for: the graph is lowered once more."""
    find_rewrites: Callable[[], Sequence[Rewrite]] = field(default=tuple, repr=False, compare=False)
    """Finds `rewrites`, when that is asked for: the passes run once more."""

    @cached_property
    def operators(self) -> Sequence[OperatorPlacement] | None:
        """Where the operators run, by label; None if the graph is not compiled yet."""
        return self.find()

    @cached_property
    def rewrites(self) -> Sequence[Rewrite]:
        """The operators that passes of the backend have replaced, pass by pass; see docs/models.md."""
        return self.find_rewrites()

    def __str__(self) -> str:
        reason, operators = self.why_not_separable, self.operators
        lines = [str(self.donations), f"batches of several runs: {'yes' if reason is None else 'no, ' + reason}"]
        if self.rewrites:
            lines += ["operators that are computed in another form:", *(f"  {rewrite}" for rewrite in self.rewrites)]
        if operators is None:
            lines.append("operators: they are listed once the graph is compiled")
        else:
            lines += ["operators:", *(f"  {line}" for line in shown_placements(operators))]
        return "\n".join(lines)
