"""A graph of each operator, on float32 wherever the operator takes it, with values for its inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeAlias

import numpy as np

import webnn

__all__ = ["EXAMPLES", "Draft", "Example"]


class Draft:
    """A builder that makes inputs with values."""

    def __init__(self, builder: Any) -> None:
        self.builder = builder
        self.feeds: dict[str, np.ndarray[Any, Any]] = {}
        self._random = np.random.default_rng(17)

    def numbers(self, *shape: int, low: float = -3, high: float = 3) -> webnn.MLOperand:
        """An input of float32."""
        return self.of(self._random.uniform(low, high, shape).astype(np.float32))

    def truths(self, *shape: int) -> webnn.MLOperand:
        """An input of 0 and 1."""
        return self.of(self._random.integers(0, 2, shape, np.uint8))

    def places(self, size: int, *shape: int) -> webnn.MLOperand:
        """An input of indices below `size`, no two of which are equal."""
        count = int(np.prod(shape))
        return self.of(self._random.permutation(size)[:count].reshape(shape).astype(np.int32))

    def of(self, array: np.ndarray[Any, Any]) -> webnn.MLOperand:
        """An input with these values."""
        name = f"input {len(self.feeds)}"
        self.feeds[name] = array
        operand: webnn.MLOperand = self.builder.input(name, array.shape, array.dtype.name)
        return operand


Example: TypeAlias = Callable[[Draft], Any]
"""Calls one operator, and gives what it gives."""


def _recurrent(op: str, gates: int, states: int) -> Example:
    def call(draft: Draft) -> Any:
        size = (gates * 4, 3), (gates * 4, 4)
        if op.endswith("_cell"):
            x, weights = draft.numbers(2, 3), [draft.numbers(*shape) for shape in size]
            given = [draft.numbers(2, 4) for _ in range(states)]
            return getattr(draft.builder, op)(x, *weights, *given, hidden_size=4)
        x, weights = draft.numbers(3, 2, 3), [draft.numbers(2, *shape) for shape in size]
        options = {"return_sequence": True, "direction": "both"}
        return getattr(draft.builder, op)(x, *weights, steps=3, hidden_size=4, **options)

    return call


def _of(op: str, *shapes: tuple[int, ...], low: float = -3, **options: Any) -> Example:
    """A call with inputs of float32."""
    return lambda d: getattr(d.builder, op)(*(d.numbers(*shape, low=low) for shape in shapes), **options)


def _of_truths(op: str, *shapes: tuple[int, ...]) -> Example:
    return lambda d: getattr(d.builder, op)(*(d.truths(*shape) for shape in shapes))


# fmt: off
_OF_ONE: Final = (
    "abs", "ceil", "cos", "elu", "erf", "exp", "floor", "gelu", "hard_sigmoid", "hard_swish", "identity", "is_infinite",
    "is_nan", "leaky_relu", "linear", "neg", "relu", "round_even", "sigmoid", "sign", "sin", "softplus", "softsign",
    "tan", "tanh",
)
_OF_TWO: Final = (
    "add", "div", "equal", "greater", "greater_or_equal", "lesser", "lesser_or_equal", "max", "min", "mul", "not_equal",
    "prelu", "sub",
)
_REDUCTIONS: Final = (
    "reduce_l1", "reduce_l2", "reduce_log_sum_exp", "reduce_max", "reduce_mean", "reduce_min", "reduce_product",
    "reduce_sum", "reduce_sum_square",
)
# fmt: on


def _examples() -> Iterator[tuple[str, Example]]:
    for op in _OF_ONE:
        yield op, _of(op, (2, 3, 4))
    for op in ("log", "reciprocal", "sqrt"):
        yield op, _of(op, (2, 3), low=0.1)
    for op in _OF_TWO:
        yield op, _of(op, (2, 3), (3,))
    yield "pow", lambda d: d.builder.pow(d.numbers(2, 3, low=0.1), d.numbers(3))
    for op in ("logical_and", "logical_or", "logical_xor"):
        yield op, _of_truths(op, (3, 4), (4,))
    yield "logical_not", _of_truths("logical_not", (3, 4))
    for op in _REDUCTIONS:
        yield op, _of(op, (2, 3, 4), axes=[1])
    yield "reduce_log_sum", _of("reduce_log_sum", (2, 3), low=0.1, axes=[1])
    for op in ("arg_max", "arg_min", "cumulative_sum", "softmax"):
        yield op, _of(op, (2, 5), axis=1)
    for op in ("average_pool2d", "l2_pool2d", "max_pool2d"):
        yield op, _of(op, (1, 2, 6, 6), window_dimensions=[2, 3])
    yield "clamp", lambda d: d.builder.clamp(d.numbers(2, 3), min_value=-1, max_value=1)
    yield "cast", lambda d: d.builder.cast(d.numbers(2, 3), "int32")
    yield "where", lambda d: d.builder.where(d.truths(2, 3), d.numbers(3), d.numbers(2, 3))
    yield "conv2d", lambda d: d.builder.conv2d(d.numbers(1, 2, 5, 5), d.numbers(3, 2, 3, 3), bias=d.numbers(3))
    yield "conv_transpose2d", lambda d: d.builder.conv_transpose2d(d.numbers(1, 2, 4, 4), d.numbers(2, 3, 3, 3))
    yield "gemm", lambda d: d.builder.gemm(d.numbers(3, 4), d.numbers(4, 5), c=d.numbers(5))
    yield "matmul", lambda d: d.builder.matmul(d.numbers(2, 3, 4), d.numbers(4, 5))
    yield "concat", lambda d: d.builder.concat([d.numbers(2, 3), d.numbers(2, 4)], 1)
    yield "expand", lambda d: d.builder.expand(d.numbers(1, 3), [4, 3])
    yield "pad", lambda d: d.builder.pad(d.numbers(2, 3), [1, 0], [0, 2], value=7)
    yield "reshape", lambda d: d.builder.reshape(d.numbers(2, 6), [3, 4])
    yield "reverse", lambda d: d.builder.reverse(d.numbers(2, 3), axes=[1])
    yield "slice", lambda d: d.builder.slice(d.numbers(4, 5), [1, 0], [2, 5], strides=[1, 2])
    yield "split", lambda d: d.builder.split(d.numbers(2, 6), [1, 2, 3], axis=1)
    yield "tile", lambda d: d.builder.tile(d.numbers(2, 3), [2, 1])
    yield "transpose", lambda d: d.builder.transpose(d.numbers(2, 3, 4), permutation=[2, 0, 1])
    yield "triangular", lambda d: d.builder.triangular(d.numbers(3, 4), upper=False, diagonal=1)
    yield "gather", lambda d: d.builder.gather(d.numbers(5, 3), d.places(5, 2), axis=0)
    yield "gather_elements", lambda d: d.builder.gather_elements(d.numbers(5, 3), d.places(5, 1, 3), axis=0)
    yield "gather_nd", lambda d: d.builder.gather_nd(d.numbers(5, 5, 3), d.places(5, 2, 2))
    yield (
        "scatter_elements",
        lambda d: d.builder.scatter_elements(d.numbers(5, 3), d.places(5, 1, 3), d.numbers(1, 3), axis=0),
    )
    yield "scatter_nd", lambda d: d.builder.scatter_nd(d.numbers(5, 3), d.places(5, 2, 1), d.numbers(2, 3))
    yield (
        "batch_normalization",
        lambda d: d.builder.batch_normalization(d.numbers(2, 3, 4, 4), d.numbers(3), d.numbers(3, low=0.5)),
    )
    yield "instance_normalization", lambda d: d.builder.instance_normalization(d.numbers(2, 3, 4, 4))
    yield "layer_normalization", lambda d: d.builder.layer_normalization(d.numbers(2, 3, 8), axes=[2])
    yield (
        "resample2d",
        lambda d: d.builder.resample2d(d.numbers(1, 2, 3, 3), sizes=[6, 5], axes=[2, 3], mode="linear"),
    )
    yield (
        "quantize_linear",
        lambda d: d.builder.quantize_linear(
            d.numbers(2, 3), d.builder.constant(np.full((1, 1), 0.05, np.float32)),
            d.builder.constant(np.full((1, 1), 3, np.uint8)),
        ),
    )  # fmt: skip
    yield (
        "dequantize_linear",
        lambda d: d.builder.dequantize_linear(
            d.builder.constant(np.arange(6, dtype=np.uint8).reshape(2, 3)), d.numbers(1, 3),
            d.builder.constant(np.full((1, 3), 3, np.uint8)),
        ),
    )  # fmt: skip
    yield "gru", _recurrent("gru", 3, 1)
    yield "gru_cell", _recurrent("gru_cell", 3, 1)
    yield "lstm", _recurrent("lstm", 4, 2)
    yield "lstm_cell", _recurrent("lstm_cell", 4, 2)


EXAMPLES: Final[Mapping[str, Example]] = dict(_examples())
"""By operator."""
