"""Constructors of frozen dataclasses with slots that are made thousands of times for each graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any, TypeAlias

__all__ = ["Setter", "setters"]

Setter: TypeAlias = Callable[[object, Any], None]


def setters(kind: type[Any]) -> tuple[Setter, ...]:
    """The function that sets each field, in the order of the fields; for the `__init__` of `kind` and nothing else.

    A frozen dataclass raises when one of its attributes is assigned. Its `__init__` can get around that with
    `object.__setattr__`, or with these functions in half the time.
    """
    return tuple(getattr(kind, field.name).__set__ for field in fields(kind))
