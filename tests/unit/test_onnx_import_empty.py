"""Arrays without elements inside a model, compared with ONNX Runtime: no WebNN operand can be one."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from tests.direct import direct_builder
from tests.onnx_nodes import Fixed, by_onnxruntime, check_node, computed, node_model, random
from webnn.backends.base import Backend
from webnn.formats.onnx import import_onnx
from webnn.formats.onnx.importing.problems import OnnxNotSupportedError

X = random(0, 2, 3)


def none(*shape: int, dtype: Any = np.float32) -> Fixed:
    """An initializer without elements."""
    return Fixed(np.zeros(shape, dtype))


INDICES = none(0, 1, dtype=np.int64)


@pytest.mark.parametrize(
    ("op_type", "inputs", "options"),
    [
        ("Add", [X, none(0, 1, 1)], {}),
        ("Compress", [X, Fixed(np.array([False, False]))], {"axis": 0}),
        ("Einsum", [X, none(3, 0)], {"equation": "ij,jk->ik"}),
        ("Gather", [X, INDICES], {"axis": 1}),
        ("GatherElements", [X, none(0, 3, dtype=np.int64)], {}),
        ("GatherND", [X, INDICES], {}),
        ("LayerNormalization", [none(0, 3), Fixed(np.ones(3, np.float32))], {}),
        ("MatMul", [none(4, 0, 2), X], {}),
        ("Sum", [none(0, 3), X[:1]], {}),
        ("TopK", [X, Fixed(np.array([0]))], {"axis": 0, "outputs": (True, True)}),
        ("Transpose", [none(0, 3)], {}),
        ("Where", [X > 0, none(1, 0, 1, 1), X], {}),
    ],
)
def test_what_is_left_without_elements_is_known(
    backend: Backend, op_type: str, inputs: list[Any], options: dict[str, Any]
) -> None:
    model, feeds = node_model(op_type, inputs, **options)
    for i, info in enumerate(model.graph.output):
        model.graph.node.append(helper.make_node("Shape", [info.name], [f"shape{i}"]))
    shapes = [onnx.ValueInfoProto(name=f"shape{i}") for i in range(len(model.graph.output))]
    del model.graph.output[:]
    model.graph.output.extend(shapes)
    for result, wanted in zip(computed(model, feeds, backend), by_onnxruntime(model, feeds), strict=True):
        assert 0 in wanted
        np.testing.assert_array_equal(result, wanted)


@pytest.mark.parametrize("dtype", [np.float32, np.int64])
@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize(
    "op_type", ["ReduceL1", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare"]
)
def test_reductions_of_nothing_are_those_of_onnxruntime(
    backend: Backend, op_type: str, keepdims: int, dtype: Any
) -> None:
    for axes in ([1], [0, 1]):
        inputs = [none(2, 0, dtype=dtype), Fixed(np.array(axes))]
        check_sums_of_nothing(backend, op_type, inputs, keepdims=keepdims)


@pytest.mark.parametrize(
    ("op_type", "inputs", "options"),
    [
        ("Einsum", [none(2, 0), none(0, 3)], {"equation": "ij,jk->ik"}),
        ("Einsum", [none(2, 0), none(0, 3), random(1, 3, 4)], {"equation": "ij,jk,kl->il"}),
        ("Einsum", [none(2, 0)], {"equation": "ij->i"}),
        ("Gemm", [none(2, 0), none(0, 3)], {}),
        ("Gemm", [none(2, 0), none(0, 3), X], {}),
        ("Gemm", [none(0, 2), none(3, 0), X[0]], {"transA": 1, "transB": 1, "alpha": 3.0, "beta": 2.0}),
        ("Gemm", [none(2, 0), none(0, 3), Fixed(X[0])], {"beta": 2.0}),
        ("MatMul", [none(4, 2, 0), none(0, 3)], {}),
    ],
)
def test_products_over_nothing_are_sums_of_nothing(
    backend: Backend, op_type: str, inputs: list[Any], options: dict[str, Any]
) -> None:
    check_sums_of_nothing(backend, op_type, inputs, **options)


def check_sums_of_nothing(backend: Backend, op_type: str, inputs: list[Any], **options: Any) -> None:
    model, feeds = node_model(op_type, inputs, **options)
    # The results are known, and a graph must compute something.
    model.graph.node.append(helper.make_node("Identity", ["x"], ["y"]))
    model.graph.input.append(helper.make_tensor_value_info("x", 1, (2,)))
    model.graph.output.append(onnx.ValueInfoProto(name="y"))
    feeds["x"] = np.ones(2, np.float32)
    for result, wanted in zip(computed(model, feeds, backend), by_onnxruntime(model, feeds), strict=True):
        assert wanted.size
        np.testing.assert_array_equal(result, wanted)
        assert result.shape == wanted.shape


def test_a_cache_without_elements_is_computed_with_until_it_is_joined(backend: Backend) -> None:
    nodes = [
        helper.make_node("Mul", ["past", "scale"], ["scaled"]),
        helper.make_node("MatMul", ["scaled", "weight"], ["keys"]),
        helper.make_node("Concat", ["keys", "x"], ["y"], axis=1),
    ]
    _, feeds = node_model("Identity", [random(1, 1, 4, 3)])
    info = helper.make_tensor_value_info("input0", 1, (1, 4, 3))
    initializers = [("past", np.zeros((1, 0, 3))), ("weight", np.ones((3, 3)))]
    graph = helper.make_graph(
        [helper.make_node("ReduceMax", ["input0"], ["scale"]), helper.make_node("Identity", ["input0"], ["x"]), *nodes],
        "cache",
        [info],
        [onnx.ValueInfoProto(name="y")],
        [onnx.numpy_helper.from_array(array.astype(np.float32), name) for name, array in initializers],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    np.testing.assert_array_equal(computed(model, feeds, backend)[0], by_onnxruntime(model, feeds)[0])


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize(("shape", "batch"), [((0,), 0), ((4, 0), 0), ((2, 5, 0), 1), ((2, 3, 0), 2)])
def test_coordinates_without_numbers_are_for_all_of_it(
    backend: Backend, fixed: bool, shape: tuple[int, ...], batch: int
) -> None:
    x = Fixed(X) if fixed else X
    check_node(backend, "GatherND", [x, none(*shape, dtype=np.int64)], batch_dims=batch)


@pytest.mark.parametrize(
    ("op_type", "inputs"),
    [
        ("ScatterElements", [X, none(0, 3, dtype=np.int64), none(0, 3)]),
        ("ScatterND", [X, INDICES, none(0, 3)]),
    ],
)
@pytest.mark.parametrize("reduction", ["none", "add"])
def test_without_updates_nothing_changes(backend: Backend, op_type: str, inputs: list[Any], reduction: str) -> None:
    check_node(backend, op_type, inputs, reduction=reduction, version=18)


def test_what_has_elements_of_its_own_is_still_reported() -> None:
    model, _ = node_model("Conv", [none(1, 0, 4, 4), none(2, 0, 3, 3), random(1, 2)])
    with pytest.raises(OnnxNotSupportedError, match=r"\(Conv\): a value of shape \[1, 0, 4, 4\] has no elements"):
        import_onnx(model, direct_builder())


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
@pytest.mark.parametrize("op_type", ["ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum"])
def test_reductions_of_no_elements_are_what_onnxruntime_gives(backend: Backend, op_type: str, dtype: Any) -> None:
    check_node(backend, op_type, [none(2, 0, dtype=dtype)], keepdims=0, version=12, tolerance=0)
    check_node(backend, op_type, [none(0, 2, dtype=dtype)], axes=[0], version=12, tolerance=0)


@pytest.mark.parametrize(
    ("op_type", "inputs"),
    [
        ("Tile", [X, Fixed(np.array([0, 1]))]),
        ("Pad", [X, Fixed(np.array([-2, 0, 0, 0]))]),
        ("Expand", [X[:, :1], Fixed(np.array([2, 0]))]),
        ("Resize", [X, None, Fixed(np.array([0.25, 1], np.float32))]),
    ],
)
def test_what_a_node_leaves_without_elements_is_joined_with_others(
    backend: Backend, op_type: str, inputs: list[Any]
) -> None:
    model, feeds = node_model(op_type, inputs)
    joined = helper.make_node("Concat", ["output0", "more"], ["joined"], axis=0 if op_type != "Expand" else 1)
    model.graph.node.append(joined)
    model.graph.initializer.append(onnx.numpy_helper.from_array(X, "more"))
    model.graph.output[0].name = "joined"
    for result, wanted in zip(computed(model, feeds, backend), by_onnxruntime(model, feeds), strict=True):
        np.testing.assert_array_equal(result, wanted)


@pytest.mark.parametrize(("size", "parts"), [(1, 2), (3, 4), (6, 4)])
def test_parts_that_get_no_elements_are_left_out(backend: Backend, size: int, parts: int) -> None:
    x, part = random(0, size), -(-size // parts)
    read = [part * i < size for i in range(parts)]
    model, feeds = node_model("Split", [x], outputs=read, num_outputs=parts)
    for i, result in enumerate(computed(model, feeds, backend)):
        np.testing.assert_array_equal(result, x[part * i : part * (i + 1)])
