"""A graph that is being drawn: operands of chosen types and shapes, and the values that go into them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias, TypeVar

import numpy as np
from hypothesis import strategies as st

from tests.direct import DirectHost
from webnn.backends.base import Backend
from webnn.graph.builder import MLGraphBuilder
from webnn.graph.dtypes import SIGNED, DataType, numpy_dtype
from webnn.graph.ir import Graph
from webnn.graph.operand import MLOperand

__all__ = [
    "Draft",
    "Shape",
    "Values",
    "between",
    "ordered",
    "places",
    "positive",
    "returnable",
    "signs",
    "tame",
    "wild",
]

T = TypeVar("T")
Array: TypeAlias = np.ndarray[Any, Any]
Shape: TypeAlias = tuple[int, ...]
Values: TypeAlias = Callable[[np.random.Generator, Shape, np.dtype[Any]], Array]

_SPECIAL_FLOATS: Final = (math.nan, math.inf, -math.inf, -0.0, 0.0, 0.5, 1.5, -2.5)


def tame(rng: np.random.Generator, shape: Shape, dtype: np.dtype[Any]) -> Array:
    """Small multiples of a quarter, or small integers: sums of products of a few are exact in any order."""
    if dtype.kind == "f":
        return np.asarray(rng.integers(-16, 17, shape) / 4, dtype)
    return np.asarray(rng.integers(0 if _is_unsigned(dtype) else -8, 8, shape)).astype(dtype)


def wild(rng: np.random.Generator, shape: Shape, dtype: np.dtype[Any]) -> Array:
    """Anything that the type can hold: bounds, infinities, not-a-numbers, subnormals, random bits."""
    size = math.prod(shape)
    bits = np.frombuffer(rng.bytes(size * dtype.itemsize), dtype)
    if dtype.kind == "f":
        info = np.finfo(dtype)
        limits: tuple[Any, ...] = (*_SPECIAL_FLOATS, info.max, info.min, info.tiny, info.smallest_subnormal)
    else:
        whole = np.iinfo(dtype)
        limits = tuple(int(v) for v in (0, 1, 2, 3, 7, whole.max, whole.min, whole.max - 1, whole.min + 1))
    edges = np.array(limits, dtype)[rng.integers(0, len(limits), size)]
    return np.choose(rng.integers(0, 3, size), [bits, edges, tame(rng, (size,), dtype)]).astype(dtype).reshape(shape)


def ordered(rng: np.random.Generator, shape: Shape, dtype: np.dtype[Any]) -> Array:
    """Anything but not-a-numbers, of which nobody says whether they are large or small."""
    array = wild(rng, shape, dtype)
    return np.nan_to_num(array, nan=1.0, posinf=np.inf, neginf=-np.inf) if dtype.kind == "f" else array


def positive(rng: np.random.Generator, shape: Shape, dtype: np.dtype[Any]) -> Array:
    """Quarters from 1/4 to 4, or integers from 1."""
    numbers = rng.integers(1, 17, shape)
    return np.asarray(numbers / 4 if dtype.kind == "f" else numbers).astype(dtype)


def signs(rng: np.random.Generator, shape: Shape, dtype: np.dtype[Any]) -> Array:
    """Ones, twos and halves with signs: products of many stay in range and exact."""
    return np.asarray(rng.choice([1, -1, 2, 0.5] if dtype.kind == "f" else [1, 2, 3], shape)).astype(dtype)


def between(low: float, high: float) -> Values:
    """Evenly spread floats; for functions that are only interesting there."""
    return lambda rng, shape, dtype: np.asarray(rng.uniform(low, high, shape)).astype(dtype)


def places(size: int) -> Values:
    """Indices into `size` places, also from the end, and now and then outside of them."""

    def values(rng: np.random.Generator, shape: Shape, dtype: np.dtype[Any]) -> Array:
        inside = rng.integers(0 if _is_unsigned(dtype) else -size, size, shape)
        outside = np.asarray(rng.choice([0, size, size + 5, 2**31 - 1], shape))
        return np.where(rng.random(shape) < 0.1, outside, inside).astype(dtype)

    return values


def _is_unsigned(dtype: np.dtype[Any]) -> bool:
    return dtype.kind == "u" or dtype.name == "uint4"


def _is_small(operand: MLOperand) -> bool:
    """Whether operators that make more of it can follow each other without filling the memory."""
    return operand.descriptor.element_count <= 4096


class Draft:
    """A builder with the inputs it was given, and what hypothesis chooses for it.

    Args:
        data: where the choices come from.
        backend: whose limits hold.
    """

    def __init__(self, data: st.DataObject, backend: Backend) -> None:
        self._data = data
        self._host = DirectHost(backend)
        self._names = itertools.count()
        self._rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1), label="seed of the values"))
        self.builder: MLGraphBuilder[Graph] = MLGraphBuilder(self._host)
        self.feeds: dict[str, Array] = {}
        self.values: Values = tame
        """What goes into operands when nothing else is asked for."""
        self.pool: list[MLOperand] = []
        """Operands that later ones may be computed from."""

    # Choices.

    def draw(self, strategy: st.SearchStrategy[T]) -> T:
        return self._data.draw(strategy)

    def integer(self, low: int, high: int) -> int:
        return self.draw(st.integers(low, high))

    def flag(self) -> bool:
        return self.draw(st.booleans())

    def pick(self, options: Sequence[T]) -> T:
        return self.draw(st.sampled_from(options))

    def some_of(self, items: Sequence[T]) -> list[T]:
        """Some of `items`, in any order."""
        return self.draw(st.permutations(items))[: self.integer(0, len(items))]

    def options(self, **choices: Callable[[], Any]) -> dict[str, Any]:
        """Some of the options, each with its value; the others keep their defaults."""
        return {name: choose() for name, choose in choices.items() if self.flag()}

    # Types and shapes.

    def type_of(self, op: str, operand: str) -> DataType:
        """A data type that the limits allow."""
        return self.pick(self._host.limits[op][operand].allowed)

    def shape(self, low: int = 0, high: int = 8) -> Shape:
        """A shape of `low` to `high` dimensions, most of them few."""
        rank = self.integer(low, min(high, max(low, 4))) if self.integer(0, 3) else self.integer(low, high)
        return tuple(self.integer(1, 4 if rank < 4 else 2) for _ in range(rank))

    def shape_for(self, op: str, operand: str) -> Shape:
        """A shape that the limits allow."""
        return self.shape(*self._host.limits[op][operand].ranks)

    def stretchable(self, shape: Shape, *, lowest_rank: int = 0) -> Shape:
        """A shape that broadcasts to `shape`."""
        dropped = self.integer(0, len(shape) - lowest_rank) if self.flag() else 0
        return tuple(1 if self.integer(0, 3) == 0 else size for size in shape[dropped:])

    # Operands.

    def operand(self, op: str, name: str, shape: Shape | None = None, values: Values | None = None) -> MLOperand:
        """An operand that the limits of `op` allow as `name`."""
        known = self.known(op, name) if shape is None and values is None else None
        if known is not None:
            return known
        return self.make(self.type_of(op, name), self.shape_for(op, name) if shape is None else shape, values)

    def known(self, op: str, name: str) -> MLOperand | None:
        """Now and then, an operand of the pool that the limits of `op` allow as `name`."""
        row = self._host.limits[op][name]
        low, high = row.ranks
        fitting = [o for o in self.pool if o.data_type in row.allowed and low <= o.rank <= high and _is_small(o)]
        return self.pick(fitting) if fitting and self.integer(0, 4) else None

    def make(self, data_type: DataType, shape: Shape, values: Values | None = None) -> MLOperand:
        """An input, a constant, or one of them moved around."""
        array = (values or self.values)(self._rng, shape, numpy_dtype(data_type))
        if data_type in ("int4", "uint4"):
            return self.builder.constant(array)
        match self.integer(0, 5):
            case 0:
                return self.builder.constant(array)
            case 1 if len(shape) > 1:
                order = self.draw(st.permutations(range(len(shape))))
                back = [order.index(axis) for axis in range(len(shape))]
                return self.builder.transpose(self._input(array.transpose(order)), permutation=back)
            case 2:
                return self.builder.reshape(self._input(array.reshape(-1)), shape)
            case 3:
                return self.builder.identity(self._input(array))
            case _:
                return self._input(array)

    def followed(self, operand: MLOperand) -> MLOperand:
        """`operand`, or what an operator that backends may fuse with the one before makes of it."""
        float_or_signed = operand.data_type in SIGNED
        match self.integer(0, 7):
            case 0 if float_or_signed:
                return self.builder.relu(operand)
            case 1 if float_or_signed:
                return self.builder.abs(operand)
            case 2:
                return self.builder.clamp(operand, min_value=0, max_value=6)
            case 3:
                return self.builder.transpose(operand)
            case 4:
                return self.builder.reshape(operand, [math.prod(operand.shape)])
            case _:
                return operand

    def _input(self, array: Array) -> MLOperand:
        name = f"input {next(self._names)}"
        self.feeds[name] = np.ascontiguousarray(array).reshape(array.shape)
        return self.builder.input(name, array.shape, array.dtype.name)


def returnable(draft: Draft, operand: MLOperand) -> MLOperand:
    """`operand`, or where it holds 4-bit integers, which a graph cannot return, the same numbers as floats."""
    if operand.data_type not in ("int4", "uint4"):
        return operand
    one, zero = np.ones([1] * operand.rank, np.float32), np.zeros([1] * operand.rank, operand.descriptor.dtype)
    return draft.builder.dequantize_linear(operand, draft.builder.constant(one), draft.builder.constant(zero))
