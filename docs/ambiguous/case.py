"""A case: a graph, its inputs, and what the specification says about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from webnn.targets.rules import Example

__all__ = ["Case", "floats", "halves", "image", "ints", "octets"]


@dataclass(frozen=True, slots=True)
class Case:
    """One case.

    Attributes:
        name: its anchor on the page, which never changes.
        section: the anchor of the section in the specification.
        sentence: what the specification says there, without markup.
        remark: what follows from it, or what it leaves open.
        example: makes the graph.
        decided: whether the specification decides the values; implementations that differ depart from it then.
    """

    name: str
    section: str
    sentence: str
    remark: str
    example: Example
    decided: bool = False


def floats(*numbers: Any) -> np.ndarray[Any, Any]:
    """An array of float32."""
    return np.array(numbers, np.float32)


def halves(*numbers: Any) -> np.ndarray[Any, Any]:
    """An array of float16."""
    return np.array(numbers, np.float16)


def ints(*numbers: Any, dtype: Any = np.int32) -> np.ndarray[Any, Any]:
    """An array of int32, or another type."""
    return np.array(numbers, dtype)


def octets(*numbers: int) -> np.ndarray[Any, Any]:
    """An array of uint8."""
    return np.array(numbers, np.uint8)


def image(*rows: list[float]) -> np.ndarray[Any, Any]:
    """One image with one channel, of float32."""
    return np.array(rows, np.float32)[None, None]
