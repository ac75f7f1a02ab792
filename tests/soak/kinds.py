"""The graphs of the soak.

Numbers are whole and small, so float32 holds them exactly, whatever the order of the sums.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Final

import numpy as np

import webnn

__all__ = ["KINDS", "Array", "Kind"]

Array = np.ndarray[Any, Any]

HIDDEN: Final = 512


@dataclass(frozen=True)
class Kind:
    """A graph of one input `x` and one output `y`, both full of what a frame's number makes of it.

    Attributes:
        name: for messages.
        shape: of `x`.
        modulus: numbers of frames repeat after so many.
        build: makes the graph of a builder.
        compute: what NumPy says of `x`.
    """

    name: str
    shape: tuple[int, ...]
    modulus: int
    build: Callable[[webnn.MLContext], webnn.MLGraph]
    compute: Callable[[Array], Array]

    def feed(self, number: int) -> dict[str, Array]:
        """The inputs of a frame."""
        return {"x": np.full(self.shape, number % self.modulus, np.float32)}

    def is_right(self, number: int, y: Array) -> bool:
        """Whether `y` is the result of a frame."""
        return np.array_equal(y, _expected(self, number % self.modulus))


@lru_cache(maxsize=200)
def _expected(kind: Kind, number: int) -> Array:
    expected: Array = kind.compute(np.full(kind.shape, number, np.float32))
    return expected


def _weights(seed: int, shape: tuple[int, int]) -> Array:
    return np.random.default_rng(seed).integers(-1, 2, shape).astype(np.float32)


FIRST, SECOND = _weights(1, (128, HIDDEN)), _weights(2, (HIDDEN, 8))


def _sum(shape: tuple[int, ...], context: webnn.MLContext) -> webnn.MLGraph:
    builder = context.create_graph_builder()
    x = builder.input("x", shape, "float32")
    return builder.build(
        {"y": builder.add(builder.mul(x, builder.constant("float32", 2)), builder.constant("float32", 1))}
    )


def _perceptron(rows: int, context: webnn.MLContext) -> webnn.MLGraph:
    builder = context.create_graph_builder()
    x = builder.input("x", (rows, 128), "float32")
    hidden = builder.relu(builder.matmul(x, builder.constant(FIRST)))
    return builder.build({"y": builder.matmul(hidden, builder.constant(SECOND))})


def _product(x: Array) -> Array:
    product: Array = np.maximum(x @ FIRST, 0) @ SECOND
    return product


KINDS: Final = (
    Kind("small", (4,), 2**22, partial(_sum, (4,)), lambda x: x * 2 + 1),
    Kind("lent", (2048,), 2**22, partial(_sum, (2048,)), lambda x: x * 2 + 1),
    Kind("perceptron", (1, 128), 97, partial(_perceptron, 1), _product),
    Kind("long", (64, 128), 97, partial(_perceptron, 64), _product),
)
