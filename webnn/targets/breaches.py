"""The properties of nodes that the rules of browsers refuse.

Each function gives the property in words that follow the name of the node, or None if the node does not have it. Sizes
and strides are those of the height, then of the width.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from webnn.graph.broadcasting import is_unidirectional
from webnn.graph.ir import Node
from webnn.graph.operand import MLOperand

__all__ = [
    "BROADCASTING",
    "ELEMENTWISE",
    "axis_sizes",
    "has_a_larger_slope",
    "has_a_scale_that_is_not_positive",
    "has_indices_of_high_rank",
    "has_peepholes_out_of_order",
    "has_unknown_indices",
    "ignores_c",
    "is_dilated",
    "is_dilated_or_grouped",
    "is_of",
    "is_padded",
    "is_padded_around_a_constant",
    "is_padded_otherwise",
    "joins_many_dimensions",
    "loses_a_dimension",
    "outlives_its_padding",
    "pads_with_the_edge",
    "reads_lost_dimensions",
    "reduces_few_of_many_dimensions",
    "reduces_many_dimensions",
    "same_padding",
    "skips_values",
    "slices_a_uint32_scalar",
    "steps_over_its_end",
]

ELEMENTWISE: Final = (
    *("abs", "cast", "ceil", "clamp", "cos", "elu", "erf", "exp", "floor", "gelu", "hard_sigmoid", "hard_swish"),
    *("is_infinite", "is_nan", "leaky_relu", "linear", "log", "logical_not", "neg", "reciprocal", "relu", "round_even"),
    *("sigmoid", "sign", "sin", "softplus", "softsign", "sqrt", "tan", "tanh"),
)
"""Of one operand, whose shape the result has."""
BROADCASTING: Final = (
    *("add", "sub", "mul", "div", "max", "min", "pow", "prelu", "where"),
    *("equal", "not_equal", "greater", "greater_or_equal", "lesser", "lesser_or_equal"),
    *("logical_and", "logical_or", "logical_xor"),
)


def same_padding(size: int, window: int, stride: int) -> tuple[int, int]:
    """The padding before and after an axis of `size` that gives ceil(size / stride) windows, the rest at the end."""
    total = max((-(-size // stride) - 1) * stride + window - size, 0)
    return total // 2, total - total // 2


def axis_sizes(operand: MLOperand, layout: str) -> list[int]:
    """Height and width of an operand whose axes `layout` names."""
    return [operand.shape[layout.index(axis)] for axis in "hw"]


def has_unknown_indices(node: Node) -> str | None:
    """Indices that are an input, or computed."""
    return None if node["indices"].constant is not None else "has indices that are not constant"


def pads_with_the_edge(node: Node) -> str | None:
    """Padding that repeats the values at the edges."""
    return 'has the mode "edge"' if node.attributes["mode"] == "edge" else None


def is_dilated(node: Node) -> str | None:
    """A window or kernel with gaps between its elements."""
    dilations = list(node.attributes["dilations"])
    return f"has dilations {dilations}" if dilations != [1, 1] else None


def is_dilated_or_grouped(node: Node) -> str | None:
    """Transposed convolution with dilations, or with several groups."""
    groups = node.attributes["groups"]
    return is_dilated(node) or (f"has {groups} groups" if groups != 1 else None)


def is_padded(node: Node) -> str | None:
    """Any padding."""
    padding = list(node.attributes["padding"])
    return f"has padding {padding}" if any(padding) else None


def _kernel(node: Node) -> list[int]:
    return axis_sizes(node["filter"], node.attributes["filter_layout"])


def is_padded_otherwise(node: Node) -> str | None:
    """Transposed convolution whose padding is not the one of the convolution from the output back to the input."""
    outputs = axis_sizes(node.output, node.attributes["input_layout"])
    axes = zip(outputs, _kernel(node), node.attributes["strides"], strict=True)
    same = [side for size, window, stride in axes for side in same_padding(size, window, stride)]
    return is_padded(node) if list(node.attributes["padding"]) != same else None


def is_padded_around_a_constant(node: Node) -> str | None:
    """Transposed convolution with a constant filter whose padding is not the size of its kernel minus its stride."""
    same = []
    for size, stride in zip(_kernel(node), node.attributes["strides"], strict=True):
        total = max(size - stride, 0)
        same += [total // 2, total - total // 2]
    padded = is_padded(node) if node["filter"].constant is not None else None
    return f"{padded} and a constant filter" if padded and list(node.attributes["padding"]) != same else None


def skips_values(node: Node) -> str | None:
    """Padded transposed convolution with a kernel smaller than its stride."""
    kernel, strides = _kernel(node), list(node.attributes["strides"])
    padded = is_padded(node)
    if padded is None or all(size >= stride for size, stride in zip(kernel, strides, strict=True)):
        return None
    return f"{padded} and strides {strides} beyond the kernel's size {kernel}"


def outlives_its_padding(node: Node) -> str | None:
    """Transposed convolution whose padding takes more away than there is, before output padding adds to it."""
    given = node.attributes
    axes = zip(axis_sizes(node["input"], given["input_layout"]), _kernel(node), given["strides"], strict=True)
    full = [(size - 1) * stride + window for size, window, stride in axes]
    padding = list(given["padding"])
    lost = any(size < sum(padding[2 * i : 2 * i + 2]) for i, size in enumerate(full))
    return f"has padding {padding} for {full} values" if lost and tuple(given["dilations"]) == (1, 1) else None


def has_a_larger_slope(node: Node) -> str | None:
    """A slope whose shape the input would have to be broadcast to."""
    slope, shape = node["slope"].shape, node["input"].shape
    return None if is_unidirectional(slope, shape) else f"has a slope {list(slope)} for an input {list(shape)}"


def slices_a_uint32_scalar(node: Node) -> str | None:
    """A slice of a uint32 scalar."""
    return "is a uint32 scalar" if node["input"].rank == 0 and node["input"].data_type == "uint32" else None


def steps_over_its_end(node: Node) -> str | None:
    """A slice with a stride that is larger than its size."""
    sizes, strides = list(node.attributes["sizes"]), list(node.attributes["strides"])
    too_long = any(stride > size for size, stride in zip(sizes, strides, strict=True))
    return f"has strides {strides} for sizes {sizes}" if too_long else None


def is_of(data_type: str) -> Callable[[Node], str | None]:
    """The condition that the output has this data type."""
    return lambda node: f"is {data_type}" if node.output.data_type == data_type else None


def joins_many_dimensions(node: Node) -> str | None:
    """Concatenation of several floating-point inputs of more than 6 dimensions."""
    several = len(node.many("inputs")) > 1 and node.output.data_type in ("float32", "float16")
    return f"joins inputs of rank {node.output.rank}" if several and node.output.rank > 6 else None


def reduces_many_dimensions(node: Node) -> str | None:
    """Reduction of a floating-point input of more than 6 dimensions."""
    x, axes = node["input"], node.attributes["axes"]
    too_many = x.rank > 6 and x.data_type in ("float32", "float16") and len(axes) > 0
    return f"reduces {len(axes)} axes of an input of rank {x.rank}" if too_many else None


def reduces_few_of_many_dimensions(node: Node) -> str | None:
    """The same, but of 6 axes at most."""
    return reduces_many_dimensions(node) if len(node.attributes["axes"]) <= 6 else None


def has_indices_of_high_rank(node: Node) -> str | None:
    """Indices of more than 4 dimensions."""
    rank = node["indices"].rank
    return f"has indices of rank {rank}" if rank > 4 else None


def loses_a_dimension(operand: MLOperand) -> bool:
    """Whether a browser that forgets `keepDimensions` of `arg_max` and `arg_min` has a dimension less for `operand`.

    It has the same number of elements, and dimensions of size 1 at the beginning are not missed.
    """
    node = operand.node
    while node is not None and node.op not in ("arg_max", "arg_min"):
        several = [each for each in node.inputs() if each.rank > 0]
        if node.op in ELEMENTWISE or (node.op in BROADCASTING and len(several) == 1):
            node = several[0].node if several else None
        else:
            return False
    if node is None or not node.attributes["keep_dimensions"]:
        return False
    return any(size != 1 for size in node.output.shape[: node.attributes["axis"]])


def reads_lost_dimensions(node: Node) -> str | None:
    """An operator that would have to see the dimensions of `loses_a_dimension`."""
    several = [operand for operand in node.inputs() if operand.rank > 0]
    if node.op in ELEMENTWISE or (node.op in BROADCASTING and len(several) == 1):
        return None
    lost = any(loses_a_dimension(operand) for operand in several)
    return "reads dimensions that argMax or argMin kept" if lost else None


def ignores_c(node: Node) -> str | None:
    """A c that is not a constant, and that gemm multiplies by 0."""
    c = node.get("c")
    ignored = c is not None and c.constant is None and node.attributes["beta"] == 0
    return "has c and a beta of 0" if ignored else None


def has_peepholes_out_of_order(node: Node) -> str | None:
    """Peephole weights whose order differs from that of the other weights."""
    unordered = node.attributes["layout"] == "ifgo" and node.get("peephole_weight") is not None
    return 'has peephole weights in the layout "ifgo"' if unordered else None


def has_a_scale_that_is_not_positive(node: Node) -> str | None:
    """A constant scale of one number, which is 0 or negative."""
    scale = node["scale"].constant
    if scale is None or scale.size != 1:
        return None
    number = float(np.asarray(scale).reshape(())[()])
    return None if number > 0 else f"has a constant scale of {number:g}"
