"""The `operator` decorator: the checks that it makes for every operator, tested on a few of them."""

from __future__ import annotations

import gc
import inspect
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.direct import DirectHost, direct_builder
from webnn.errors import InvalidStateError, ValidationError
from webnn.graph.builder import MLGraphBuilder
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.ir import Graph
from webnn.graph.limits import SPEC_LIMITS, Limits, LimitsTable, narrowed
from webnn.graph.operand import MLOperand
from webnn.graph.operator import OPERATORS, default_label, operator_signature

Builder = MLGraphBuilder[Graph]


@pytest.fixture
def builder() -> Builder:
    return direct_builder()


@pytest.fixture
def x(builder: Builder) -> MLOperand:
    return builder.input("x", [2, 3], "float32")


@pytest.mark.parametrize("wrong", [None, 1, "x", np.ones(3), object(), MLOperandDescriptor("float32", [1])])
def test_a_value_that_is_not_an_operand_is_refused(builder: Builder, x: MLOperand, wrong: Any) -> None:
    with pytest.raises(ValidationError, match=r"^add: b must be an MLOperand, got"):
        builder.add(x, wrong)
    with pytest.raises(ValidationError, match=r"^add: b must be an MLOperand, got"):
        builder.add(a=x, b=wrong)


@pytest.mark.parametrize("wrong", [None, 3, "xx", {}, iter([])])
def test_a_value_that_is_not_a_list_of_operands_is_refused(builder: Builder, wrong: Any) -> None:
    with pytest.raises(ValidationError, match=r"^concat: inputs must be a list of MLOperands, got"):
        builder.concat(wrong, 0)


def test_an_item_that_is_not_an_operand_is_named(builder: Builder, x: MLOperand) -> None:
    with pytest.raises(ValidationError, match=r"^concat: inputs\[1\] must be an MLOperand, got NoneType"):
        builder.concat([x, None], 0)  # type: ignore[list-item]


def test_an_operand_of_another_builder_is_refused(builder: Builder, x: MLOperand) -> None:
    other = direct_builder().input("x", [2, 3], "float32")
    with pytest.raises(ValidationError, match=r"^add: b belongs to another builder"):
        builder.add(x, other)
    with pytest.raises(ValidationError, match=r"^concat: inputs\[1\] belongs to another builder"):
        builder.concat([x, other], 0)


def test_an_optional_operand_may_be_none(builder: Builder, x: MLOperand) -> None:
    assert builder.gemm(x, builder.input("b", [3, 4], "float32"), c=None).shape == (2, 4)


def test_a_data_type_outside_the_limits_is_refused(builder: Builder) -> None:
    with pytest.raises(ValidationError, match=r"^relu: input is uint8, but must be float32 or float16 or int32"):
        builder.relu(builder.input("i", [1], "uint8"))


def test_operands_that_must_have_the_same_type_are_named(builder: Builder, x: MLOperand) -> None:
    with pytest.raises(ValidationError, match=r"^add: b is int32, but must have the data type of a, float32"):
        builder.add(x, builder.input("i", [1], "int32"))


def test_a_rank_outside_the_limits_is_refused(builder: Builder, x: MLOperand) -> None:
    with pytest.raises(ValidationError, match=r"^gemm: a \[3\] has rank 1, but must have rank 2"):
        builder.gemm(builder.input("v", [3], "float32"), x)
    with pytest.raises(ValidationError, match=r"^concat: inputs\[0\] \[\] has rank 0, but must have rank 1 to 8"):
        builder.concat([builder.input("s", [], "float32")], 0)


def test_a_message_starts_with_the_label(builder: Builder, x: MLOperand) -> None:
    with pytest.raises(ValidationError, match=r"^\[stem\\n\] reshape: .*\[2, 3\]"):
        builder.reshape(x, [7], label="stem\n")


@pytest.mark.parametrize("label", [None, 3, b"stem"])
def test_a_label_is_a_string(builder: Builder, x: MLOperand, label: Any) -> None:
    with pytest.raises(ValidationError, match=r"^relu: label must be a string, got"):
        builder.relu(x, label=label)


def labels(*operands: MLOperand) -> list[str]:
    return [operand.node.label for operand in operands if operand.node is not None]


def test_a_default_label_is_for_operators_without_one(builder: Builder, x: MLOperand) -> None:
    before = builder.relu(x)
    with default_label(builder, "block"):
        inside, own = builder.relu(x), builder.relu(x, label="own")
        with default_label(builder, "inner"):
            inner = builder.split(x, 3, axis=1)
        outer = builder.relu(x)
    after = builder.relu(x)
    assert labels(before, inside, own, *inner, outer, after) == ["", "block", "own", *["inner"] * 3, "block", ""]


