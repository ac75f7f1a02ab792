"""Calls that are wrong for sure, and calls that are only unlikely."""

from __future__ import annotations

import math
import re
from typing import Any, Final

import numpy as np
from hypothesis import strategies as st

from tests.direct import direct_builder
from tests.property.calls import Call, valid_call
from tests.property.draft import Draft
from tests.specification import idl, snake
from webnn.graph.dtypes import ALL
from webnn.graph.limits import SPEC_LIMITS
from webnn.graph.operand import MLOperand
from webnn.graph.operator import operator_signature

__all__ = ["hostile_call", "wrong_call"]

_IDL: Final = idl()
IDL_TYPES: Final[dict[str, dict[str, str]]] = {
    snake(op): {
        **{snake(name): idl_type for name, idl_type in method["params"].items()},
        **{snake(name): idl_type for name, (idl_type, _) in _IDL["options"][method["options"]].items()},
    }
    for op, method in _IDL["methods"].items()
}
"""Operator to parameter to its type in the specification."""

NOTHING: Final = (object(), 1j, {"a": 1}, lambda: None)
"""What is no argument of any operator."""

_NO_INTEGER: Final = (-(2**31) - 1, 2**32, 10**30, 1.5, math.nan, math.inf, "1", True, [1], None)
_NO_LIST: Final = (5, "12", b"12", {1: 2}, [-1], [2**32], [1.5], ["a"], [None], [[1]], [True], np.array(1))
WRONG: Final[dict[str, tuple[Any, ...]]] = {
    "MLOperand": (0, "x", [], True, np.ones(2, np.float32), None),
    "sequence<MLOperand>": ((), [None], ["x"], "x", 5, [[]], None),
    "[EnforceRange] unsigned long": (-1, *_NO_INTEGER),
    "unsigned long": (-1, *_NO_INTEGER),
    "[EnforceRange] long": (2**31, *_NO_INTEGER),
    "sequence<[EnforceRange] unsigned long>": (*_NO_LIST, None),
    "sequence<unsigned long>": (*_NO_LIST, None),
    "([EnforceRange] unsigned long or sequence<[EnforceRange] unsigned long>)": (0, -1, [], [0], *_NO_LIST[1:-1], None),
    "sequence<float>": (5, "12", ["a", 1], [math.nan, 1], [math.inf, 1], [-1, 1], [0, 1], [None, 1], [1], None),
    "boolean": (0, 1, "true", [], None),
    "double": (math.nan, math.inf, 10**400, "1", [], True, None),
    "MLNumber": ("1", [], True, None),
    "USVString": (3, b"x", [], None),
    "sequence<MLRecurrentNetworkActivation>": ("relu", ["relu"], ["relu"] * 4, ["RELU"] * 3, [None] * 2, 3, None),
}
"""By type, values that are not valid anywhere. None is left out where it stands for an option that was not given."""


def wrong_call(draft: Draft, call: Call) -> Call:
    """`call` with one argument that makes it wrong."""
    name = draft.pick([*operator_signature(call.op).parameters][1:])
    idl_type, default = IDL_TYPES[call.op][name], operator_signature(call.op).parameters[name].default
    if idl_type in _IDL["enums"]:
        values: tuple[Any, ...] = ("", "bogus", "NCHW", b"nchw", 3, ["nchw"], np.float32, None)
    else:
        values = WRONG[idl_type]
    choices = [value for value in (*values, *NOTHING) if value is not None or default is not None]
    if idl_type == "MLOperand":
        choices += _wrong_operands(draft, call.op, name)
    elif idl_type == "sequence<MLOperand>":
        choices += [[draft.make("float32", (1, 2)), operand] for operand in _wrong_operands(draft, call.op, name)]
    return _with(call, name, draft.pick(choices))


def _wrong_operands(draft: Draft, op: str, name: str) -> list[MLOperand]:
    """Operands of another builder, of a type and of a rank that the limits do not allow."""
    row = SPEC_LIMITS[op][name]
    low, high = row.ranks
    types = [data_type for data_type in ALL if data_type not in row.allowed]
    ranks = [rank for rank in range(9) if not low <= rank <= high]
    foreign = direct_builder().input("x", [1] * low, row.types[0])
    of_types = [draft.make(draft.pick(types), (1,) * low)] if types else []
    return [foreign, *of_types, *([draft.make(row.types[0], (1,) * draft.pick(ranks))] if ranks else [])]


_INTEGERS: Final = st.one_of(st.integers(0, 4), st.sampled_from([5, 8, 100, 2**31 - 1, 2**31, 2**32 - 1]))
_NUMBERS: Final = st.one_of(st.floats(), st.integers(-(2**70), 2**70), st.floats(-4, 4))


def hostile_call(draft: Draft, op: str) -> Call:
    """A valid call of which some arguments were replaced by others of the right Python type."""
    call = valid_call(draft, op)
    for name, parameter in [*operator_signature(op).parameters.items()][1:]:
        if draft.integer(0, 2):
            continue
        idl_type = IDL_TYPES[op][name].replace("[EnforceRange] ", "")
        if idl_type == "MLOperand":
            value: Any = draft.make(draft.pick(ALL), draft.shape())
        elif idl_type == "sequence<MLOperand>":
            value = [draft.make(draft.pick(ALL), draft.shape()) for _ in range(draft.integer(0, 3))]
        elif (item := re.fullmatch(r"(?:\(unsigned long or )?sequence<(\w+( \w+)*)>\)?", idl_type)) is not None:
            value = [_plausible(draft, item[1]) for _ in range(draft.integer(0, 5))]
        else:
            value = _plausible(draft, idl_type)
        call = _with(call, name, None if parameter.default is None and draft.flag() else value)
    return call


def _plausible(draft: Draft, idl_type: str) -> Any:
    if idl_type in _IDL["enums"]:
        return draft.pick(_IDL["enums"][idl_type])
    strategies: dict[str, st.SearchStrategy[Any]] = {
        "unsigned long": _INTEGERS,
        "long": st.integers(-(2**31), 2**31 - 1),
        "boolean": st.booleans(),
        "double": _NUMBERS,
        "float": _NUMBERS,
        "MLNumber": _NUMBERS,
        "USVString": st.text(),
    }
    return draft.draw(strategies[idl_type])


def _with(call: Call, name: str, value: Any) -> Call:
    position = [*operator_signature(call.op).parameters].index(name) - 1
    if position < len(call.args):
        return Call(call.op, [*call.args[:position], value, *call.args[position + 1 :]], call.options)
    return Call(call.op, call.args, {**call.options, name: value})
