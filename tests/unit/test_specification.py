"""All operators against the specification's IDL and its tables of tensor limits."""

from __future__ import annotations

import inspect
import json
import re
import typing
from collections.abc import Sequence
from typing import Any, Final, Literal

import numpy as np
import pytest

from tests.conformance.wpt import DATA, MISSING
from tests.direct import every_composite
from tests.specification import idl, limits, snake
from webnn.backends.arrays.backend import ArraysBackend
from webnn.backends.arrays.kernels import kernels
from webnn.backends.lowering import Lowerings
from webnn.backends.onnx.lower import lower
from webnn.backends.onnx.lowerings import lowerings
from webnn.backends.onnxruntime.backend import OnnxRuntimeBackend
from webnn.graph.builder import MLGraphBuilder
from webnn.graph.dtypes import DataTypeLike, Number
from webnn.graph.ir import Graph
from webnn.graph.limits import SPEC_LIMITS
from webnn.graph.operand import MLOperand
from webnn.graph.operator import OPERATORS, operator_signature

lower(Graph([], {}))  # imports every family of the ONNX lowerings

IDL: Final = idl()
LIMITS: Final = limits()
BY_NAME: Final = {snake(name): name for name in IDL["methods"]}

TYPES: Final[dict[str, Any]] = {
    "MLOperand": MLOperand,
    "MLNumber": Number,
    "MLOperandDataType": DataTypeLike,
    "USVString": str,
    "boolean": bool,
    "double": float,
    "float": float,
    "unsigned long": int,
    "long": int,
    "(unsigned long or sequence<unsigned long>)": int | Sequence[int],
}
"""The Python type of each IDL type. Enums are `Literal`s of their values."""

OTHER_TYPES: Final[dict[tuple[str, str], Any]] = {
    # The rest of the enum is refused by the limits of the output.
    ("arg_min", "output_data_type"): Literal["int32", "int64"] | np.dtype[Any] | type[np.generic],
    ("arg_max", "output_data_type"): Literal["int32", "int64"] | np.dtype[Any] | type[np.generic],
}
"""Where a parameter's type is not its IDL type, with the reason."""

OTHER_DEFAULTS: Final[dict[tuple[str, str], Any]] = {}
"""Where a default is not the IDL's, with the reason."""


def python_type(idl_type: str, *, result: bool = False) -> Any:
    """The annotation for an IDL type."""
    idl_type = idl_type.replace("[EnforceRange] ", "")
    if idl_type in IDL["enums"] and idl_type not in TYPES:
        return Literal[tuple(IDL["enums"][idl_type])]
    if item := re.fullmatch(r"sequence<(.*)>", idl_type):
        return (list if result else Sequence)[python_type(item[1])]
    return TYPES[idl_type]


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("convTranspose2d", "conv_transpose2d"),
        ("l2Pool2d", "l2_pool2d"),
        ("reduceL1", "reduce_l1"),
        ("reduceLogSumExp", "reduce_log_sum_exp"),
        ("gatherND", "gather_nd"),
        ("isNaN", "is_nan"),
        ("inputLayout", "input_layout"),
        ("abs", "abs"),
        ("argMin", "arg_min"),
        ("output0", "output0"),
        ("aTranspose", "a_transpose"),
    ],
)
def test_names_become_snake_case(name: str, ours: str) -> None:
    assert snake(name) == ours


def test_there_are_all_operators_and_no_other() -> None:
    assert len(BY_NAME) == 95
    assert set(OPERATORS) == set(BY_NAME)


@pytest.mark.parametrize("op", BY_NAME)
def test_required_arguments_are_positional_and_in_order(op: str) -> None:
    positional = [p for p in operator_signature(op).parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD][1:]
    assert [p.name for p in positional] == [snake(name) for name in IDL["methods"][BY_NAME[op]]["params"]]
    assert [p.default for p in positional] == [p.empty for p in positional]


@pytest.mark.parametrize("op", BY_NAME)
def test_options_are_keywords_with_the_defaults_of_the_specification(op: str) -> None:
    """They are in the IDL's order, except that `label` is the last parameter of every operator."""
    options = IDL["options"][IDL["methods"][BY_NAME[op]]["options"]]
    ours = {p.name: p.default for p in operator_signature(op).parameters.values() if p.kind is p.KEYWORD_ONLY}
    wanted = {
        snake(name): OTHER_DEFAULTS.get((op, snake(name)), None if default is None else json.loads(default))
        for name, (_, default) in options.items()
    }
    assert list(ours) == [*(name for name in wanted if name != "label"), "label"]
    assert ours == wanted
    assert [type(ours[n]) is bool for n in ours] == [type(wanted[n]) is bool for n in ours]


