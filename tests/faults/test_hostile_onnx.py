"""ONNX files that are cut off, changed at random, or made to hurt: an error in bounded time and memory, or a graph."""

from __future__ import annotations

import contextlib
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import AttributeProto, FunctionProto, ModelProto, TensorProto, helper, numpy_helper

from tests.direct import direct_builder
from webnn.errors import DataError, MLError
from webnn.formats.onnx import import_onnx
from webnn.formats.onnx.importing import budget
from webnn.formats.onnx.importing.problems import OnnxNotSupportedError
from webnn.graph.operand import MLOperand

LIMIT = 64 << 20
"""The most memory that reading any of these small files may take."""

node = helper.make_node


def read(data: Any) -> dict[str, MLOperand]:
    """The outputs of a model, read within the limit."""
    tracemalloc.start()
    try:
        return import_onnx(data, direct_builder())
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < LIMIT


def model_of(nodes: list[Any], constants: dict[str, Any] | None = None, **options: Any) -> ModelProto:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    weights = [numpy_helper.from_array(np.asarray(value), name) for name, value in (constants or {}).items()]
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)]
    return helper.make_model(helper.make_graph(nodes, "g", [x], [y], weights), opset_imports=opsets, **options)


VALID = model_of(
    [
        node("Shape", ["x"], ["s"]),
        node("ConstantOfShape", ["s"], ["c"], value=numpy_helper.from_array(np.ones(1, np.float32))),
        node("MatMul", ["x", "w"], ["m"]),
        node("Slice", ["m", "start", "end"], ["p"]),
        node("Softmax", ["p"], ["q"], axis=-1),
        node("Add", ["q", "b"], ["r"]),
        node("Reshape", ["r", "shape"], ["t"]),
        node("Concat", ["t", "c"], ["y"], axis=1),
    ],
    {
        "w": np.ones((4, 300), np.float32),
        "b": np.ones(4, np.float32),
        "start": np.array([0, 2]),
        "end": np.array([1, 6]),
        "shape": np.array([1, -1]),
    },
).SerializeToString()


def test_the_model_that_is_damaged_below_is_valid() -> None:
    assert read(VALID)["y"].shape == (1, 8)


@pytest.mark.parametrize("size", [*range(0, 120, 7), *range(120, len(VALID), 211)])
def test_a_file_that_is_cut_off_is_refused(size: int) -> None:
    with pytest.raises(MLError):
        read(VALID[:size])


@settings(max_examples=150)
@given(st.lists(st.tuples(st.integers(0, len(VALID) - 1), st.binary(max_size=4), st.integers(0, 4)), max_size=5))
def test_bytes_that_changed_give_an_error_or_a_graph(changes: list[tuple[int, bytes, int]]) -> None:
    data = bytearray(VALID)
    for place, put, dropped in changes:
        data[place : place + dropped] = put
    with contextlib.suppress(MLError):
        read(bytes(data))


NUMBERS = st.one_of(st.integers(-3, 5), st.sampled_from([2**31 - 1, 2**31, -(2**31), 2**63 - 1, -(2**63), 10**6]))


@settings(max_examples=150)
@given(st.data())
def test_structures_that_changed_give_an_error_or_a_graph(data: st.DataObject) -> None:
    model = ModelProto.FromString(VALID)
    for _ in range(data.draw(st.integers(1, 3))):
        chosen = data.draw(st.sampled_from(list(model.graph.node)))
        match data.draw(st.sampled_from(["type", "input", "attribute", "constant", "shape", "output"])):
            case "type":
                types = [
                    "Expand",
                    "Tile",
                    "Pad",
                    "Range",
                    "Gather",
                    "OneHot",
                    "Conv",
                    "Resize",
                    "TopK",
                    "EyeLike",
                    "If",
                    "Loop",
                    "Scan",
                    "GridSample",
                    "ScatterND",
                    "ScatterElements",
                    "MaxUnpool",
                    "Col2Im",
                    "STFT",
                    "DFT",
                    "Det",
                    "CumProd",
                    "BitwiseAnd",
                ]
                chosen.op_type = data.draw(st.sampled_from(types))
            case "input":
                names = ["x", "w", "b", "start", "shape", "c", "q", "y", ""]
                chosen.input[:] = data.draw(st.lists(st.sampled_from(names), max_size=4))
            case "attribute":
                name = data.draw(st.sampled_from(["axis", "to", "axes", "perm", "k", "blocksize", "kernel_shape"]))
                number = data.draw(st.one_of(NUMBERS, st.lists(NUMBERS, min_size=1, max_size=4)))
                chosen.attribute.append(helper.make_attribute(name, number))
            case "constant":
                tensor = data.draw(st.sampled_from(list(model.graph.initializer)))
                numbers = data.draw(st.lists(NUMBERS, max_size=4))
                tensor.CopyFrom(numpy_helper.from_array(np.array(numbers, np.int64), tensor.name))
            case "shape":
                tensor = data.draw(st.sampled_from(list(model.graph.initializer)))
                tensor.dims[:] = data.draw(st.lists(NUMBERS, max_size=4))
            case _:
                chosen.output[:] = data.draw(st.lists(st.sampled_from(["y", "m", "s", "new"]), max_size=2))
    with contextlib.suppress(MLError):
        read(model.SerializeToString())


def repeated(*inner: Any) -> Any:
    """A loop of 1000 iterations, which collects what the nodes inside make of constants."""
    infos = [helper.make_tensor_value_info("i", TensorProto.INT64, []), helper.make_tensor_value_info("c", 9, [])]
    results = [helper.make_tensor_value_info("d", 9, []), helper.make_tensor_value_info("part", 1, None)]
    body = helper.make_graph([node("Identity", ["c"], ["d"]), *inner], "body", infos, results)
    return node("Loop", ["count", ""], ["y"], body=body)


