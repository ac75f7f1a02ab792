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

from webnn.graph.builder import MLGraphBuilder
from webnn.graph.ir import Node
from webnn.graph.operand import MLOperand
from webnn.graph.operator import OPERATORS
from webnn.targets import breaches

__all__ = ["ALLOWANCES", "RULES", "Allowance", "Example", "Rule"]

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
        breaches.has_unknown_indices,
        "takes constant indices",
        "use constant indices, or gather from the flattened input at computed positions",
        (lambda b, x: b.gather_elements(x(_ones(2)), x(_zeros(2))),),
        (lambda b, x: b.gather_elements(x(_ones(2)), b.constant(_zeros(2))),),
    ),
    Rule(
        "scatter-elements-constant-indices",
        ("scatter_elements",),
        breaches.has_unknown_indices,
        "takes constant indices",
        "use constant indices, or scatterND into the flattened input at computed positions",
        (lambda b, x: b.scatter_elements(x(_ones(2)), x(_zeros(1)), x(_ones(1))),),
        (lambda b, x: b.scatter_elements(x(_ones(2)), b.constant(_zeros(1)), x(_ones(1))),),
    ),
    Rule(
        "edge-padding",
        ("pad",),
        breaches.pads_with_the_edge,
        'takes "constant" and "reflection"',
        "concatenate repeated slices of the edges",
        (lambda b, x: b.pad(x(_ones(2)), [1], [1], mode="edge"),),
        (lambda b, x: b.pad(x(_ones(2)), [1], [1], mode="reflection"),),
    ),
    Rule(
        "pool-dilations",
        _POOLS,
        breaches.is_dilated,
        "takes dilations of 1",
        "pool strided slices, or combine shifted slices of the input",
        (lambda b, x: b.max_pool2d(x(_image(3)), window_dimensions=[2, 2], dilations=[2, 2]),),
        (lambda b, x: b.max_pool2d(x(_image(3)), window_dimensions=[2, 2]),),
    ),
    Rule(
        "transposed-convolution-groups-and-dilations",
        ("conv_transpose2d",),
        breaches.is_dilated_or_grouped,
        "takes one group and dilations of 1",
        "for groups, one transposed convolution each; for dilations, a filter with zeros between its values",
        (lambda b, x: b.conv_transpose2d(x(_image(2)), x(_image(2)), dilations=[2, 2]),),
        (lambda b, x: b.conv_transpose2d(x(_image(2)), x(_image(2))),),
    ),
    Rule(
        "transposed-convolution-padding",
        ("conv_transpose2d",),
        breaches.is_padded_otherwise,
        "takes no padding, or the padding with which a convolution maps the output back to the input's size",
        "use no padding, and slice the output",
        (lambda b, x: b.conv_transpose2d(x(_image(3)), x(_image(3)), padding=[1, 0, 1, 0]),),
        (lambda b, x: b.conv_transpose2d(x(_image(3)), x(_image(3))),),
    ),
    Rule(
        "transposed-convolution-padding-and-strides",
        ("conv_transpose2d",),
        breaches.skips_values,
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
        breaches.is_padded_around_a_constant,
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
        breaches.outlives_its_padding,
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
        breaches.has_a_larger_slope,
        "takes a slope that broadcasts to the input",
        "expand the input to the output's shape",
        (lambda b, x: b.prelu(x(_ones(1)), x(_ones(2))),),
        (lambda b, x: b.prelu(x(_ones(2)), x(_ones(1))),),
    ),
    Rule(
        "uint32-scalar-slice",
        ("slice",),
        breaches.slices_a_uint32_scalar,
        "takes scalars of all types except uint32",
        "omit the operator: the slice of a scalar is the scalar",
        (lambda b, x: b.slice(x(np.array(1, np.uint32)), [], []),),
        (lambda b, x: b.slice(x(np.array(1, np.int32)), [], []),),
    ),
    Rule(
        "slice-strides",
        ("slice",),
        breaches.steps_over_its_end,
        "takes strides up to the size of the slice",
        "use the size as the stride, which gives the same result",
        (lambda b, x: b.slice(x(_ones(3)), [0], [2], strides=[3]),),
        (lambda b, x: b.slice(x(_ones(3)), [0], [2], strides=[2]),),
    ),
    Rule(
        "uint64-concat",
        ("concat",),
        breaches.is_of("uint64"),
        "takes all data types except uint64",
        "cast to int64, and back after it",
        (lambda b, x: b.concat([x(_ones(2, dtype=np.uint64)), x(_ones(2, dtype=np.uint64))], 0),),
        (lambda b, x: b.concat([x(_ones(2, dtype=np.int64)), x(_ones(2, dtype=np.int64))], 0),),
    ),
    Rule(
        "float-concat-ranks",
        ("concat",),
        breaches.joins_many_dimensions,
        "takes floats up to rank 6",
        "reshape to rank 3, and back after it",
        (lambda b, x: b.concat([x(_ones(*[1] * 7)), x(_ones(*[1] * 7))], 0),),
        (lambda b, x: b.concat([x(_ones(*[1] * 6)), x(_ones(*[1] * 6))], 0),),
    ),
    Rule(
        "uint32-scatter",
        ("scatter_elements", "scatter_nd"),
        breaches.is_of("uint32"),
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
        breaches.reduces_many_dimensions,
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
        breaches.reduces_few_of_many_dimensions,
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
        breaches.has_indices_of_high_rank,
        "takes indices up to rank 4",
        "reshape the indices before it, and the output after it",
        (lambda b, x: b.gather(x(_ones(2)), x(_zeros(1, 1, 1, 1, 2))),),
        (lambda b, x: b.gather(x(_ones(2)), x(_zeros(1, 1, 1, 2))),),
    ),
    Rule(
        "gather-nd-index-ranks",
        ("gather_nd",),
        breaches.has_indices_of_high_rank,
        "takes indices up to rank 4",
        "reshape the indices before it, and the output after it",
        (lambda b, x: b.gather_nd(x(_ones(2, 2)), x(_zeros(1, 1, 1, 3, 2))),),
        (lambda b, x: b.gather_nd(x(_ones(2, 2)), x(_zeros(1, 1, 3, 2))),),
    ),
    Rule(
        "kept-index-dimensions",
        tuple(op for op in OPERATORS if op not in _RESHAPING),
        breaches.reads_lost_dimensions,
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
        breaches.ignores_c,
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
        breaches.has_peepholes_out_of_order,
        'takes peephole weights only in the layout "iofg"',
        'reorder the gates of weights and biases to "iofg"',
        (_peepholes("ifgo"),),
        (_peepholes("iofg"),),
    ),
    Rule(
        "positive-scales",
        ("quantize_linear", "dequantize_linear"),
        breaches.has_a_scale_that_is_not_positive,
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