@pytest.mark.parametrize("op", BY_NAME)
def test_annotations_are_the_types_of_the_specification(op: str) -> None:
    method = IDL["methods"][BY_NAME[op]]
    hints = typing.get_type_hints(getattr(MLGraphBuilder, op))
    wanted = {name: python_type(idl_type) for name, idl_type in method["params"].items()}
    for name, (idl_type, default) in IDL["options"][method["options"]].items():
        wanted[name] = python_type(idl_type) if default is not None else python_type(idl_type) | None
    wanted = {snake(name): OTHER_TYPES.get((op, snake(name)), hint) for name, hint in wanted.items()}
    assert hints == {**wanted, "return": python_type(method["returns"], result=True)}


def test_no_exception_has_outlived_its_reason() -> None:
    for op, name in [*OTHER_TYPES, *OTHER_DEFAULTS]:
        assert name in operator_signature(op).parameters
    for (op, name), hint in OTHER_TYPES.items():
        assert typing.get_type_hints(getattr(MLGraphBuilder, op))[name] == hint


@pytest.mark.parametrize("op", BY_NAME)
def test_the_limits_are_those_of_the_specification(op: str) -> None:
    wanted = {
        snake(operand): (set(types.split()), tuple(ranks), set(required.split()), tuple(required_ranks))
        for operand, (types, ranks, required, required_ranks) in LIMITS[BY_NAME[op]].items()
    }
    ours = {
        operand: (set(row.types), row.ranks, set(row.required), row.required_ranks)
        for operand, row in SPEC_LIMITS[op].items()
    }
    assert ours == wanted


def test_only_four_bit_types_are_allowed_beyond_the_specification() -> None:
    for rows in SPEC_LIMITS.values():
        assert {data_type for row in rows.values() for data_type in row.ours} <= {"int4", "uint4"}


@pytest.mark.parametrize("op", BY_NAME)
def test_every_operator_is_documented_and_linked_to_the_specification(op: str) -> None:
    text = inspect.cleandoc(getattr(MLGraphBuilder, op).__doc__ or "")
    first, *rest = text.splitlines()
    assert first.endswith(".")
    described = re.findall(
        r"^    (\w+): ", text[text.index("\nArgs:\n") : text.index("\nReturns:\n    ")], re.MULTILINE
    )
    assert described == list(operator_signature(op).parameters)[1:]
    assert ("\nRaises:\n    " in text) is (op != "identity")
    assert re.fullmatch(r"Spec: https://www\.w3\.org/TR/webnn/#api-mlgraphbuilder-[a-z0-9-]+", rest[-1])


@pytest.mark.parametrize("table", [lowerings, kernels], ids=["onnx", "arrays"])
def test_no_backend_has_forgotten_an_operator(table: Lowerings[Any]) -> None:
    assert set(OPERATORS) - set(table) == set()
    assert set(table) - set(OPERATORS) - set(every_composite()) == set()


@pytest.mark.parametrize("backend", [OnnxRuntimeBackend, ArraysBackend])
def test_the_limits_of_a_backend_hold_what_the_specification_requires(
    backend: type[OnnxRuntimeBackend | ArraysBackend],
) -> None:
    for op, rows in backend().support_limits().items():
        for operand, row in rows.items():
            spec = SPEC_LIMITS[op][operand]
            assert set(spec.required) <= set(row.types) <= set(spec.types), (op, operand)
            assert spec.ranks[0] <= row.ranks[0] <= spec.required_ranks[0], (op, operand)
            assert spec.required_ranks[1] <= row.ranks[1] <= spec.ranks[1], (op, operand)


@pytest.mark.skipif(MISSING is not None, reason=MISSING or "")
def test_every_link_leads_to_a_heading_of_the_specification() -> None:
    (text,) = [path.read_text(encoding="utf-8") for path in (DATA.parent / "spec").glob("webnn-*.bs")]
    headings = set(re.findall(r"{#([\w-]+)}", text))
    links = {link for op in OPERATORS for link in re.findall(r"webnn/#([\w-]+)", getattr(MLGraphBuilder, op).__doc__)}
    assert links - headings == set()


@pytest.mark.skipif(MISSING is not None, reason=MISSING or "")
def test_our_copy_of_the_specification_is_the_shared_one() -> None:
    shared = json.loads((DATA / "spec_limits.json").read_text(encoding="utf-8"))
    for op, rows in LIMITS.items():
        assert {
            operand: [row["dataTypes"], list(row["rankRange"].values()), row["requiredDataTypes"], row["requiredRanks"]]
            for operand, row in shared[op].items()
        } == {name: [row[0].split(), row[1], row[2].split(), row[3]] for name, row in rows.items()}
    shared = json.loads((DATA / "spec_idl.json").read_text(encoding="utf-8"))
    assert IDL["enums"] == shared["enums"]
    for options, members in IDL["options"].items():
        theirs = {name: [member["type"], member.get("default")] for name, member in shared["options"][options].items()}
        assert members == theirs
    for name, method in shared["methods"].items():
        params = {parameter["name"]: parameter["type"] for parameter in method["params"]}
        assert IDL["methods"][name] == {**method, "params": params}
