from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from tests.direct import DirectHost, direct_builder, run_graph
from webnn.backends.arrays.backend import ArraysBackend
from webnn.errors import InvalidStateError, ValidationError
from webnn.graph.builder import COPIED_BYTES, MLGraphBuilder
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.dtypes import ALL, DATA_TYPES, DataType
from webnn.graph.ir import Graph
from webnn.graph.operand import MLOperand

Builder = MLGraphBuilder[Graph]


@pytest.fixture
def builder() -> Builder:
    return direct_builder()


def test_a_builder_requires_a_context() -> None:
    nothing: Any = None
    with pytest.raises(ValidationError, match="MLGraphBuilder: context must be an MLContext, got None"):
        MLGraphBuilder(nothing)


# Inputs


@pytest.mark.parametrize("data_type", ALL)
def test_an_input_has_the_shape_and_type_it_was_given(builder: Builder, data_type: DataType) -> None:
    x = builder.input("x", [2, 3], data_type)
    assert (x.name, x.shape, x.data_type, x.rank) == ("x", (2, 3), data_type, 2)


@pytest.mark.parametrize(
    "descriptor",
    [MLOperandDescriptor("int8", [4]), {"data_type": "int8", "shape": [4]}, {"dataType": "int8", "shape": (4,)}],
)
def test_an_input_can_be_described_by_a_descriptor(builder: Builder, descriptor: Any) -> None:
    x = builder.input("x", descriptor)
    assert (x.shape, x.data_type) == ((4,), "int8")


