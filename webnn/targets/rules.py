"""Rules that a browser follows beside its limits: nodes that it refuses though `opSupportLimits()` allows them.

A recorded target lists the rules that hold there by name, each with the error that the browser gives. A rule has an
example that is refused where it holds, and one like it that is not: `tests/conformance/chromium` builds both in each
recorded browser.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import numpy as np

from webnn.graph.broadcasting import is_unidirectional
from webnn.graph.builder import MLGraphBuilder
from webnn.graph.ir import Node
from webnn.graph.operand import MLOperand
from webnn.graph.operator import OPERATORS

__all__ = [
    "ALLOWANCES",
    "BROADCASTING",
    "ELEMENTWISE",
    "RULES",
    "Allowance",
    "Example",
    "Rule",
    "axis_sizes",
    "loses_a_dimension",
    "same_padding",
]

Builder: TypeAlias = MLGraphBuilder[Any]
Example: TypeAlias = Callable[[Builder, Callable[[Any], MLOperand]], MLOperand]
"""Makes an operand with the builder; the function makes inputs of the graph from arrays."""

_POOLS: Final = ("average_pool2d", "l2_pool2d", "max_pool2d")
_REDUCTIONS: Final = (
    *("reduce_l1", "reduce_l2", "reduce_log_sum", "reduce_log_sum_exp", "reduce_max", "reduce_mean", "reduce_min"),
    *("reduce_sum", "reduce_sum_square"),
)
"""But `reduce_product`."""
_RESHAPING: Final = ("reshape", "identity")
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


@dataclass(frozen=True, slots=True)
class Rule:
    """Nodes that a target refuses.

    Attributes:
        name: as recorded targets list it.
        operators: the operators that it is about.
        breach: the property of the node that is refused, in words that follow its name; None if it is not refused.
        allowed: the property that the target expects, in words that follow its name.
        proposal: the nearest form that the target takes.
        refused: examples of graphs that are refused where the rule holds.
        accepted: examples that differ as little as possible and are not.
        words: the operators in words, where they are too many to list.
    """

    name: str
    operators: tuple[str, ...]
    breach: Callable[[Node], str | None]
    allowed: str
    proposal: str
    refused: tuple[Example, ...]
    accepted: tuple[Example, ...]
    words: str = ""


@dataclass(frozen=True, slots=True)
class Allowance:
    """Ranks that a target takes beyond its limits.

    Attributes:
        name: as recorded targets list it.
        operator: the operator that it is about.
        operand: which of its operands, as limits name it.
        ranks: the smallest and the largest.
        examples: graphs that are built where it holds.
    """

    name: str
    operator: str
    operand: str
    ranks: tuple[int, int]
    examples: tuple[Example, ...]


def same_padding(size: int, window: int, stride: int) -> tuple[int, int]:
    """The padding before and after an axis of `size` that gives ceil(size / stride) windows, the rest at the end."""
    total = max((-(-size // stride) - 1) * stride + window - size, 0)
    return total // 2, total - total // 2


# Conditions. They look at height and width in this order.


def axis_sizes(operand: MLOperand, layout: str) -> list[int]:
    """Height and width of an operand whose axes `layout` names."""
    return [operand.shape[layout.index(axis)] for axis in "hw"]


def _has_unknown_indices(node: Node) -> str | None:
    return None if node["indices"].constant is not None else "has indices that are not constant"


def _pads_with_the_edge(node: Node) -> str | None:
    return 'has the mode "edge"' if node.attributes["mode"] == "edge" else None


def _is_dilated(node: Node) -> str | None:
    dilations = list(node.attributes["dilations"])
    return f"has dilations {dilations}" if dilations != [1, 1] else None


def _is_dilated_or_grouped(node: Node) -> str | None:
    groups = node.attributes["groups"]
    return _is_dilated(node) or (f"has {groups} groups" if groups != 1 else None)


def _is_padded(node: Node) -> str | None:
    padding = list(node.attributes["padding"])
    return f"has padding {padding}" if any(padding) else None


def _kernel(node: Node) -> list[int]:
    return axis_sizes(node["filter"], node.attributes["filter_layout"])


def _is_padded_otherwise(node: Node) -> str | None:
    """Transposed convolution whose padding is not the one of the convolution from the output back to the input."""
    outputs = axis_sizes(node.output, node.attributes["input_layout"])
    axes = zip(outputs, _kernel(node), node.attributes["strides"], strict=True)
    same = [side for size, window, stride in axes for side in same_padding(size, window, stride)]
    return _is_padded(node) if list(node.attributes["padding"]) != same else None


def _is_padded_around_a_constant(node: Node) -> str | None:
    """Transposed convolution with a constant filter whose padding is not what its kernel is larger than its strides."""
    same = []
    for size, stride in zip(_kernel(node), node.attributes["strides"], strict=True):
        total = max(size - stride, 0)
        same += [total // 2, total - total // 2]
    padded = _is_padded(node) if node["filter"].constant is not None else None
    return f"{padded} and a constant filter" if padded and list(node.attributes["padding"]) != same else None


def _skips_values(node: Node) -> str | None:
    """Padded transposed convolution with a kernel smaller than its stride."""
    kernel, strides = _kernel(node), list(node.attributes["strides"])
    padded = _is_padded(node)
    if padded is None or all(size >= stride for size, stride in zip(kernel, strides, strict=True)):
        return None
    return f"{padded} and strides {strides} beyond the kernel's size {kernel}"


def _outlives_its_padding(node: Node) -> str | None:
    """Transposed convolution whose padding takes more away than there is, before output padding adds to it."""
    given = node.attributes
    axes = zip(axis_sizes(node["input"], given["input_layout"]), _kernel(node), given["strides"], strict=True)
    full = [(size - 1) * stride + window for size, window, stride in axes]
    padding = list(given["padding"])
    lost = any(size < sum(padding[2 * i : 2 * i + 2]) for i, size in enumerate(full))
    return f"has padding {padding} for {full} values" if lost and tuple(given["dilations"]) == (1, 1) else None


def _has_a_larger_slope(node: Node) -> str | None:
    slope, shape = node["slope"].shape, node["input"].shape
    return None if is_unidirectional(slope, shape) else f"has a slope {list(slope)} for an input {list(shape)}"


def _slices_a_uint32_scalar(node: Node) -> str | None:
    return "is a uint32 scalar" if node["input"].rank == 0 and node["input"].data_type == "uint32" else None


def _steps_over_its_end(node: Node) -> str | None:
    sizes, strides = list(node.attributes["sizes"]), list(node.attributes["strides"])
    too_long = any(stride > size for size, stride in zip(sizes, strides, strict=True))
    return f"has strides {strides} for sizes {sizes}" if too_long else None


def _is_of(data_type: str) -> Callable[[Node], str | None]:
    return lambda node: f"is {data_type}" if node.output.data_type == data_type else None


def _joins_many_dimensions(node: Node) -> str | None:
    several = len(node.many("inputs")) > 1 and node.output.data_type in ("float32", "float16")
    return f"joins inputs of rank {node.output.rank}" if several and node.output.rank > 6 else None


def _reduces_many_dimensions(node: Node) -> str | None:
    x, axes = node["input"], node.attributes["axes"]
    too_many = x.rank > 6 and x.data_type in ("float32", "float16") and len(axes) > 0
    return f"reduces {len(axes)} axes of an input of rank {x.rank}" if too_many else None


def _reduces_few_of_many_dimensions(node: Node) -> str | None:
    return _reduces_many_dimensions(node) if len(node.attributes["axes"]) <= 6 else None


def _has_indices_of_high_rank(node: Node) -> str | None:
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


def _reads_lost_dimensions(node: Node) -> str | None:
    several = [operand for operand in node.inputs() if operand.rank > 0]
    if node.op in ELEMENTWISE or (node.op in BROADCASTING and len(several) == 1):
        return None
    lost = any(loses_a_dimension(operand) for operand in several)
    return "reads dimensions that argMax or argMin kept" if lost else None


def _ignores_c(node: Node) -> str | None:
    c = node.get("c")
    ignored = c is not None and c.constant is None and node.attributes["beta"] == 0
    return "has c and a beta of 0" if ignored else None


def _has_peepholes_out_of_order(node: Node) -> str | None:
    unordered = node.attributes["layout"] == "ifgo" and node.get("peephole_weight") is not None
    return 'has peephole weights in the layout "ifgo"' if unordered else None


def _has_a_scale_that_is_not_positive(node: Node) -> str | None:
    scale = node["scale"].constant
    if scale is None or scale.size != 1:
        return None
    number = float(np.asarray(scale).reshape(())[()])
    return None if number > 0 else f"has a constant scale of {number:g}"


# Arrays for the examples.


def _ones(*shape: int, dtype: Any = np.float32) -> np.ndarray[Any, Any]:
    return np.ones(shape, dtype)


def _image(side: int) -> np.ndarray[Any, Any]:
    return np.arange(side * side, dtype=np.float32).reshape(1, 1, side, side)


def _zeros(*shape: int) -> np.ndarray[Any, Any]:
    return np.zeros(shape, np.int32)


def _peepholes(layout: Literal["iofg", "ifgo"]) -> Example:
    def example(b: Builder, x: Callable[[Any], MLOperand]) -> MLOperand:
        row, gates = x(_ones(1, 2)), x(_ones(8, 2))
        return b.lstm_cell(row, gates, gates, row, row, 2, peephole_weight=x(_ones(6)), layout=layout)[0]

    return example


_RULES: Final = (
    Rule(
        "gather-elements-constant-indices",
        ("gather_elements",),
        _has_unknown_indices,
        "takes constant indices",
        "use constant indices, or gather from the flattened input at computed positions",
        (lambda b, x: b.gather_elements(x(_ones(2)), x(_zeros(2))),),
        (lambda b, x: b.gather_elements(x(_ones(2)), b.constant(_zeros(2))),),
    ),
    Rule(
        "scatter-elements-constant-indices",
        ("scatter_elements",),
        _has_unknown_indices,
        "takes constant indices",
        "use constant indices, or scatterND into the flattened input at computed positions",
        (lambda b, x: b.scatter_elements(x(_ones(2)), x(_zeros(1)), x(_ones(1))),),
        (lambda b, x: b.scatter_elements(x(_ones(2)), b.constant(_zeros(1)), x(_ones(1))),),
    ),
    Rule(
        "edge-padding",
        ("pad",),
        _pads_with_the_edge,
        'takes "constant" and "reflection"',
        "concatenate repeated slices of the edges",
        (lambda b, x: b.pad(x(_ones(2)), [1], [1], mode="edge"),),
        (lambda b, x: b.pad(x(_ones(2)), [1], [1], mode="reflection"),),
    ),
    Rule(
        "pool-dilations",
        _POOLS,
        _is_dilated,
        "takes dilations of 1",
        "pool strided slices, or combine shifted slices of the input",
        (lambda b, x: b.max_pool2d(x(_image(3)), window_dimensions=[2, 2], dilations=[2, 2]),),
        (lambda b, x: b.max_pool2d(x(_image(3)), window_dimensions=[2, 2]),),
    ),
    Rule(
        "transposed-convolution-groups-and-dilations",
        ("conv_transpose2d",),
        _is_dilated_or_grouped,
        "takes one group and dilations of 1",
        "for groups, one transposed convolution each; for dilations, a filter with zeros between its values",
        (lambda b, x: b.conv_transpose2d(x(_image(2)), x(_image(2)), dilations=[2, 2]),),
        (lambda b, x: b.conv_transpose2d(x(_image(2)), x(_image(2))),),
    ),
    Rule(
        "transposed-convolution-padding",
        ("conv_transpose2d",),
        _is_padded_otherwise,
        "takes no padding, or the padding with which a convolution maps the output back to the input's size",
        "use no padding, and slice the output",
        (lambda b, x: b.conv_transpose2d(x(_image(3)), x(_image(3)), padding=[1, 0, 1, 0]),),
        (lambda b, x: b.conv_transpose2d(x(_image(3)), x(_image(3))),),
    ),
    Rule(
        "transposed-convolution-padding-and-strides",
        ("conv_transpose2d",),
        _skips_values,
        "takes padding only if no stride is larger than the kernel",
        "use no padding, and slice the output",
        (lambda b, x: b.conv_transpose2d(x(_image(3)), x(_image(1)), padding=[1, 1, 1, 1], strides=[2, 2]),),
        (
            lambda b, x: b.conv_transpose2d(x(_image(3)), x(_image(1)), strides=[2, 2]),
            lambda b, x: b.conv_transpose2d(x(_image(3)), x(_image(3)), padding=[1, 0, 1, 0]),
        ),
    ),
    Rule(
        "transposed-convolution-padding-of-constant-filters",
        ("conv_transpose2d",),
        _is_padded_around_a_constant,
        "takes a constant filter with no padding, or with a total padding of kernel size minus stride",
        "use no padding, and slice the output",
        (
            lambda b, x: b.conv_transpose2d(x(_image(4)), b.constant(_image(3)), padding=[1, 0, 1, 0]),
            lambda b, x: b.conv_transpose2d(x(_image(4)), b.constant(_image(2)), padding=[1, 1, 1, 1]),
        ),
        (
            lambda b, x: b.conv_transpose2d(x(_image(4)), b.constant(_image(3)), padding=[1, 1, 1, 1]),
            lambda b, x: b.conv_transpose2d(x(_image(4)), b.constant(_image(2)), padding=[0, 1, 0, 1]),
            lambda b, x: b.conv_transpose2d(x(_image(4)), x(_image(3)), padding=[1, 0, 1, 0]),
        ),
    ),
    Rule(
        "transposed-convolution-output-padding",
        ("conv_transpose2d",),
        _outlives_its_padding,
        "takes no more padding than there are values without output padding",
        "use no padding, and slice the output",
        (
            lambda b, x: b.conv_transpose2d(
                x(_image(1)), x(_image(2)), padding=[2, 1, 0, 0], strides=[3, 1], output_padding=[2, 0]
            ),
        ),
        (lambda b, x: b.conv_transpose2d(x(_image(1)), x(_image(2)), strides=[3, 1], output_padding=[2, 0]),),
    ),
    Rule(
        "prelu-slope",
        ("prelu",),
        _has_a_larger_slope,
        "takes a slope that broadcasts to the input",
        "expand the input to the output's shape",
        (lambda b, x: b.prelu(x(_ones(1)), x(_ones(2))),),
        (lambda b, x: b.prelu(x(_ones(2)), x(_ones(1))),),
    ),
    Rule(
        "uint32-scalar-slice",
        ("slice",),
        _slices_a_uint32_scalar,
        "takes scalars of all types except uint32",
        "omit the operator: the slice of a scalar is the scalar",
        (lambda b, x: b.slice(x(np.array(1, np.uint32)), [], []),),
        (lambda b, x: b.slice(x(np.array(1, np.int32)), [], []),),
    ),
    Rule(
        "slice-strides",
        ("slice",),
        _steps_over_its_end,
        "takes strides up to the size of the slice",
        "use the size as the stride, which gives the same result",
        (lambda b, x: b.slice(x(_ones(3)), [0], [2], strides=[3]),),
        (lambda b, x: b.slice(x(_ones(3)), [0], [2], strides=[2]),),
    ),
    Rule(
        "uint64-concat",
        ("concat",),
        _is_of("uint64"),
        "takes all data types except uint64",
        "cast to int64, and back after it",
        (lambda b, x: b.concat([x(_ones(2, dtype=np.uint64)), x(_ones(2, dtype=np.uint64))], 0),),
        (lambda b, x: b.concat([x(_ones(2, dtype=np.int64)), x(_ones(2, dtype=np.int64))], 0),),
    ),
    Rule(
        "float-concat-ranks",
        ("concat",),
        _joins_many_dimensions,
        "takes floats up to rank 6",
        "reshape to rank 3, and back after it",
        (lambda b, x: b.concat([x(_ones(*[1] * 7)), x(_ones(*[1] * 7))], 0),),
        (lambda b, x: b.concat([x(_ones(*[1] * 6)), x(_ones(*[1] * 6))], 0),),
    ),
    Rule(
        "uint32-scatter",
        ("scatter_elements", "scatter_nd"),
        _is_of("uint32"),
        "takes all data types except uint32",
        "cast to int32, and back after it",
        (
            lambda b, x: b.scatter_nd(
                x(_ones(2, dtype=np.uint32)), x(np.array([[0]], np.int32)), x(_ones(1, dtype=np.uint32))
            ),
        ),
        (
            lambda b, x: b.scatter_nd(
                x(_ones(2, dtype=np.int32)), x(np.array([[0]], np.int32)), x(_ones(1, dtype=np.int32))
            ),
        ),
    ),
    Rule(
        "float-reduction-ranks",
        _REDUCTIONS,
        _reduces_many_dimensions,
        "takes floats up to rank 6",
        "reshape to fewer dimensions first",
        (
            lambda b, x: b.reduce_sum(x(_ones(*[2] * 7)), axes=[3]),
            lambda b, x: b.reduce_max(x(_ones(*[2] * 7))),
        ),
        (lambda b, x: b.reduce_sum(x(_ones(*[2] * 6)), axes=[3]),),
    ),
    Rule(
        "float-reduction-ranks-of-few-axes",
        _REDUCTIONS,
        _reduces_few_of_many_dimensions,
        "takes floats up to rank 6, or 7 or more axes",
        "reshape to fewer dimensions first",
        (lambda b, x: b.reduce_sum(x(_ones(*[2] * 7)), axes=[3]),),
        (
            lambda b, x: b.reduce_sum(x(_ones(*[2] * 7))),
            lambda b, x: b.reduce_max(x(_ones(*[2] * 8)), axes=[0, 1, 2, 3, 4, 5, 6]),
        ),
    ),
    Rule(
        "gather-index-ranks",
        ("gather",),
        _has_indices_of_high_rank,
        "takes indices up to rank 4",
        "reshape the indices before it, and the output after it",
        (lambda b, x: b.gather(x(_ones(2)), x(_zeros(1, 1, 1, 1, 2))),),
        (lambda b, x: b.gather(x(_ones(2)), x(_zeros(1, 1, 1, 2))),),
    ),
    Rule(
        "gather-nd-index-ranks",
        ("gather_nd",),
        _has_indices_of_high_rank,
        "takes indices up to rank 4",
        "reshape the indices before it, and the output after it",
        (lambda b, x: b.gather_nd(x(_ones(2, 2)), x(_zeros(1, 1, 1, 3, 2))),),
        (lambda b, x: b.gather_nd(x(_ones(2, 2)), x(_zeros(1, 1, 3, 2))),),
    ),
    Rule(
        "kept-index-dimensions",
        tuple(op for op in OPERATORS if op not in _RESHAPING),
        _reads_lost_dimensions,
        "takes only elementwise operators and reshape there",
        "reshape the result to its own shape first",
        (
            lambda b, x: b.equal(b.arg_max(x(_image(3)), 3, keep_dimensions=True), x(_zeros(1, 1, 3, 2))),
            lambda b, x: b.transpose(b.cast(b.arg_min(x(_image(3)), 3, keep_dimensions=True), "float32")),
            lambda b, x: b.concat([b.arg_max(x(_image(3)), 3, keep_dimensions=True)] * 2, 3),
        ),
        (
            lambda b, x: b.equal(b.reshape(b.arg_max(x(_image(3)), 3), [1, 1, 3, 1]), x(_zeros(1, 1, 3, 2))),
            lambda b, x: b.equal(b.arg_max(x(_image(3)), 3, keep_dimensions=True), b.constant(np.array(2, np.int32))),
            lambda b, x: b.cast(b.arg_min(x(_image(3)), 3, keep_dimensions=True), "float32"),
            lambda b, x: b.equal(b.arg_max(x(_image(3)), 1, keep_dimensions=True), x(_zeros(1, 1, 3, 3))),
        ),
        "operators that read a result of `argMax` or `argMin` with `keepDimensions`",
    ),
    Rule(
        "gemm-beta",
        ("gemm",),
        _ignores_c,
        "takes a beta of 0 only without c, or with a constant c",
        "omit c",
        (lambda b, x: b.gemm(x(_ones(1, 1)), x(_ones(1, 1)), c=x(_ones(1)), beta=0.0),),
        (
            lambda b, x: b.gemm(x(_ones(1, 1)), x(_ones(1, 1)), c=x(_ones(1)), beta=0.5),
            lambda b, x: b.gemm(x(_ones(1, 1)), x(_ones(1, 1)), c=b.constant(_ones(1)), beta=0.0),
        ),
    ),
    Rule(
        "peephole-layout",
        ("lstm", "lstm_cell"),
        _has_peepholes_out_of_order,
        'takes peephole weights only in the layout "iofg"',
        'reorder the gates of weights and biases to "iofg"',
        (_peepholes("ifgo"),),
        (_peepholes("iofg"),),
    ),
    Rule(
        "positive-scales",
        ("quantize_linear", "dequantize_linear"),
        _has_a_scale_that_is_not_positive,
        "takes positive scales",
        "multiply by the scale instead",
        (
            lambda b, x: b.dequantize_linear(
                x(_ones(2, dtype=np.int8)), b.constant(np.array([-1], np.float32)), b.constant(np.zeros(1, np.int8))
            ),
        ),
        (
            lambda b, x: b.dequantize_linear(
                x(_ones(2, dtype=np.int8)), b.constant(np.array([1], np.float32)), b.constant(np.zeros(1, np.int8))
            ),
        ),
    ),
)

RULES: Final = {rule.name: rule for rule in _RULES}
"""Every known rule by its name."""

_ALLOWANCES: Final = (
    Allowance(
        "gather-nd-scalars",
        "gather_nd",
        "output",
        (0, 8),
        (lambda b, x: b.gather_nd(x(_ones(2)), x(_zeros(1))),),
    ),
)

ALLOWANCES: Final = {allowance.name: allowance for allowance in _ALLOWANCES}
"""Every known allowance by its name."""
