"""Calls of operators that compute element by element, or along axes."""

from __future__ import annotations

from typing import Final

from hypothesis import strategies as st

from tests.property.draft import Draft, Values, between, ordered, positive, signs, wild
from tests.property.registry import Arguments, axes_of, draws, number
from webnn.graph.dtypes import ALL, FLOATS
from webnn.graph.operand import MLOperand

MODERATE: Final = ("exp", "gelu", "sigmoid", "softplus", "tanh", "erf", "sin", "cos", "tan", "elu", "hard_swish")
"""Of large arguments these are constant, overflow, or have lost every digit of the angle."""


def _one(draft: Draft, op: str) -> MLOperand:
    values: Values | None = None
    if op in MODERATE:
        values = between(-8, 8)
    elif op == "log":
        values = positive
    if op in ("is_nan", "is_infinite"):  # the table allows any type, the algorithm refuses integers
        return draft.make(draft.pick(FLOATS), draft.shape(), wild)
    return draft.operand(op, "a" if op == "logical_not" else "input", values=values or draft.pick([None, wild]))


@draws("abs", "ceil", "cos", "erf", "exp", "floor", "identity", "log", "neg", "reciprocal", "round_even", "sign", "sin")
@draws("sqrt", "tan", "gelu", "hard_swish", "relu", "sigmoid", "softplus", "softsign", "tanh")
@draws("is_nan", "is_infinite", "logical_not")
def unary(draft: Draft, op: str) -> Arguments:
    return [_one(draft, op)], {}


@draws("elu", "leaky_relu")
def slope(draft: Draft, op: str) -> Arguments:
    return [_one(draft, op)], draft.options(alpha=lambda: number(draft))


@draws("hard_sigmoid", "linear")
def line(draft: Draft, op: str) -> Arguments:
    return [_one(draft, op)], draft.options(alpha=lambda: number(draft), beta=lambda: number(draft))


@draws("clamp")
def clamp(draft: Draft, op: str) -> Arguments:
    low, high = sorted([number(draft), number(draft)])
    return [_one(draft, op)], draft.options(min_value=lambda: low, max_value=lambda: high)


@draws("cast")
def cast(draft: Draft, op: str) -> Arguments:
    return [_one(draft, op), draft.pick(ALL)], {}


def _pair(draft: Draft, op: str, names: tuple[str, str] = ("a", "b"), values: Values | None = None) -> list[MLOperand]:
    shape, data_type = draft.shape(), draft.type_of(op, names[0])
    shapes = draft.draw(st.permutations([shape, draft.stretchable(shape)]))
    return [draft.make(data_type, s, values) for s in shapes]


@draws("add", "sub", "mul", "div", "max", "min")
@draws("equal", "not_equal", "greater", "greater_or_equal", "lesser", "lesser_or_equal")
@draws("logical_and", "logical_or", "logical_xor")
def binary(draft: Draft, op: str) -> Arguments:
    return [*_pair(draft, op, values=draft.pick([None, wild]))], {}


@draws("pow")
def power(draft: Draft, op: str) -> Arguments:
    return [*_pair(draft, op)], {}


@draws("prelu")
def prelu(draft: Draft, op: str) -> Arguments:
    return [*_pair(draft, op, ("input", "slope"), draft.pick([None, wild]))], {}


@draws("where")
def where(draft: Draft, op: str) -> Arguments:
    shape, data_type = draft.shape(), draft.type_of(op, "true_value")
    shapes = draft.draw(st.permutations([shape, draft.stretchable(shape), draft.stretchable(shape)]))
    types = ["uint8", data_type, data_type]
    return [draft.make(t, s, wild) for t, s in zip(types, shapes, strict=True)], {}


@draws("reduce_max", "reduce_min", "reduce_mean", "reduce_sum", "reduce_sum_square", "reduce_l1", "reduce_l2")
@draws("reduce_product", "reduce_log_sum", "reduce_log_sum_exp")
def reduction(draft: Draft, op: str) -> Arguments:
    wildly = draft.pick([None, wild]) if op in ("reduce_max", "reduce_min") else None
    values: Values | None = {"reduce_product": signs, "reduce_log_sum": positive}.get(op, wildly)
    x = draft.operand(op, "input", values=values)
    return [x], draft.options(axes=lambda: axes_of(draft, x), keep_dimensions=draft.flag)


@draws("arg_min", "arg_max")
def place_of(draft: Draft, op: str) -> Arguments:
    x = draft.operand(op, "input", values=draft.pick([None, ordered]))
    options = draft.options(keep_dimensions=draft.flag, output_data_type=lambda: draft.pick(["int32", "int64"]))
    return [x, draft.integer(0, x.rank - 1)], options


@draws("cumulative_sum")
def cumulative_sum(draft: Draft, op: str) -> Arguments:
    x = draft.operand(op, "input")
    return [x, draft.integer(0, x.rank - 1)], draft.options(exclusive=draft.flag, reversed=draft.flag)


@draws("softmax")
def softmax(draft: Draft, op: str) -> Arguments:
    x = draft.operand(op, "input")
    return [x, draft.integer(0, x.rank - 1)], {}
