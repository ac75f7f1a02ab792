"""A valid call of every operator, drawn at random."""

from __future__ import annotations

from tests.property import elementwise_calls, layer_calls, movement_calls
from tests.property.draft import Draft
from tests.property.registry import VALID, Call

__all__ = ["VALID", "Call", "elementwise_calls", "layer_calls", "movement_calls", "valid_call"]


def valid_call(draft: Draft, op: str) -> Call:
    """A call of `op` that is valid."""
    return Call(op, *VALID[op](draft, op))