def test_a_default_label_ends_when_an_error_is_raised(builder: Builder, x: MLOperand) -> None:
    with pytest.raises(ValidationError, match=r"^reshape: "), default_label(builder, "block"):
        builder.reshape(x, [7])
    assert labels(builder.relu(x)) == [""]


def test_the_narrower_limits_of_a_backend_hold() -> None:
    class Host(DirectHost):
        @property
        def limits(self) -> LimitsTable:
            return narrowed({"abs": {"input": ["float16"], "output": Limits(("float32",), rank=(0, 1))}})

    builder = MLGraphBuilder(Host())
    with pytest.raises(ValidationError, match=r"^abs: input is float16, but must be float32 or int32"):
        builder.abs(builder.input("h", [2], "float16"))
    with pytest.raises(ValidationError, match=r"^abs: output \[2, 2\] has rank 2, but must have rank 0 to 1"):
        builder.abs(builder.input("f", [2, 2], "float32"))
    assert builder.abs(builder.input("g", [2], "float32")).shape == (2,)


def test_an_operand_that_a_backend_does_not_support_at_all_is_refused() -> None:
    class Host(DirectHost):
        @property
        def limits(self) -> LimitsTable:
            return narrowed({"tan": {"input": ["float32", "float16"]}})

    builder = MLGraphBuilder(Host())
    with pytest.raises(ValidationError, match=r"^tan: input is float32, but this backend supports no data type for it"):
        builder.tan(builder.input("x", [2], "float32"))


def test_a_missing_argument_raises_a_type_error(builder: Builder, x: MLOperand) -> None:
    with pytest.raises(TypeError, match="missing a required argument: 'b'; the call is add"):
        builder.add(x)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="there is no argument 'alfa', write alpha="):
        builder.elu(x, alfa=1)  # type: ignore[call-arg]


def test_a_failed_call_leaves_the_builder_as_it_was(builder: Builder, x: MLOperand) -> None:
    with pytest.raises(ValidationError):
        builder.reshape(x, [7])
    graph = builder.build({"y": builder.relu(x)})
    assert [node.op for node in graph.nodes] == ["relu"]


def test_a_builder_that_has_built_refuses_every_operator(builder: Builder, x: MLOperand) -> None:
    builder.build({"y": builder.relu(x)})
    with pytest.raises(InvalidStateError, match=r"has built its graph: create another one"):
        builder.add(x, x)


@pytest.mark.parametrize("op", OPERATORS)
def test_a_builder_that_has_built_refuses(op: str, builder: Builder, x: MLOperand) -> None:
    builder.build({"y": builder.relu(x)})
    required = [p for p in operator_signature(op).parameters.values() if p.default is p.empty][1:]
    with pytest.raises(InvalidStateError, match="has built its graph"):
        getattr(builder, op)(*[x for _ in required])


def test_an_output_knows_its_node_and_the_node_its_outputs(builder: Builder) -> None:
    pieces = builder.split(builder.input("x", [4], "float32"), 2)
    nodes = {id(piece.node) for piece in pieces}
    assert len(nodes) == 1
    assert pieces[0].node is not None
    assert list(pieces[0].node.outputs) == list(pieces)


def test_every_operator_keeps_its_signature_and_documentation() -> None:
    for op in OPERATORS:
        method = getattr(MLGraphBuilder, op)
        assert inspect.signature(method) == operator_signature(op)
        assert method.__name__ == op
        assert method.__doc__


def test_every_operand_of_an_operator_has_a_limits_row() -> None:
    for op, rows in SPEC_LIMITS.items():
        operands = [name for name, p in operator_signature(op).parameters.items() if "MLOperand" in str(p.annotation)]
        assert [name for name in operands if name not in rows] == [], op


@pytest.mark.parametrize(
    ("use", "message"),
    [(bool, "no truth value"), (len, "no length"), (np.asarray, "no data")],
    ids=["bool", "len", "asarray"],
)
def test_an_operand_cannot_be_used_as_data(x: MLOperand, use: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(TypeError, match=rf"<MLOperand input 'x': float32 \[2, 3\]> has {message}.*read its output"):
        use(x)


def test_the_repr_of_an_operand_gives_its_kind_type_and_shape(builder: Builder, x: MLOperand) -> None:
    assert repr(builder.relu(x)) == "<MLOperand of relu: float32 [2, 3]>"
    assert repr(builder.constant("int8", 1)) == "<MLOperand constant: int8 []>"
    assert x.rank == 2


def test_a_graph_does_not_keep_its_builder_alive(builder: Builder) -> None:
    alone = direct_builder()
    graph = alone.build({"y": alone.relu(alone.input("x", [1], "float32"))})
    gone = weakref.ref(alone)
    del alone
    gc.collect()
    assert gone() is None
    assert list(graph.outputs) == ["y"]
