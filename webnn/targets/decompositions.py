"""Operators made of others, for targets that lack them: mostly the decompositions that the specification gives."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import numpy as np

from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.ir import Node
from webnn.graph.operand import MLOperand
from webnn.graph.rewriting import Replacement
from webnn.targets.remedies import gather_flat, mask_triangle, quantized, scaled, scatter_flat

__all__ = ["DECOMPOSITIONS"]

Decomposition: TypeAlias = Callable[[Replacement, Node], Sequence[MLOperand] | None]
DECOMPOSITIONS: Final[dict[str, Decomposition]] = {
    "dequantize_linear": scaled,
    "gather_elements": gather_flat,
    "quantize_linear": quantized,
    "scatter_elements": scatter_flat,
    "triangular": mask_triangle,
}
"""By the operator's method name. Where the target lacks an operator of those, too, it is decomposed in turn."""


def _of(*operators: str) -> Callable[[Decomposition], Decomposition]:
    def register(decomposition: Decomposition) -> Decomposition:
        DECOMPOSITIONS.update(dict.fromkeys(operators, decomposition))
        return decomposition

    return register


def _number(b: Replacement, like: MLOperand, number: float) -> MLOperand:
    return b.constant(like.data_type, number)


def _define(operator: str, formula: Callable[[Replacement, MLOperand, Any], MLOperand]) -> None:
    """An operator of one operand, by a formula of the builder, the operand and the attributes."""
    DECOMPOSITIONS[operator] = lambda b, node: [formula(b, next(node.inputs()), node.attributes)]


def _not(b: Replacement, x: MLOperand) -> MLOperand:
    return b.logical_not(x)


_define("abs", lambda b, x, _: b.max(x, b.mul(x, _number(b, x, -1))))
_define("neg", lambda b, x, _: b.mul(x, _number(b, x, -1)))
_define("reciprocal", lambda b, x, _: b.div(_number(b, x, 1), x))
_define("relu", lambda b, x, _: b.max(x, _number(b, x, 0)))
_define("sqrt", lambda b, x, _: b.pow(x, _number(b, x, 0.5)))
_define("tan", lambda b, x, _: b.div(b.sin(x), b.cos(x)))
_define("identity", lambda b, x, _: b.reshape(x, x.shape))
_define("is_nan", lambda b, x, _: b.not_equal(x, x))
_define("is_infinite", lambda b, x, _: b.equal(b.abs(x), _number(b, x, math.inf)))
_define("sigmoid", lambda b, x, _: b.div(_number(b, x, 1), b.add(b.exp(b.neg(x)), _number(b, x, 1))))
_define("softplus", lambda b, x, _: b.add(b.relu(x), b.log(b.add(b.exp(b.neg(b.abs(x))), _number(b, x, 1)))))
_define("softsign", lambda b, x, _: b.div(x, b.add(b.abs(x), _number(b, x, 1))))
_define("tanh", lambda b, x, _: b.sub(b.mul(b.sigmoid(b.mul(x, _number(b, x, 2))), _number(b, x, 2)), _number(b, x, 1)))
_define("hard_swish", lambda b, x, _: b.mul(x, b.hard_sigmoid(x, alpha=1 / 6, beta=0.5)))
_define("linear", lambda b, x, a: b.add(b.mul(x, _number(b, x, a["alpha"])), _number(b, x, a["beta"])))
_define(
    "hard_sigmoid",
    lambda b, x, a: b.max(b.min(b.linear(x, alpha=a["alpha"], beta=a["beta"]), _number(b, x, 1)), _number(b, x, 0)),
)
_define(
    "gelu",
    lambda b, x, _: b.mul(
        b.mul(x, _number(b, x, 0.5)), b.add(b.erf(b.mul(x, _number(b, x, math.sqrt(0.5)))), _number(b, x, 1))
    ),
)
_define(
    "elu",
    lambda b, x, a: b.where(
        b.greater(x, _number(b, x, 0)),
        x,
        b.mul(b.sub(b.exp(b.min(x, _number(b, x, 0))), _number(b, x, 1)), _number(b, x, a["alpha"])),
    ),
)
_define(
    "leaky_relu",
    lambda b, x, a: b.where(b.greater(x, _number(b, x, 0)), x, b.mul(x, _number(b, x, a["alpha"]))),
)
_define(
    "sign",
    lambda b, x, _: b.sub(
        b.cast(b.greater(x, _number(b, x, 0)), x.data_type), b.cast(b.lesser(x, _number(b, x, 0)), x.data_type)
    ),
)
_define("ceil", lambda b, x, _: b.neg(b.floor(b.neg(x))))
_define("logical_not", lambda b, x, _: b.equal(x, _number(b, x, 0)))
_define(
    "round_even",
    lambda b, x, _: _rounded(b, x),
)


