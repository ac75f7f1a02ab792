"""Operators that the WebGPU provider lacks or computes wrongly, written with others.

Seen of onnxruntime-webgpu 1.27: the variance in `LayerNormalization` and `InstanceNormalization` is the mean of the
squares less the square of the mean, which loses its digits around a large mean. All `InstanceNormalization`s of a
process have the epsilon of the first. `ReduceLogSumExp` is infinite from 89 on. `BatchNormalization` of rank 2 is wrong
in one layout, and linear `Resize` of the height and width in the other. Integers are raised to powers as floats,
and negative numbers to fractional powers as if they were positive. Some broadcasts fail.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from webnn.backends.onnxruntime.passes.centered_batch_normalization import centered_batch_normalization
from webnn.backends.onnxruntime.passes.exact_sigmoid import exact_sigmoid
from webnn.backends.onnxruntime.passes.norms_in_range import window_counts
from webnn.backends.webgpu.quantization import dequantize_linear, quantize_linear
from webnn.backends.webgpu.recurrent import gru, gru_cell, lstm, lstm_cell
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.dtypes import FLOATS, element_bits
from webnn.graph.ir import Graph, Node
from webnn.graph.operand import MLOperand
from webnn.graph.rewriting import Replacement, Rule, rewritten
from webnn.graph.windows import Sweep, sweeps

__all__ = ["decomposed"]

GELU_OPSET: Final = 20
"""The first operator set with `Gelu`."""
DILATED_OPSET: Final = 19
"""From here on `AveragePool` takes dilations, and is left to the CPU."""


_PASSES: Final[tuple[Callable[[Graph], Graph], ...]] = (
    exact_sigmoid,
    centered_batch_normalization,
)


def decomposed(graph: Graph, opset: int, checkpoint: Callable[[], object]) -> Graph:
    """`graph` for the device, in an operator set of ONNX."""
    for improve in _PASSES:
        checkpoint()
        graph = improve(graph)
    graph = rewritten(graph, [node for node in graph.nodes if node.op == "l2_pool2d"], _l2_pool2d)
    graph = rewritten(graph, [node for node in graph.nodes if node.op in _OF_TWO], _of_equal_rank)
    rules: dict[str, Rule] = {**_RULES, "average_pool2d": lambda node: _average_pool2d(node, opset)}
    if opset < GELU_OPSET:
        rules["gelu"] = _gelu

    def rule(node: Node) -> Sequence[MLOperand] | None:
        checkpoint()
        return rules[node.op](node)

    return rewritten(graph, [node for node in graph.nodes if node.op in rules], rule)


def _of_equal_rank(node: Node) -> Sequence[MLOperand] | None:
    """The operand of the lower rank gets dimensions of 1 where the other one has a 1 as the next of them.

    There the kernels of two operands count one dimension too many as shared, and the run fails.
    """
    operands = dict(node.operands)
    rank = node.output.rank
    for name, x in node.operands.items():
        assert isinstance(x, MLOperand)
        if 0 < x.rank < rank:
            other = next(each for each in node.inputs() if each.rank == rank)
            if other.shape[rank - x.rank - 1] == 1:
                operands[name] = Replacement(node).reshape(x, [*[1] * (rank - x.rank), *x.shape])
    return node.replace(operands=operands).outputs if operands != dict(node.operands) else None


def _l2_pool2d(node: Node) -> Sequence[MLOperand]:
    """The root of an average of squares times their number."""
    builder, x = Replacement(node), node["input"]
    squares = node.replace(op="average_pool2d", operands={"input": builder.mul(x, x)}).output
    counts = builder.cast(builder.constant(window_counts(node)), x.data_type)
    return [builder.sqrt(builder.mul(squares, counts))]


def _average_pool2d(node: Node, opset: int) -> Sequence[MLOperand] | None:
    """A convolution of each channel by itself, where `AveragePool` would not stay on the device."""
    options: Any = node.attributes
    layout: str = options["layout"]
    axes = [layout.index(axis) for axis in "hw"]
    sizes = [node["input"].shape[axis] for axis in axes]
    both = sweeps(sizes, options["window_dimensions"], options["padding"], options["strides"], options["dilations"])
    whole = options["window_dimensions"] == tuple(sizes) and options["output_sizes"] == (1, 1)
    if whole or (tuple(options["dilations"]) == (1, 1) and opset < DILATED_OPSET):
        return None
    builder, outputs = Replacement(node), options["output_sizes"]
    counts = [np.array(sweep.counts(size), np.float32) for sweep, size in zip(both, outputs, strict=True)]
    window = math.prod(options["window_dimensions"])
    channels = node["input"].shape[layout.index("c")]
    height, width = options["window_dimensions"]
    sums = builder.conv2d(
        node["input"],
        builder.full(1 / window, [channels, 1, height, width], node.output.data_type),
        padding=[pad for sweep, size in zip(both, outputs, strict=True) for pad in _padding(sweep, size)],
        strides=options["strides"],
        dilations=options["dilations"],
        groups=channels,
        input_layout=options["layout"],
    )
    number = np.outer(*counts)
    correction = np.divide(window, number, out=np.zeros_like(number), where=number > 0)
    if (correction == 1).all():
        return [sums]
    shape = [1, *correction.shape] if layout == "nchw" else [*correction.shape, 1]
    return [builder.mul(sums, builder.constant(correction.reshape(shape).astype(node.output.descriptor.dtype)))]


def _padding(sweep: Sweep, outputs: int) -> tuple[int, int]:
    """The padding with which a convolution has so many outputs."""
    return sweep.begin, max(0, (outputs - 1) * sweep.stride + sweep.span - sweep.input - sweep.begin)


def _gelu(node: Node) -> Sequence[MLOperand] | None:
    if node.attributes.get("approximate") == "tanh":
        return None
    builder, x = Replacement(node), node["input"]
    one, half, root = (builder.constant(x.data_type, number) for number in (1.0, 0.5, math.sqrt(0.5)))
    return [builder.mul(builder.mul(x, half), builder.add(builder.erf(builder.mul(x, root)), one))]


def _triangular(node: Node) -> Sequence[MLOperand]:
    """A choice by the numbers of the rows and columns."""
    builder, x = Replacement(node), node["input"]
    rows, columns = x.shape[-2:]
    diagonal = min(max(node.attributes["diagonal"], -rows), columns)
    row = builder.constant(np.arange(rows, dtype=np.int32).reshape(rows, 1) + np.int32(diagonal))
    column = builder.constant(np.arange(columns, dtype=np.int32))
    is_kept = builder.greater_or_equal if node.attributes["upper"] else builder.lesser_or_equal
    return [builder.where(is_kept(column, row), x, builder.constant(x.data_type, 0))]


def _instance_normalization(node: Node) -> Sequence[MLOperand]:
    """With operators for each step: all kernels of a process have the epsilon of the first one."""
    builder, x, options = Replacement(node), node["input"], node.attributes
    axes = [options["layout"].index(letter) for letter in "hw"]
    centered = _centered(builder, x, axes)
    variance = builder.reduce_mean(builder.mul(centered, centered), axes=axes, keep_dimensions=True)
    deviation = builder.sqrt(builder.add(variance, builder.constant(x.data_type, options["epsilon"])))
    result = builder.div(centered, deviation)
    shape = [size if axis == options["layout"].index("c") else 1 for axis, size in enumerate(x.shape)]
    for name, combine in (("scale", builder.mul), ("bias", builder.add)):
        if (factor := node.get(name)) is not None:
            result = combine(result, builder.reshape(factor, shape))
    return [result]


def _layer_normalization(node: Node) -> Sequence[MLOperand] | None:
    """The mean is taken off first."""
    builder, x, axes = Replacement(node), node["input"], node.attributes["axes"]
    if math.prod(x.shape[axis] for axis in axes) == 1:
        return None
    return node.replace(operands={**node.operands, "input": _centered(builder, x, axes)}).outputs


def _centered(builder: Replacement, x: MLOperand, axes: Sequence[int]) -> MLOperand:
    """`x` without its mean; the second time, without the rounding error of the first."""
    for _ in range(2):
        x = builder.sub(x, builder.reduce_mean(x, axes=axes, keep_dimensions=True))
    return x


def _batch_normalization(node: Node) -> Sequence[MLOperand] | None:
    """In four dimensions, with the features at axis 1, which moves nothing."""
    builder, x, axis = Replacement(node), node["input"], node.attributes["axis"]
    if x.rank == 4 and axis == 1:
        return None
    shape = [math.prod(x.shape[:axis]), x.shape[axis], math.prod(x.shape[axis + 1 :]), 1]
    normalized = node.replace(
        operands={**node.operands, "input": builder.reshape(x, shape)},
        attributes={**node.attributes, "axis": 1},
        outputs=[MLOperandDescriptor(x.data_type, shape)],
    ).output
    return [builder.reshape(normalized, x.shape)]


def _reduce_log_sum_exp(node: Node) -> Sequence[MLOperand] | None:
    """The largest value is taken off first, and added again; where it is not finite, it is the result."""
    builder, x, axes = Replacement(node), node["input"], node.attributes["axes"]
    if not axes:
        return None
    largest = builder.reduce_max(x, axes=axes, keep_dimensions=True)
    is_finite = builder.lesser(builder.abs(largest), builder.constant(x.data_type, math.inf))
    shift = builder.where(is_finite, largest, builder.constant(x.data_type, 0.0))
    total = builder.reduce_sum(builder.exp(builder.sub(x, shift)), axes=axes, keep_dimensions=True)
    result = builder.where(is_finite, builder.add(builder.log(total), shift), largest)
    return [builder.reshape(result, node.output.shape)]


def _resample2d(node: Node) -> Sequence[MLOperand] | None:
    """Interpolated along the last two axes."""
    builder, x, axes = Replacement(node), node["input"], tuple(node.attributes["axes"])
    if axes == (2, 3) or node.attributes["mode"] != "linear":
        return None
    order = [axis for axis in range(4) if axis not in axes] + list(axes)
    moved = builder.transpose(x, permutation=order)
    resampled = builder.resample2d(moved, mode="linear", sizes=node.attributes["sizes"], axes=[2, 3])
    return [builder.transpose(resampled, permutation=[order.index(axis) for axis in range(4)])]


def _pow(node: Node) -> Sequence[MLOperand] | None:
    """Of integers of 32 bits: the product of the squares that the bits of the exponent choose."""
    data_type = node.output.data_type
    if data_type in FLOATS:
        return _pow_of_floats(node)
    if data_type not in ("int32", "uint32"):
        return None
    builder, a, b = Replacement(node), node["a"], node["b"]
    zero, one, two = (builder.constant(data_type, number) for number in (0, 1, 2))
    if data_type == "int32":  # with a negative exponent 1 and -1 are left, and everything else vanishes
        is_unit = builder.equal(builder.abs(a), one)
        vanishes = builder.logical_and(builder.lesser(b, zero), builder.logical_not(is_unit))
        a = builder.where(vanishes, zero, a)
    bits = element_bits(data_type)
    if b.constant is not None:
        bits = max(1, int(np.abs(b.constant.astype(np.int64)).max()).bit_length())
    result = builder.full(1, node.output.shape, data_type)
    for bit in range(bits):
        if bit == 31 and data_type == "int32":  # the lowest integer, whose other bits are 0
            is_set = builder.equal(b, builder.constant(data_type, -(2**31)))
        else:
            quotient = builder.div(b, builder.constant(data_type, 1 << bit))
            is_set = builder.not_equal(builder.sub(quotient, builder.mul(builder.div(quotient, two), two)), zero)
        result = builder.mul(result, builder.where(is_set, a, one))
        a = builder.mul(a, a)
    return [result]


def _pow_of_floats(node: Node) -> Sequence[MLOperand] | None:
    """Not a number for a negative number to a fractional power, which the kernel takes to be positive."""
    a, b = node["a"], node["b"]
    if a.constant is not None and (a.constant >= 0).all():
        return None
    if b.constant is not None and (np.floor(b.constant) == b.constant).all():
        return None
    builder = Replacement(node)
    zero, lowest, nan = (builder.constant(a.data_type, number) for number in (0.0, -math.inf, math.nan))
    is_negative = builder.logical_and(builder.lesser(a, zero), builder.greater(a, lowest))
    is_undefined = builder.logical_and(is_negative, builder.not_equal(builder.floor(b), b))
    return [builder.where(is_undefined, nan, node.replace().output)]


# fmt: off
_OF_TWO: Final = (
    "add", "div", "equal", "greater", "greater_or_equal", "lesser", "lesser_or_equal", "logical_and", "logical_or",
    "logical_xor", "max", "min", "mul", "not_equal", "pow", "prelu", "sub",
)
# fmt: on
_RULES: Final[Mapping[str, Rule]] = {
    "batch_normalization": _batch_normalization,
    "dequantize_linear": dequantize_linear,
    "gru": gru,
    "gru_cell": gru_cell,
    "instance_normalization": _instance_normalization,
    "layer_normalization": _layer_normalization,
    "lstm": lstm,
    "lstm_cell": lstm_cell,
    "pow": _pow,
    "quantize_linear": quantize_linear,
    "reduce_log_sum_exp": _reduce_log_sum_exp,
    "resample2d": _resample2d,
    "triangular": _triangular,
}