@pytest.mark.parametrize(
    "loop",
    [
        repeated(node("Expand", ["one", "huge"], ["part"])),
        repeated(node("Expand", ["one", "shape"], ["e"]), node("Exp", ["e"], ["part"])),
        repeated(node("CumSum", ["one", "zero"], ["part"])),
        repeated(node("Tile", ["one", "shape"], ["part"])),
    ],
)
def test_loops_are_unrolled_in_bounded_memory(loop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "_BYTES", LIMIT // 4)
    constants = {
        "count": np.array(1_000),
        "one": np.ones((1, 1), np.float32),
        "huge": np.array([20000, 20000]),
        "shape": np.array([200, 200]),
        "zero": np.array(0),
    }
    with contextlib.suppress(MLError):
        read(model_of([loop], constants))


def test_a_node_that_needs_its_own_output_is_named() -> None:
    nodes = [node("Add", ["x", "b"], ["a"]), node("Relu", ["a"], ["b"]), node("Relu", ["b"], ["y"])]
    with pytest.raises(DataError, match=r"node [ab] \((Add|Relu)\) depends on its own output"):
        read(model_of(nodes))


def test_two_nodes_cannot_compute_one_value() -> None:
    with pytest.raises(DataError, match="both compute y"):
        read(model_of([node("Relu", ["x"], ["y"]), node("Neg", ["x"], ["y"])]))


@pytest.mark.parametrize(
    "nodes",
    [
        [node("ConstantOfShape", ["huge"], ["c"]), node("Add", ["x", "c"], ["y"])],
        [node("Expand", ["one", "huge"], ["c"]), node("Exp", ["c"], ["y"])],
        [node("Tile", ["one", "huge"], ["y"])],
        [node("Range", ["zero", "many", "step"], ["c"]), node("Cast", ["c"], ["y"], to=TensorProto.FLOAT)],
        [node("OneHot", ["zero", "many", "pair"], ["y"])],
        [node("Pad", ["one", "around"], ["y"])],
        [node("Expand", ["row", "huge"], ["c"]), node("MatMul", ["c", "c"], ["y"])],
        [node("ConstantOfShape", ["huge"], ["c"]), node("NonZero", ["c"], ["d"]), node("Relu", ["d"], ["y"])],
        [node("MatMul", ["tall", "wide"], ["c"]), node("Relu", ["c"], ["y"])],
        [node("Einsum", ["tall", "wide"], ["c"], equation="ij,jk->ik"), node("Relu", ["c"], ["y"])],
        [node("Gemm", ["tall", "wide"], ["c"]), node("Relu", ["c"], ["y"])],
    ],
)
def test_a_few_bytes_that_ask_for_gigabytes_take_no_memory(nodes: list[Any]) -> None:
    constants = {
        "huge": np.array([20000, 20000]),
        "one": np.ones((1, 1), np.float32),
        "row": np.ones((1, 20000), np.float32),
        "tall": np.ones((20000, 0), np.float32),
        "wide": np.ones((0, 20000), np.float32),
        "zero": np.array(0),
        "many": np.array(2**40),
        "step": np.array(1),
        "pair": np.float32([0, 1]),
        "around": np.array([20000] * 4),
    }
    with contextlib.suppress(MLError):
        read(model_of(nodes, constants))


@pytest.mark.parametrize("dims", [[2**31, 2**31], [2**62, 4], [-1], [0, -5], [10**9]])
def test_tensors_that_do_not_hold_their_declared_elements_are_refused(dims: list[int]) -> None:
    model = model_of([node("Add", ["x", "w"], ["y"])])
    model.graph.initializer.append(TensorProto(name="w", data_type=1, dims=dims, raw_data=b"\0\0\0\0"))
    with pytest.raises(DataError, match="tensor 'w'"):
        read(model)
    model.graph.initializer[0].ClearField("raw_data")
    model.graph.initializer[0].float_data.append(1.0)
    with pytest.raises(DataError, match="tensor 'w'"):
        read(model)


def doubled(name: str, inner: str) -> FunctionProto:
    calls = [node(inner, ["a"], ["b"], domain="local"), node(inner, ["b"], ["c"], domain="local")]
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)]
    return helper.make_function("local", name, ["a"], ["c"], calls, opsets)


def test_functions_that_call_each_other_do_so_to_a_limit() -> None:
    model = model_of([node("F0", ["x"], ["y"], domain="local")], functions=[doubled("F0", "F0")])
    with pytest.raises(DataError, match="nested more than 24 deep"):
        read(model)


def test_graphs_inside_of_graphs_are_followed_to_a_limit() -> None:
    graph = helper.make_graph(
        [node("Relu", ["x"], ["z"])], "innermost", [], [helper.make_tensor_value_info("z", 1, None)]
    )
    for depth in range(30):
        branch = node("If", ["true"], [f"z{depth}"])
        for name in ("then_branch", "else_branch"):
            branch.attribute.append(AttributeProto(name=name, type=AttributeProto.GRAPH, g=graph))
            if depth:
                break
        graph = helper.make_graph([branch], "g", [], [helper.make_tensor_value_info(f"z{depth}", 1, None)])
    model = model_of([*graph.node, node("Relu", ["z29"], ["y"])], {"true": np.array(True)})
    with pytest.raises(DataError, match=r"nested|cannot be read"):
        read(model.SerializeToString())


def test_names_that_are_not_utf_8_are_reported() -> None:
    data = (
        model_of([node("NonMaxSuppression", ["x"], ["y"], name="NAME")])
        .SerializeToString()
        .replace(b"NAME", b"\xff\xfe\x00\n")
    )
    with pytest.raises((DataError, OnnxNotSupportedError)):
        read(data)
