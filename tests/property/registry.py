"""Where the functions that draw calls are registered, and what several of them draw."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from hypothesis import strategies as st

from tests.property.draft import Draft
from webnn.graph.operand import MLOperand

__all__ = ["VALID", "Arguments", "Call", "axes_of", "draws", "number"]

Arguments: TypeAlias = tuple[list[Any], dict[str, Any]]
"""Positional arguments, and options."""
Drawn: TypeAlias = Callable[[Draft, str], Arguments]

VALID: Final[dict[str, Drawn]] = {}
"""Operator to the function that draws a valid call of it; `tests.property.calls` imports them all."""


@dataclass
class Call:
    """A call of a builder's method."""

    op: str
    args: list[Any]
    options: dict[str, Any] = field(default_factory=dict)

    def on(self, builder: Any) -> list[MLOperand]:
        """Make the call; the operands that it gives."""
        result = getattr(builder, self.op)(*self.args, **self.options)
        return list(result) if isinstance(result, list | tuple) else [result]

    def __repr__(self) -> str:
        arguments = [repr(arg) for arg in self.args] + [f"{name}={value!r}" for name, value in self.options.items()]
        return f"{self.op}({', '.join(arguments)})"


def draws(*ops: str) -> Callable[[Drawn], Drawn]:
    """Register the decorated function for `ops`."""

    def register(function: Drawn) -> Drawn:
        assert not VALID.keys() & set(ops)
        VALID.update(dict.fromkeys(ops, function))
        return function

    return register


def number(draft: Draft) -> float:
    return draft.draw(st.one_of(st.integers(-3, 3), st.sampled_from([0.25, -0.5, 1.5])))


def axes_of(draft: Draft, operand: MLOperand) -> list[int]:
    return draft.some_of(range(operand.rank))