@pytest.mark.parametrize(
    ("name", "shape", "data_type", "message"),
    [
        ("", [1], "float32", "input '': the name must be a non-empty string, got ''"),
        (None, [1], "float32", "input: the name must be a non-empty string, got None"),
        ("x", [2, 0], "float32", "input 'x': .*dimension 0 is out of range; it must be 1 to 2147483647"),
        ("x", [2**31], "float32", "dimension 2147483648 is out of range; it must be 1 to 2147483647"),
        ("x", [-1], "float32", r"shape\[0\] must be an integer from 0 to 4294967295, got -1"),
        ("x", [1.5], "float32", r"shape\[0\] must be an integer, got 1.5"),
        ("x", [1] * 9, "float32", "has 9 dimensions; at most 8"),
        ("x", [2**16, 2**16], "int8", "has 4294967296 elements; at most 2147483647"),
        ("x", [2**29], "float32", r"takes 2147483648 bytes; at most 2147483647"),
        ("x", 3, "float32", "shape must be a sequence of integers, got 3"),
        ("x", "23", "float32", "shape must be a sequence of integers, got '23'"),
        ("x", [1], "float64", "data type must be one of 'float32', .*got 'float64'"),
        ("x", [1], None, "data type must be one of .*got None"),
        ("x", [1], np.float64, r"data type must be one of .*got 'float64'"),
        ("x", [1], float, "data type must be one of .*got <class 'float'>"),
        ("x", [1], "int4", "an input cannot be int4"),
        ("x\n", [0], "int8", r"^input 'x\\n': "),
    ],
)
def test_an_input_that_is_not_valid_is_refused(
    builder: Builder, name: Any, shape: Any, data_type: Any, message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        builder.input(name, shape, data_type)


@pytest.mark.parametrize(
    ("descriptor", "message"),
    [
        (
            {"shape": [1], "readable": True},
            r"a descriptor must have the keys 'data_type' and 'shape', got \['shape', 'readable'\]",
        ),
        ({"data_type": "int8"}, "a descriptor must have the keys"),
        ({"shape": [1]}, "data type must be one of"),
        ({1: 2}, "a descriptor must have the keys"),
        ({"shape": [1], 1: 2, "label": ""}, r"a descriptor must have the keys .*, got \['shape', 1, 'label'\]"),
    ],
)
def test_a_descriptor_that_is_not_valid_is_refused(builder: Builder, descriptor: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        builder.input("x", descriptor)


def test_a_descriptor_and_another_data_type_contradict_each_other(builder: Builder) -> None:
    with pytest.raises(ValidationError, match="the descriptor is int8, but the argument data_type is 'int32'"):
        builder.input("x", MLOperandDescriptor("int8", [1]), "int32")  # type: ignore[call-overload]


def test_two_inputs_of_a_graph_cannot_share_a_name(builder: Builder) -> None:
    x, y = builder.input("x", [1], "int8"), builder.input("x", [1], "int8")
    with pytest.raises(ValidationError, match="build: two inputs are named 'x'"):
        builder.build({"sum": builder.add(x, y)})


def test_an_unused_input_does_not_reserve_its_name(builder: Builder) -> None:
    builder.input("x", [1], "int8")
    graph = builder.build({"y": builder.relu(builder.input("x", [2], "float32"))})
    assert graph.input_descriptors["x"].shape == (2,)


# Constants


def value_of(operand: MLOperand) -> Any:
    assert operand.constant is not None
    return operand.constant.tolist()


@pytest.mark.parametrize("data_type", DATA_TYPES)
def test_a_constant_takes_its_type_and_shape_from_the_array(builder: Builder, data_type: DataType) -> None:
    operand = builder.constant(np.ones((2, 1), DATA_TYPES[data_type].dtype))
    assert (operand.data_type, operand.shape, value_of(operand)) == (data_type, (2, 1), [[1], [1]])


def test_a_large_constant_is_not_copied(builder: Builder) -> None:
    array = np.zeros(COPIED_BYTES + 1, np.uint8)
    assert builder.constant(array).constant is array


def test_a_small_constant_is_copied_once(builder: Builder) -> None:
    array = np.arange(6, dtype=np.float32)
    operand, again = builder.constant(array), builder.constant(array)
    array[:] = 9
    changed = builder.constant(array)
    assert (value_of(operand), value_of(changed)) == ([0, 1, 2, 3, 4, 5], [9] * 6)
    assert operand.constant is again.constant  # so that a file holds it once


@pytest.mark.parametrize("size", [16, 4 * COPIED_BYTES])
def test_bytes_are_not_copied(builder: Builder, size: int) -> None:
    array = np.frombuffer(bytes(size), np.float32)
    assert builder.constant(array).constant is array


def test_a_constant_is_contiguous(builder: Builder) -> None:
    operand = builder.constant(np.arange(6, dtype=np.int32).reshape(2, 3).T)
    assert operand.constant is not None
    assert operand.constant.flags.c_contiguous
    assert value_of(operand) == [[0, 3], [1, 4], [2, 5]]


@pytest.mark.parametrize(
    ("data_type", "number", "held"),
    [("float32", 0.5, 0.5), ("int8", 300, 127), ("uint8", -1, 0), ("int64", 2**63 - 1, 2**63 - 1), ("uint4", 9, 9)],
)
def test_a_scalar_is_cast_to_its_type(builder: Builder, data_type: Any, number: float, held: float) -> None:
    operand = builder.constant(data_type, number)
    assert (operand.data_type, operand.shape, value_of(operand)) == (data_type, (), held)


def test_a_numpy_scalar_is_a_constant_of_its_type(builder: Builder) -> None:
    operand = builder.constant(np.float16(0.5))
    assert (operand.data_type, operand.shape, value_of(operand)) == ("float16", (), 0.5)


@pytest.mark.parametrize(
    ("descriptor", "buffer", "held"),
    [
        (MLOperandDescriptor("int32", [2]), np.array([1, 2], np.int32), [1, 2]),
        (MLOperandDescriptor("int32", [2]), b"\1\0\0\0\2\0\0\0", [1, 2]),
        ({"dataType": "int32", "shape": [1, 2]}, bytearray(b"\1\0\0\0\2\0\0\0"), [[1, 2]]),
        ({"data_type": "int32", "shape": [2, 1]}, [[1], [2]], [[1], [2]]),
        ({"data_type": "int4", "shape": [3]}, b"\xf1\x07", [1, -1, 7]),
        ({"data_type": "uint4", "shape": [3]}, b"\xf1\x07", [1, 15, 7]),
        ({"data_type": "int8", "shape": [3]}, [1.0, True, np.int64(-3)], [1, 1, -3]),
        ({"data_type": "float16", "shape": [3]}, (1e40, 2**70, 0.1), [math.inf, math.inf, float(np.float16(0.1))]),
        ({"data_type": "uint64", "shape": [1]}, [2**64 - 1], [2**64 - 1]),
        ({"data_type": "float32", "shape": []}, b"\0\0\x80\x3f", 1.0),
    ],
)
def test_a_constant_can_be_described_with_its_bytes(
    builder: Builder, descriptor: Any, buffer: Any, held: list[Any]
) -> None:
    assert value_of(builder.constant(descriptor, buffer)) == held


def test_the_bytes_of_a_described_constant_are_copied_at_the_call(builder: Builder) -> None:
    buffer = np.array([1, 2], np.int32)
    operand = builder.constant(MLOperandDescriptor("int32", [2]), buffer)
    buffer[:] = 7
    assert value_of(operand) == [1, 2]


def released() -> memoryview:
    view = memoryview(bytearray(8))
    view.release()
    return view


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((np.ones(2),), "constant: dtype 'float64' is not a WebNN data type"),
        ((np.ones(2, ">f4"),), "constant: dtype '>f4' is not in native byte order"),
        ((np.ones((2, 0), np.float32),), "dimension 0 is out of range; it must be 1 to"),
        ((np.ones([1] * 9, np.int8),), "has 9 dimensions; at most 8"),
        ((np.array(["a"]),), "is not a WebNN data type"),
        ((ml_dtypes.bfloat16(1),), "dtype 'bfloat16' is not a WebNN data type"),
        ((object(),), "expected an array or a buffer, got object"),
        (([1.0, 2.0],), r"expected an array or a buffer, got list: a list has no data type; write np.array\("),
        ((None,), "got NoneType"),
        (("float32",), "the value must be a number, got None"),
        (("float32", "1"), "the value must be a number, got '1'"),
        (("float32", np.ones(2)), "value must be a number"),
        (("float64", 1), "data type must be one of"),
        ((np.ones(2, np.int8), 3), r"a second argument needs a data type or a descriptor"),
        ((MLOperandDescriptor("int32", [2]), b"\0" * 7), r"expected 8 bytes for int32 \(?\[?2\]?,?\)?, got 7"),
        ((MLOperandDescriptor("int32", [2]), np.zeros(3, np.int32)), r"expected int32 \[2\], got shape \[3\]"),
        ((MLOperandDescriptor("int32", [2]), np.zeros((1, 2), np.int32)), r"expected int32 \[2\], got shape \[1, 2\]"),
        ((MLOperandDescriptor("int32", [2]), np.zeros(2, np.uint32)), r"got uint32 \[2\]; convert it: array.astype"),
        ((MLOperandDescriptor("int32", [2]), [1, "x"]), r"expected int32 \[2\], got list"),
        (
            (MLOperandDescriptor("int8", [1]), [300]),
            r"expected int8 \[1\], got list: 300 is not an integer from -128 to 127",
        ),
        (
            (MLOperandDescriptor("int4", [2]), [8, 0]),
            r"expected int4 \[2\], got list: 8 is not an integer from -8 to 7, the range of int4",
        ),
        (
            (MLOperandDescriptor("int32", [2]), [1, 2.5]),
            r"expected int32 \[2\], got list: 2.5 is not an integer from -\d+ to \d+, the range of int32",
        ),
        (
            (MLOperandDescriptor("int64", [1]), [2.0**63]),
            r"expected int64 \[1\], got list: 9.*e\+18 is not an integer from .*, the range of int64",
        ),
        (
            (MLOperandDescriptor("uint8", [1]), [math.nan]),
            r"expected uint8 \[1\], got list: nan is not an integer from 0 to 255",
        ),
        (
            (MLOperandDescriptor("int8", [1]), [np.array(300)]),
            r"expected int8 \[1\], got list: 300 is not an integer from -128 to 127",
        ),
        (
            (MLOperandDescriptor("int32", [2]), None),
            r"expected int32 \[2\], got NoneType: it is not an array, a buffer",
        ),
        ((MLOperandDescriptor("int32", [2]), released()), r"expected int32 \[2\], got memoryview: .*released"),
    ],
)
def test_a_constant_that_is_not_valid_is_refused(builder: Builder, args: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValidationError, match=message) as caught:
        builder.constant(*args)
    assert str(caught.value).startswith("constant: ")


