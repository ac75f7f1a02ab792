"""Scatters that share their indices: written by coordinates, which are computed once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import webnn
from tests.direct import direct_builder, run_executable, run_graph
from webnn.backends.arrays.backend import ArraysBackend
from webnn.backends.base import Cancellation, CompileOptions
from webnn.backends.onnx.lower import lower
from webnn.backends.onnxruntime.backend import OnnxRuntimeBackend
from webnn.backends.onnxruntime.kernels import cpu_kernels
from webnn.backends.onnxruntime.passes.pipeline import prepared
from webnn.backends.onnxruntime.passes.scatters_of_few_elements import scatters_of_few_elements
from webnn.graph.composites.composite import expanded
from webnn.graph.ir import Graph

SHAPE = (2, 3, 5, 4)
RANDOM = np.random.default_rng(0)


def scatters(  # noqa: PLR0917 (all that may differ between two scatters)
    at: tuple[int, ...] = (2, 3, 1, 4),
    axis: int = 2,
    shape: tuple[int, ...] = SHAPE,
    data_type: Any = "float32",
    indices: Any = "int64",
    count: int = 2,
) -> Graph:
    b = direct_builder()
    places = b.input("places", at, indices)
    return b.build(
        {
            f"y{i}": b.scatter_elements(
                b.input(f"x{i}", shape, data_type), places, b.input(f"u{i}", at, data_type), axis=axis
            )
            for i in range(count)
        }
    )


def nodes_of(graph: Graph) -> list[str]:
    model = lower(prepared(graph), cpu_kernels())
    return sorted(node.op_type for node in model.finish().graph.node)


@pytest.mark.parametrize("indices", ["int32", "int64", "uint32"])
@pytest.mark.parametrize("data_type", ["float32", "float16", "int8", "int64"])
@pytest.mark.parametrize(("at", "axis"), [((2, 3, 1, 4), 2), ((2, 3, 7, 4), 2), ((2, 3, 5, 4), 3), ((2, 3, 5, 4), 0)])
def test_results_are_the_same_to_the_bit(at: tuple[int, ...], axis: int, data_type: str, indices: str) -> None:
    graph = scatters(at, axis, data_type=data_type, indices=indices)
    low = 0 if indices == "uint32" else -2 * SHAPE[axis]
    feeds: dict[str, Any] = {"places": RANDOM.integers(low, 2 * SHAPE[axis], at).astype(indices)}
    for name, operand in graph.inputs.items():
        if name != "places":
            feeds[name] = RANDOM.integers(-100, 100, operand.shape).astype(data_type)
    assert "scatter_nd" in {node.op for node in scatters_of_few_elements(graph).nodes}
    ours = run_graph(graph, feeds, OnnxRuntimeBackend())
    for name, expected in run_graph(graph, feeds, ArraysBackend()).items():
        np.testing.assert_array_equal(ours[name], expected)


def test_the_coordinates_are_computed_once_and_held_in_range_once() -> None:
    assert nodes_of(scatters(count=4)) == ["Clip", "Concat", "Reshape", *["ScatterND"] * 4]


# The shapes of the tensor and of the indices, and the axis.
ROWS = ((2, 4, 16, 64), (2, 4, 1, 64), 2)
SEVERAL_ROWS = ((2, 4, 16, 32), (2, 4, 3, 32), 2)
ROWS_OF_HEADS = ((2, 16, 4, 64), (2, 1, 4, 64), 1)
SEVERAL_MATRICES = ((2, 5, 3, 4, 32), (2, 2, 3, 4, 32), 1)


@pytest.mark.parametrize(("shape", "at", "axis"), [ROWS, SEVERAL_ROWS, ROWS_OF_HEADS, SEVERAL_MATRICES])
@pytest.mark.parametrize("indices", ["int32", "int64", "uint32"])
@pytest.mark.parametrize("data_type", ["float32", "float16", "int64"])
def test_slices_are_written_where_the_indices_allow_it(
    shape: tuple[int, ...], at: tuple[int, ...], axis: int, indices: str, data_type: str
) -> None:
    """Negative indices, those out of range and equal ones included; and those that differ within a slice."""
    graph = scatters(at, axis, shape, data_type, indices)
    prepared = scatters_of_few_elements(graph)
    assert [n.attributes["by_slices"] for n in prepared.nodes if n.op == "scatter_coordinates"] == [True]
    compiled = OnnxRuntimeBackend().compile(graph, CompileOptions(), Cancellation())
    low = 0 if indices == "uint32" else -2 * shape[axis]
    of_slices = RANDOM.integers(low, 2 * shape[axis], at[: axis + 1])
    even = np.broadcast_to(of_slices.reshape(*of_slices.shape, *[1] * (len(at) - axis - 1)), at).astype(indices)
    uneven = even.copy()
    uneven[(-1,) * len(at)] = 3 if uneven.flat[-1] not in {3, 3 - shape[axis]} else 2
    feeds: dict[str, Any] = {
        name: RANDOM.integers(-100, 100, operand.shape).astype(data_type) for name, operand in graph.inputs.items()
    }
    for places in (even, uneven, RANDOM.integers(low, 2 * shape[axis], at).astype(indices), even):
        feeds["places"] = places
        expected = run_graph(graph, feeds, ArraysBackend())
        for name, array in run_executable(compiled, feeds).items():
            np.testing.assert_array_equal(array, expected[name])


def test_a_scatter_of_several_rows_writes_slices_even_if_it_is_the_only_one() -> None:
    graph = scatters((8, 1, 128), 1, (8, 16, 128), count=1)
    assert nodes_of(graph) == ["Clip", "Equal", "If", "ReduceMax", "ReduceMax", "ReduceMin", "ScatterND", "Sub"]


def test_inputs_may_have_the_names_of_values_in_the_branches() -> None:
    b = direct_builder()
    places = b.input("column", [8, 1, 128], "int64")
    x, u = b.input("of_slices", [8, 16, 128], "float32"), b.input("of_elements", [8, 1, 128], "float32")
    graph = b.build({"y": b.scatter_elements(x, places, u, axis=1)})
    feeds = {"column": np.full([8, 1, 128], 3), "of_slices": np.zeros(x.shape), "of_elements": np.ones(u.shape)}
    feeds |= {name: feeds[name].astype(np.float32) for name in ("of_slices", "of_elements")}
    result = run_graph(graph, feeds, OnnxRuntimeBackend())["y"]
    np.testing.assert_array_equal(result, run_graph(graph, feeds, ArraysBackend())["y"])


def test_the_expansion_of_the_coordinates_is_that_of_single_elements() -> None:
    graph = scatters(ROWS[1], ROWS[2], ROWS[0])
    feeds: dict[str, Any] = {name: np.ones(operand.shape, np.float32) for name, operand in graph.inputs.items()}
    feeds["places"] = RANDOM.integers(-16, 16, ROWS[1])
    spelled_out = expanded(scatters_of_few_elements(graph))
    for name, expected in run_graph(graph, feeds, ArraysBackend()).items():
        np.testing.assert_array_equal(run_graph(spelled_out, feeds, ArraysBackend())[name], expected)


@pytest.mark.parametrize(
    "graph",
    [
        scatters(count=1),
        scatters((3,), 0, (5,)),
        scatters((2, 3, 1, 1024), shape=(2, 3, 5, 1024)),
        scatters((4, 9, 5, 64), 3, (4, 9, 5, 65), count=1),
    ],
    ids=["one scatter", "one dimension", "many elements", "one scatter of single elements"],
)
def test_others_stay(graph: Graph) -> None:
    assert scatters_of_few_elements(graph) is graph


def test_scatters_along_different_axes_or_into_other_shapes_stay() -> None:
    b = direct_builder()
    places, updates = b.input("places", [2, 2], "int64"), b.input("u", [2, 2], "float32")
    x, longer = b.input("x", [2, 2], "float32"), b.input("longer", [2, 9], "float32")
    graph = b.build(
        {
            "a": b.scatter_elements(x, places, updates, axis=0),
            "b": b.scatter_elements(x, places, updates, axis=1),
            "c": b.scatter_elements(longer, places, updates, axis=1),
        }
    )
    assert scatters_of_few_elements(graph) is graph


def test_they_still_write_in_place() -> None:
    with webnn.create_context(accelerated=False) as context:
        builder = context.create_graph_builder()
        places = builder.input("places", [4, 1, 64], "int64")
        new = {
            f"new{i}": builder.scatter_elements(
                builder.input(f"x{i}", [4, 128, 64], "float32"),
                places,
                builder.input(f"u{i}", [4, 1, 64], "float32"),
                axis=1,
            )
            for i in range(2)
        }
        graph = builder.build(new)
        tensors = {
            n: context.create_tensor(d.shape, d.data_type, readable=True, writable=True)
            for n, d in graph.inputs.items()
        }
        for step in range(3):
            context.write_tensor(tensors["places"], np.full([4, 1, 64], step))
            for i in range(2):
                context.write_tensor(tensors[f"u{i}"], np.full([4, 1, 64], step + i + 1, np.float32))
            context.dispatch(graph, tensors, {f"new{i}": tensors[f"x{i}"] for i in range(2)})
        for i in range(2):
            expected = np.zeros([4, 128, 64], np.float32)
            expected[:, :3] = (np.arange(3) + i + 1)[:, None]
            np.testing.assert_array_equal(context.read_tensor(tensors[f"x{i}"]).result(), expected)
        assert context.statistics().donated >= 4
        assert "scatters of few elements" in str(graph.explain())