def _rounded(b: Replacement, x: MLOperand) -> MLOperand:
    """Halves to even: the floor, and one more where the rest is over a half, or a half over an odd number."""
    low, half = b.floor(x), _number(b, x, 0.5)
    rest = b.sub(x, low)
    is_odd = b.not_equal(b.floor(b.mul(low, half)), b.mul(low, half))
    up = b.logical_or(b.greater(rest, half), b.logical_and(b.equal(rest, half), is_odd))
    return b.add(low, b.cast(up, x.data_type))


@_of("not_equal")
def _not_equal(b: Replacement, node: Node) -> Sequence[MLOperand]:
    return [_not(b, b.equal(node["a"], node["b"]))]


@_of("greater", "greater_or_equal", "lesser", "lesser_or_equal")
def _compared(b: Replacement, node: Node) -> Sequence[MLOperand]:
    """The same with the operands exchanged."""
    other = node.op.replace("greater", "x").replace("lesser", "greater").replace("x", "lesser")
    return [getattr(b, other)(node["b"], node["a"])]


@_of("logical_and", "logical_or", "logical_xor")
def _logic(b: Replacement, node: Node) -> Sequence[MLOperand]:
    x, y = (b.cast(_not(b, node[name]), "int32") for name in "ab")
    zero, total = b.constant("int32", 0), b.add(x, y)
    made: dict[str, Callable[[], MLOperand]] = {
        "logical_and": lambda: b.equal(total, zero),
        "logical_or": lambda: b.equal(b.mul(x, y), zero),
        "logical_xor": lambda: b.equal(total, b.constant("int32", 1)),
    }
    return [made[node.op]()]


@_of("prelu")
def _prelu(b: Replacement, node: Node) -> Sequence[MLOperand]:
    x, zero = node["input"], _number(b, node["input"], 0)
    return [b.add(b.max(x, zero), b.mul(b.min(x, zero), node["slope"]))]


@_of("clamp")
def _clamp(b: Replacement, node: Node) -> Sequence[MLOperand]:
    x, given = node["input"], node.attributes
    for held, name in ((b.max, "min_value"), (b.min, "max_value")):
        if math.isfinite(given[name]):
            x = held(x, _number(b, x, given[name]))
    return [x if x is not node["input"] else b.identity(x)]


# Reductions and normalization.


_BEFORE: Final[dict[str, Callable[[Replacement, MLOperand], MLOperand]]] = {
    "reduce_l1": lambda b, x: b.abs(x),
    "reduce_l2": lambda b, x: b.mul(x, x),
    "reduce_log_sum": lambda b, x: x,
    "reduce_sum_square": lambda b, x: b.mul(x, x),
}
_AFTER: Final[dict[str, Callable[[Replacement, MLOperand], MLOperand]]] = {
    "reduce_l2": lambda b, x: b.sqrt(x),
    "reduce_log_sum": lambda b, x: b.log(x),
}


@_of(*_BEFORE)
def _summed(b: Replacement, node: Node) -> Sequence[MLOperand]:
    total = b.reduce_sum(_BEFORE[node.op](b, node["input"]), **node.attributes)
    return [_AFTER[node.op](b, total) if node.op in _AFTER else total]


@_of("reduce_log_sum_exp")
def _log_sum_exp(b: Replacement, node: Node) -> Sequence[MLOperand]:
    x, axes = node["input"], node.attributes["axes"]
    most = b.reduce_max(x, axes=axes, keep_dimensions=True)
    total = b.log(b.reduce_sum(b.exp(b.sub(x, most)), axes=axes, keep_dimensions=True))
    return [b.reshape(b.add(total, most), node.output.shape)]


@_of("reduce_mean")
def _mean(b: Replacement, node: Node) -> Sequence[MLOperand]:
    x = node["input"]
    count = math.prod(x.shape[axis] for axis in node.attributes["axes"])
    return [b.div(b.reduce_sum(x, **node.attributes), _number(b, x, count))]


@_of("softmax")
def _softmax(b: Replacement, node: Node) -> Sequence[MLOperand]:
    x, axes = node["input"], [node.attributes["axis"]]
    powers = b.exp(b.sub(x, b.reduce_max(x, axes=axes, keep_dimensions=True)))
    return [b.div(powers, b.reduce_sum(powers, axes=axes, keep_dimensions=True))]


def _normalized(b: Replacement, node: Node, axes: Sequence[int]) -> MLOperand:
    """The input less its mean, over its standard deviation along `axes`."""
    x = node["input"]
    rest = b.sub(x, b.reduce_mean(x, axes=axes, keep_dimensions=True))
    variance = b.reduce_mean(b.mul(rest, rest), axes=axes, keep_dimensions=True)
    return b.div(rest, b.sqrt(b.add(variance, _number(b, x, node.attributes["epsilon"]))))


def _scaled(b: Replacement, node: Node, x: MLOperand, shape: Sequence[int], order: Sequence[int]) -> MLOperand:
    """`x` with the scale and the bias of the node, whose axes are in `order`."""
    for combined, name in ((b.mul, "scale"), (b.add, "bias")):
        if name in node.operands:
            value = node[name]
            value = (
                value if list(order) == sorted(order) else b.transpose(value, permutation=np.argsort(order).tolist())
            )
            x = combined(x, b.reshape(value, shape))
    return x


