"""Fast construction of frozen dataclasses with slots, of which a graph has thousands of instances."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any, TypeAlias

__all__ = ["Setter", "setters"]

Setter: TypeAlias = Callable[[object, Any], None]


def setters(kind: type[Any]) -> tuple[Setter, ...]:
    """The functions that set the fields of `kind`, in the order of the fields. Only its `__init__` may call them.

    A frozen dataclass raises an error when an attribute is assigned. Its `__init__` can bypass that with
    `object.__setattr__`, or with these functions, which take half the time.
    """
    return tuple(getattr(kind, field.name).__set__ for field in fields(kind))
