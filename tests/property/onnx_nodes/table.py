"""The table of random nodes, and the numbers and shapes that several of them draw."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

import numpy as np

from tests.property.onnx_models import Models, Value

__all__ = ["ANY", "FLOATS", "INTEGERS", "NODES", "NUMBERS", "adds", "as_axes", "drawn_pair"]

FLOATS: Final = (np.float32, np.float32, np.float32, np.float32, np.float16, np.float64)
INTEGERS: Final = (np.int64, np.int64, np.int32, np.int32, np.int8, np.uint8, np.uint32, np.uint64, np.int16, np.uint16)
NUMBERS: Final = (*FLOATS, *INTEGERS)
ANY: Final = (*NUMBERS, np.bool_, np.bool_)

Adds: TypeAlias = Callable[[Models, str], bool]
"""Adds a random node of a type; False if onnxruntime refuses it."""
NODES: Final[dict[str, Callable[[Models], bool]]] = {}


def _of_type(add: Adds, op_type: str) -> Callable[[Models], bool]:
    return lambda models: add(models, op_type)


def adds(*op_types: str) -> Callable[[Adds], Adds]:
    """Registers a function that adds a random node of any of these types."""

    def register(function: Adds) -> Adds:
        for op_type in op_types:
            NODES[op_type] = _of_type(function, op_type)
        return function

    return register


def as_axes(
    m: Models, since: int, axes: list[int] | None, name: str = "axes"
) -> tuple[list[Value | None], dict[str, Any]]:
    """Axes as an input, or as an attribute of older opsets."""
    if axes is None:
        return [], {}
    return ([m.integers(*axes)], {}) if m.version >= since else ([], {name: axes})


def drawn_pair(m: Models, dtype: Any, *, exact: bool = False, second: tuple[float, float] = (-3, 3)) -> list[Value]:
    a = m.take(dtype, exact=exact)
    b = m.take(dtype, m.broadcast(a.shape), exact=exact or second != (-3, 3), low=second[0], high=second[1])
    return [a, b] if second != (-3, 3) or m.maybe(0.7) else [b, a]