# Building


def test_an_input_or_a_constant_cannot_be_an_output(builder: Builder) -> None:
    x = builder.input("x", [1], "float32")
    with pytest.raises(ValidationError, match=r"build: output 'y' is an input; pass it through identity\(\)"):
        builder.build({"y": x})
    with pytest.raises(ValidationError, match="build: output 'y' is a constant"):
        builder.build({"y": builder.constant("float32", 1)})


@pytest.mark.parametrize("outputs", [{}, None, [], "y", 3])
def test_outputs_must_be_a_non_empty_mapping(builder: Builder, outputs: Any) -> None:
    with pytest.raises(ValidationError, match="build: outputs must be a non-empty mapping of names to operands, got"):
        builder.build(outputs)


@pytest.mark.parametrize("name", ["", 1, None])
def test_the_name_of_an_output_must_be_a_non_empty_string(builder: Builder, name: Any) -> None:
    y = builder.relu(builder.input("x", [1], "float32"))
    with pytest.raises(ValidationError, match="build: the name of an output must be a non-empty string"):
        builder.build({name: y})


@pytest.mark.parametrize("wrong", [None, 1, "relu", np.ones(1), [object()]])
def test_an_output_must_be_an_operand(builder: Builder, wrong: Any) -> None:
    with pytest.raises(ValidationError, match="build: output 'y' must be an MLOperand, got"):
        builder.build({"y": wrong})


