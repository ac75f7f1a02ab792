"""Products and convolutions of integers; WebNN has them of floats. Those of 8 bits are exact, wider ones wrap around.

A float32 holds integers up to 2**24. If a sum of products can be larger, one factor is split into digits of so few bits
that no sum exceeds the limit; the sums of the digits are then added as integers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from webnn.errors import NotSupportedError
from webnn.graph.composites.composite import Builder, compose, composite
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.ir import Node
from webnn.graph.operand import MLOperand
from webnn.graph.quick_dataclass import dataclass

__all__ = [
    "Factor",
    "exact_product",
    "factor",
    "has_integer_products",
    "integer_convolution",
    "integer_product",
    "product_of_wide_integers",
]

_EXACT: Final = 1 << 24
_PRODUCTS: Final = 1 << 26
"""The most products of wide elements, which are all in memory at once."""


def has_integer_products(b: Builder) -> bool:
    """Whether the backend of the builder multiplies integers itself, and exactly."""
    return "matmul_integer" in b._host.composites


def integer_product(
    b: Builder, x: MLOperand, y: MLOperand, x_zero: MLOperand | None = None, y_zero: MLOperand | None = None
) -> MLOperand:
    """The matrix product of `x - x_zero` and `y - y_zero` in int32, of int8 or uint8 of rank 2 or more.

    `x_zero` has one element, `y_zero` one element or one for each column of `y`.
    """
    operands = {"a": x, "b": y}
    if x_zero is not None:
        operands["a_zero_point"] = x_zero
    if y_zero is not None:
        operands["b_zero_point"] = y_zero
    batch = np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    output = MLOperandDescriptor("int32", [*batch, x.shape[-2], y.shape[-1]])
    return compose(b, "matmul_integer", operands, [output])[0]


@composite
def matmul_integer(b: Builder, node: Node) -> Sequence[MLOperand]:
    """Products of floats that are exact, cast to int32."""
    x, y = node["a"], node["b"]
    left = factor(b, x, node.get("a_zero_point"), x.rank - 2)
    right = factor(b, y, node.get("b_zero_point"), y.rank - 1)
    product, _ = exact_product(
        b,
        left,
        right,
        lambda digit: b.matmul(left.operand, digit),
        terms=x.shape[-1],
        summed=(y.rank - 2,),
        where=node.where,
    )
    return [product]


def integer_convolution(
    b: Builder,
    x: MLOperand,
    filters: MLOperand,
    x_zero: MLOperand | None = None,
    filter_zero: MLOperand | None = None,
    *,
    padding: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
) -> MLOperand:
    """The convolution of `x - x_zero`, in uint8, and `filters - filter_zero`, constants in int8 or uint8, in int32.

    `padding` is in the order of `conv2d`. It stands for zeros of the difference. The zero points have one element each.

    Raises:
        NotSupportedError: the builder has no such node, and the sums are too large for floats.
    """
    operands = {"input": x, "filter": filters}
    zeros = {"input_zero_point": x_zero, "filter_zero_point": filter_zero}
    operands |= {name: zero for name, zero in zeros.items() if zero is not None}
    rows = zip(x.shape[2:], filters.shape[2:], strides, dilations, padding[::2], padding[1::2], strict=True)
    counts = [(size + before + after - (k - 1) * d - 1) // step + 1 for size, k, step, d, before, after in rows]
    output = MLOperandDescriptor("int32", [x.shape[0], filters.shape[0], *counts])
    options: dict[str, Any] = {"padding": tuple(padding), "strides": tuple(strides), "dilations": tuple(dilations)}
    return compose(b, "conv_integer", operands, [output], **options)[0]


@composite
def conv_integer(b: Builder, node: Node) -> Sequence[MLOperand]:
    """Convolutions of floats that are exact, cast to int32."""
    x, filters = node["input"], node["filter"]
    options = {name: node.attributes[name] for name in ("padding", "strides", "dilations")}
    left = factor(b, x, node.get("input_zero_point"), 1)
    right = factor(b, filters, node.get("filter_zero_point"), 0)
    sums, _ = exact_product(
        b,
        left,
        right,
        lambda digit: b.conv2d(left.operand, digit, **options),
        terms=math.prod(filters.shape[1:]),
        summed=(1, 2, 3),
        where=node.where,
    )
    return [sums]


def product_of_wide_integers(b: Builder, x: MLOperand, y: MLOperand) -> MLOperand:
    """The product of matrices of the same type, int32, uint32, int64 or uint64, whose further axes broadcast.

    Raises:
        NotSupportedError: the products of elements would take too much memory.
    """
    stack = np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    output = MLOperandDescriptor(x.data_type, [*stack, x.shape[-2], y.shape[-1]])
    return compose(b, "wide_matmul", {"a": x, "b": y}, [output])[0]


@composite
def wide_matmul(b: Builder, node: Node) -> Sequence[MLOperand]:
    """The sums of all products."""
    x, y = node["a"], node["b"]
    inner, columns = y.shape[-2:]
    if math.prod(node.output.shape) * inner > _PRODUCTS:
        raise NotSupportedError(
            f"{node.where}: it multiplies {x.data_type} matrices {list(x.shape)} and {list(y.shape)}; WebNN multiplies"
            " floats only"
        )
    products = b.mul(b.reshape(x, [*x.shape, 1]), b.reshape(y, [*y.shape[:-2], 1, inner, columns]))
    return [b.reduce_sum(products, axes=[products.rank - 2])]


@dataclass(frozen=True, slots=True)
class Factor:
    """A factor minus its zero point, as floats."""

    operand: MLOperand
    largest: int
    """The largest possible absolute value."""
    known: np.ndarray[Any, Any] | None = None


def factor(b: Builder, x: MLOperand, zero_point: MLOperand | None, axis: int) -> Factor:
    """`x` minus its zero point, of which there may be one for each index of `axis`.

    By cast and sub: onnxruntime would fuse dequantize_linear into a product that may saturate.
    """
    known = _integers(x)
    bounds = np.iinfo(x.descriptor.dtype)
    low, high = int(bounds.min), int(bounds.max)
    if zero_point is None:
        return Factor(b.cast(x, "float32"), max(high, -low), known)
    if zero_point.rank == 1 and zero_point.shape[0] > 1:
        shape = [zero_point.shape[0] if i == axis else 1 for i in range(x.rank)]
        constant = zero_point.constant
        zero_point = b.reshape(zero_point, shape) if constant is None else b.constant(constant.reshape(shape))
    zeros = _integers(zero_point)
    operand = b.sub(b.cast(x, "float32"), b.cast(zero_point, "float32"))
    if zeros is None:
        return Factor(operand, high - low)
    largest = max(high - int(zeros.min()), int(zeros.max()) - low)
    return Factor(operand, largest, None if known is None else known - zeros)


def _integers(operand: MLOperand) -> np.ndarray[Any, Any] | None:
    return None if operand.constant is None else operand.constant.astype(np.int32)


def exact_product(
    b: Builder,
    left: Factor,
    right: Factor,
    product: Callable[[MLOperand], MLOperand],
    *,
    terms: int,
    summed: tuple[int, ...],
    where: str,
) -> tuple[MLOperand, MLOperand | None]:
    """The product of `left`, to which `product` is bound, and `right`, in int32; and in float32 if that holds it.

    It sums `terms` products, over the axes `summed` of `right`.
    """

    def is_exact(largest: int, known: np.ndarray[Any, Any] | None) -> bool:
        if left.largest * terms * largest <= _EXACT:
            return True  # whatever the elements are, so that large weights need not be read
        return known is not None and left.largest * int(np.abs(known).sum(summed, np.int64).max(initial=0)) <= _EXACT

    if is_exact(right.largest, right.known):
        floats = product(right.operand)
        return b.cast(floats, "int32"), floats
    bits = (_EXACT // max(left.largest * terms, 1)).bit_length() - 1
    if bits < 1:
        raise NotSupportedError(
            f"{where}: its sums of {terms} products of integers are too large to be computed exactly"
        )
    base = 1 << bits
    rest, rest_known, largest, weight, total = right.operand, right.known, right.largest, 1, None
    while True:
        last = is_exact(largest, rest_known)
        if last:
            digit, digit_known = rest, rest_known
        elif rest_known is not None:
            digit, digit_known = rest, rest_known & (base - 1)
            rest_known = rest_known >> bits
        else:
            higher = b.floor(b.linear(rest, alpha=1 / base))
            digit, digit_known, rest = b.sub(rest, b.linear(higher, alpha=base)), None, higher
        if digit_known is not None:
            digit = b.cast(b.constant(_narrow(digit_known)), "float32")
        part = b.cast(product(digit), "int32")
        part = part if weight == 1 else b.mul(part, b.constant("int32", weight))
        total = part if total is None else b.add(total, part)
        if last:
            return total, None
        largest, weight = -(-largest // base), weight * base


def _narrow(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The integers as int8 or uint8 if they fit."""
    for dtype in (np.int8, np.uint8):
        bounds = np.iinfo(dtype)
        if bounds.min <= array.min(initial=0) and array.max(initial=0) <= bounds.max:
            return array.astype(dtype)
    return array
