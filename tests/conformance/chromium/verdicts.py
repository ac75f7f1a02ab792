"""Calls that Chromium 147 accepts and we refuse, or the other way round, with the reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from tests.property.calls import Call

__all__ = ["VERDICTS", "Verdict", "known_verdict"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """One known difference of validation.

    Args:
        name: what it is about.
        ops: the operators that it concerns.
        applies: whether it concerns this call.
        example: a call that it concerns, on a builder with operands made of arrays.
        ours: whether we accept it; Chromium does the opposite.
        reason: what Chromium does, and what the specification says.
    """

    name: str
    ops: tuple[str, ...]
    applies: Callable[[Call], bool]
    example: Callable[[Any, Callable[[Any], Any]], Any]
    ours: bool
    reason: str

    def __str__(self) -> str:
        return self.name


NUMBERED: Final = (
    *("batch_normalization", "instance_normalization", "layer_normalization"),
    *("elu", "gemm", "hard_sigmoid", "leaky_relu", "linear"),
)
"""Operators with options that are numbers."""
FLOAT_MAX: Final = float(np.finfo(np.float32).max)


def known_verdict(call: Call) -> Verdict | None:
    """The known difference that concerns `call`."""
    return next((v for v in VERDICTS if call.op in v.ops and v.applies(call)), None)


def _has_large_integer(call: Call) -> bool:
    numbers = (call.options.get(name) for name in ("min_value", "max_value"))
    return any(isinstance(number, int) and abs(number) >= 2**53 for number in numbers)


def _has_large_float(call: Call) -> bool:
    numbers = [value for value in call.options.values() if isinstance(value, int | float)]
    return any(abs(number) > FLOAT_MAX for number in numbers)


VERDICTS: Final = (
    Verdict(
        "prelu with a slope larger than the input",
        ("prelu",),
        lambda call: True,
        lambda b, x: b.prelu(x(np.ones(1, np.float32)), x(np.ones(2, np.float32))),
        True,
        "older: the slope had to broadcast to the input's shape",
    ),
    Verdict(
        "clamp of floats by a BigInt",
        ("clamp",),
        _has_large_integer,
        lambda b, x: b.clamp(x(np.ones(1, np.float32)), max_value=2**60),
        True,
        "the specification casts any MLNumber to the input's data type",
    ),
    Verdict(
        "slice of a scalar of uint32",
        ("slice",),
        lambda call: call.args[1:] == [[], []],
        lambda b, x: b.slice(x(np.array(1, np.uint32)), [], []),
        True,
        "held to the limits of identity; those of slice allow it",
    ),
    Verdict(
        "numbers that only a double can hold",
        NUMBERED,
        _has_large_float,
        lambda b, x: b.linear(x(np.ones(1, np.float32)), alpha=1e39),
        True,
        "older: such options were float; they are double now",
    ),
    Verdict(
        "scales that are not used",
        ("resample2d",),
        lambda call: call.options.get("sizes") is not None and call.options.get("scales") is not None,
        lambda b, x: b.resample2d(x(np.ones((1, 1, 1, 1), np.float32)), sizes=[1, 1], scales=[]),
        False,
        "with sizes, scales are not looked at; the specification checks them first",
    ),
)