def test_an_output_must_belong_to_the_builder(builder: Builder) -> None:
    other = direct_builder()
    with pytest.raises(ValidationError, match="build: output 'y' belongs to another builder"):
        builder.build({"y": other.relu(other.input("x", [1], "float32"))})


def test_a_graph_cannot_return_four_bit_integers(builder: Builder) -> None:
    x = builder.input("x", [2], "float32")
    q = builder.quantize_linear(
        x, builder.constant(np.ones(1, np.float32)), builder.constant(np.ones(1, ml_dtypes.int4))
    )
    with pytest.raises(ValidationError, match="build: output 'y' is int4, but a graph cannot return it"):
        builder.build({"y": q})


def test_a_refused_build_leaves_the_builder_usable(builder: Builder) -> None:
    x = builder.input("x", [1], "float32")
    with pytest.raises(ValidationError):
        builder.build({"y": x})
    assert list(builder.build({"y": builder.neg(x)}).outputs) == ["y"]


def test_a_builder_builds_once(builder: Builder) -> None:
    y = builder.relu(builder.input("x", [1], "float32"))
    builder.build({"y": y})
    for call in (
        lambda: builder.build({"y": y}),
        lambda: builder.input("z", [1], "float32"),
        lambda: builder.constant("float32", 1),
        lambda: builder.relu(y),
    ):
        with pytest.raises(InvalidStateError, match=r"create another one with context.create_graph_builder\(\)"):
            call()
    with pytest.raises(InvalidStateError, match=r"^\[late\] relu: this builder has built its graph"):
        builder.relu(y, label="late")


def test_a_builder_of_a_lost_context_refuses_everything() -> None:
    class Host(DirectHost):
        lost = False

        def check_not_lost(self) -> None:
            if self.lost:
                raise InvalidStateError("the context is lost")

    host = Host()
    builder = MLGraphBuilder(host)
    y = builder.relu(builder.input("x", [1], "float32"))
    host.lost = True
    for call in (
        lambda: MLGraphBuilder(host),
        lambda: builder.build({"y": y}),
        lambda: builder.input("z", [1], "float32"),
        lambda: builder.constant("float32", 1),
        lambda: builder.relu(y),
    ):
        with pytest.raises(InvalidStateError, match="the context is lost"):
            call()


def test_names_may_contain_any_character(builder: Builder) -> None:
    x = builder.input("in\0\n\u202e", [1], "float32")
    graph = builder.build({"out\0\ud800": builder.neg(x)})
    assert run_graph(graph, {"in\0\n\u202e": [1.0]}, ArraysBackend())["out\0\ud800"].tolist() == [-1.0]
    assert graph.structure_hash


def test_the_same_operand_can_have_several_names(builder: Builder) -> None:
    y = builder.neg(builder.input("x", [1], "float32"))
    outputs = run_graph(builder.build({"a": y, "b": y}), {"x": [1.0]}, ArraysBackend())
    assert [outputs["a"].tolist(), outputs["b"].tolist()] == [[-1.0], [-1.0]]