@_of("layer_normalization")
def _layer_normalization(b: Replacement, node: Node) -> Sequence[MLOperand]:
    x, axes = node["input"], list(node.attributes["axes"])
    shape = [size if axis in axes else 1 for axis, size in enumerate(x.shape)]
    return [_scaled(b, node, _normalized(b, node, axes), shape, axes)]


@_of("instance_normalization")
def _instance_normalization(b: Replacement, node: Node) -> Sequence[MLOperand]:
    order = node.attributes["layout"]
    shape = [size if axis == "c" else 1 for axis, size in zip(order, node["input"].shape, strict=True)]
    axes = [order.index(axis) for axis in "hw"]
    return [_scaled(b, node, _normalized(b, node, axes), shape, [0])]


@_of("batch_normalization")
def _batch_normalization(b: Replacement, node: Node) -> Sequence[MLOperand]:
    x, given = node["input"], node.attributes
    shape = [size if axis == given["axis"] else 1 for axis, size in enumerate(x.shape)]
    deviation = b.sqrt(b.add(b.reshape(node["variance"], shape), _number(b, x, given["epsilon"])))
    return [_scaled(b, node, b.div(b.sub(x, b.reshape(node["mean"], shape)), deviation), shape, [0])]


# Matrices and movement.


@_of("gemm")
def _gemm(b: Replacement, node: Node) -> Sequence[MLOperand]:
    given = node.attributes
    factors = [b.transpose(node[name]) if given[f"{name}_transpose"] else node[name] for name in "ab"]
    product = b.matmul(*factors)
    if given["alpha"] != 1:
        product = b.mul(product, _number(b, product, given["alpha"]))
    if "c" not in node.operands or given["beta"] == 0:
        return [product]
    c = node["c"] if given["beta"] == 1 else b.mul(node["c"], _number(b, product, given["beta"]))
    return [b.add(product, c)]


@_of("tile")
def _tile(b: Replacement, node: Node) -> Sequence[MLOperand]:
    x = node["input"]
    for axis, count in enumerate(node.attributes["repetitions"]):
        x = b.concat([x] * count, axis) if count > 1 else x
    return [x if x is not node["input"] else b.identity(x)]


@_of("reverse")
def _reverse(b: Replacement, node: Node) -> Sequence[MLOperand]:
    x = node["input"]
    for axis in node.attributes["axes"]:
        places = np.arange(x.shape[axis] - 1, -1, -1, dtype=np.int32)
        x = b.gather(x, b.constant(places), axis=axis)
    return [x if x is not node["input"] else b.identity(x)]


@_of("split")
def _split(b: Replacement, node: Node) -> Sequence[MLOperand]:
    x, axis = node["input"], node.attributes["axis"]
    parts, start = [], 0
    for output in node.outputs:
        starts, sizes = [0] * x.rank, list(x.shape)
        starts[axis], sizes[axis] = start, output.shape[axis]
        parts.append(b.slice(x, starts, sizes))
        start += sizes[axis]
    return parts


@_of("cumulative_sum")
def _cumulative_sum(b: Replacement, node: Node) -> Sequence[MLOperand]:
    """The product with a triangle of ones."""
    x, given = node["input"], node.attributes
    axis = given["axis"]
    size = x.shape[axis]
    triangle = np.tril(np.ones((size, size)), -1 if given["exclusive"] else 0)
    triangle = triangle.T if given["reversed"] else triangle
    flat = b.reshape(x, [math.prod(x.shape[:axis]), size, math.prod(x.shape[axis + 1 :])])
    return [b.reshape(b.matmul(b.constant(triangle.astype(x.descriptor.dtype)), flat), x.shape)]


@_of("gather_nd")
def _gather_nd(b: Replacement, node: Node) -> Sequence[MLOperand]:
    x, indices = node["input"], node["indices"]
    depth, inner = indices.shape[-1], x.shape[indices.shape[-1] :]
    sizes = np.array(x.shape[:depth], np.int32)
    steps = np.array([math.prod(x.shape[i + 1 : depth]) for i in range(depth)], np.int32)
    places = indices if indices.data_type == "int32" else b.cast(indices, "int32")
    zero = b.constant("int32", 0)
    places = b.where(b.lesser(places, zero), b.add(places, b.constant(sizes)), places)
    places = b.max(b.min(places, b.constant(sizes - 1)), zero)
    places = b.reduce_sum(b.mul(places, b.constant(steps)), axes=[indices.rank - 1])
    count = MLOperandDescriptor("int32", places.shape).element_count
    flat = b.reshape(x, [math.prod(x.shape[:depth]), math.prod(inner)])
    return [b.reshape(b.gather(flat, b.reshape(places, [count])), node.output.shape)]
