"""Gathering and scattering, compared with loops over single elements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.direct import direct_builder, run_graph
from webnn.backends.base import Backend
from webnn.backends.onnx.lower import lower
from webnn.backends.onnxruntime.kernels import cpu_kernels
from webnn.errors import ValidationError
from webnn.graph.builder import MLGraphBuilder
from webnn.graph.dtypes import ALL, INDICES, DataType, numpy_dtype
from webnn.graph.ir import Graph
from webnn.graph.operand import MLOperand

Array = np.ndarray[Any, Any]
Builder = MLGraphBuilder[Graph]
Shape = tuple[int, ...]


def at(index: Any, size: int) -> int:
    """Where an index points to: negative ones count from the end, then it is clamped."""
    from_start = int(index) + size if index < 0 else int(index)
    return min(max(from_start, 0), size - 1)


def gather(x: Array, indices: Array, axis: int = 0) -> Array:
    rows = [np.take(x, at(i, x.shape[axis]), axis) for i in indices.flat]
    return np.stack(rows, axis).reshape((*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]))


def gather_elements(x: Array, indices: Array, axis: int = 0) -> Array:
    result = np.empty(indices.shape, x.dtype)
    for where in np.ndindex(indices.shape):
        result[where] = x[(*where[:axis], at(indices[where], x.shape[axis]), *where[axis + 1 :])]
    return result


def scatter_elements(x: Array, indices: Array, updates: Array, axis: int = 0) -> Array:
    result = x.copy()
    for where in np.ndindex(indices.shape):
        result[(*where[:axis], at(indices[where], x.shape[axis]), *where[axis + 1 :])] = updates[where]
    return result


def gather_nd(x: Array, indices: Array) -> Array:
    result = np.empty((*indices.shape[:-1], *x.shape[indices.shape[-1] :]), x.dtype)
    for where in np.ndindex(indices.shape[:-1]):
        result[where] = x[tuple(at(i, size) for i, size in zip(indices[where], x.shape, strict=False))]
    return result


def scatter_nd(x: Array, indices: Array, updates: Array) -> Array:
    result = x.copy()
    for where in np.ndindex(indices.shape[:-1]):
        result[tuple(at(i, size) for i, size in zip(indices[where], x.shape, strict=False))] = updates[where]
    return result


def values(shape: Shape, data_type: DataType, seed: int = 0) -> Array:
    dtype = numpy_dtype(data_type)
    random = np.random.default_rng(seed)
    if dtype.kind == "f":
        return np.asarray(random.normal(size=shape), dtype)
    info = np.iinfo(dtype)
    return np.asarray(random.integers(info.min, info.max, shape, dtype, endpoint=True))


def wild(shape: Shape, data_type: DataType, seed: int = 0) -> Array:
    """Indices in range, out of range on both sides, and as far out as the type goes."""
    info = np.iinfo(numpy_dtype(data_type))
    random = np.random.default_rng(seed)
    near = random.integers(0 if info.min == 0 else -6, 6, shape)
    far = random.choice([int(info.min), int(info.max)], shape)
    return np.asarray(np.where(random.random(shape) < 0.2, far, near), numpy_dtype(data_type))


CASES: list[tuple[str, Shape, Shape, dict[str, int]]] = [
    ("gather", (4,), (3,), {}),
    ("gather", (4,), (), {}),
    ("gather", (3, 4), (), {"axis": 1}),
    ("gather", (2, 4, 3), (2, 3), {"axis": 1}),
    ("gather", (4,), (1, 2, 1, 2, 1, 2, 1, 1), {}),
    ("gather", (2, 1, 2, 1, 2, 1, 1, 4), (3,), {"axis": 7}),
    ("gather_elements", (4,), (6,), {}),
    ("gather_elements", (2, 4, 3), (2, 2, 3), {"axis": 1}),
    ("gather_elements", (2, 1, 2, 1, 2, 1, 1, 4), (2, 1, 2, 1, 2, 1, 1, 5), {"axis": 7}),
    ("gather_nd", (4,), (1,), {}),
    ("gather_nd", (4, 3), (2, 2), {}),
    ("gather_nd", (3, 3), (4, 2), {}),
    ("gather_nd", (4, 3, 2), (2, 3, 1), {}),
    ("gather_nd", (2, 1, 3, 1, 2, 1, 1, 4), (2, 8), {}),
    ("gather_nd", (4,), (1, 2, 1, 2, 1, 2, 3, 1), {}),
    ("scatter_elements", (4,), (6,), {}),
    ("scatter_elements", (2, 4, 3), (2, 2, 3), {"axis": 1}),
    ("scatter_elements", (1, 2, 4, 3), (1, 2, 1, 3), {"axis": 2}),
    ("scatter_elements", (2, 1, 2, 1, 2, 1, 1, 4), (2, 1, 2, 1, 2, 1, 1, 5), {"axis": 7}),
    ("scatter_nd", (4,), (1,), {}),
    ("scatter_nd", (4, 3), (5, 2), {}),
    ("scatter_nd", (4, 3, 2), (2, 3, 1), {}),
    ("scatter_nd", (2, 1, 3, 1, 2, 1, 1, 4), (2, 8), {}),
    ("scatter_nd", (4,), (1, 2, 1, 2, 1, 2, 3, 1), {}),
]
LOOPS: dict[str, Callable[..., Array]] = {
    "gather": gather,
    "gather_elements": gather_elements,
    "gather_nd": gather_nd,
    "scatter_elements": scatter_elements,
    "scatter_nd": scatter_nd,
}


@pytest.mark.parametrize(("op", "shape", "indices_shape", "options"), CASES)
def test_any_index_reads_or_writes_inside_the_input(
    op: str, shape: Shape, indices_shape: Shape, options: dict[str, int], backend: Backend
) -> None:
    builder = direct_builder(backend)
    feeds, outputs, expected = {}, {}, {}
    indices = {index_type: wild(indices_shape, index_type, seed) for seed, index_type in enumerate(INDICES)}
    given = {index_type: builder.input(index_type, indices_shape, index_type) for index_type in INDICES}
    fixed = {index_type: builder.constant(array) for index_type, array in indices.items()}
    for data_type in ALL:
        arrays = [values(shape, data_type)]
        if op == "scatter_elements":
            arrays.append(values(indices_shape, data_type, seed=1))
        elif op == "scatter_nd":
            arrays.append(values((*indices_shape[:-1], *shape[indices_shape[-1] :]), data_type, seed=1))
        x, *updates = (builder.input(f"{data_type} {i}", a.shape, data_type) for i, a in enumerate(arrays))
        feeds.update({f"{data_type} {i}": array for i, array in enumerate(arrays)})
        for index_type in INDICES:
            wanted = LOOPS[op](arrays[0], indices[index_type], *arrays[1:], **options)
            for name, operand in (("input", given[index_type]), ("constant", fixed[index_type])):
                key = f"{data_type} at {index_type} {name}"
                outputs[key] = getattr(builder, op)(x, operand, *updates, **options)
                expected[key] = wanted
                assert outputs[key].shape == wanted.shape
    results = run_graph(builder.build(outputs), feeds | indices, backend)
    wrong = [key for key in expected if results[key].tobytes() != expected[key].tobytes()]
    assert not wrong


def test_of_many_updates_of_one_element_the_last_one_stays(backend: Backend) -> None:
    builder = direct_builder(backend)
    count = 50_000
    indices = np.random.default_rng(0).integers(-4, 4, (count, 1), np.int32)
    updates = np.arange(count, dtype=np.int32).reshape(count, 1)
    x, i, u = (
        builder.input(name, shape, "int32") for name, shape in (("x", [4, 1]), ("i", [count, 1]), ("u", [count, 1]))
    )
    outputs = {"elements": builder.scatter_elements(x, i, u), "slices": builder.scatter_nd(x, i, u)}
    results = run_graph(builder.build(outputs), {"x": np.zeros((4, 1)), "i": indices, "u": updates}, backend)
    last = [[int(updates[indices % 4 == row].max())] for row in range(4)]
    assert results["elements"].tolist() == last
    assert results["slices"].tolist() == last


@pytest.mark.parametrize("is_constant", [False, True])
@pytest.mark.parametrize("size", [16, 2**14])
def test_large_scatters_settle_on_the_last_slice(size: int, is_constant: bool, backend: Backend) -> None:
    builder = direct_builder(backend)
    x = builder.input("x", [2, 3, size], "float32")
    indices = np.array([[[0, 0], [1, 2], [0, -3], [1, -1]], [[-1, 2], [0, 1], [-9, 1], [0, 9]]])
    i = builder.constant(indices) if is_constant else builder.input("i", [2, 4, 2], "int64")
    u = builder.input("u", [2, 4, size], "float32")
    updates = np.broadcast_to(np.arange(8, dtype=np.float32).reshape(2, 4, 1), (2, 4, size))
    feeds = {"x": np.full((2, 3, size), -1), "u": updates} | ({} if is_constant else {"i": indices})
    result = run_graph(builder.build({"y": builder.scatter_nd(x, i, u)}), feeds, backend)["y"]
    assert result[..., 0].tolist() == [[2, 6, 7], [-1, -1, 4]]
    assert (result == result[..., :1]).all()


def test_scattering_leaves_its_input_as_it_was(backend: Backend) -> None:
    builder = direct_builder(backend)
    x, i, u = (builder.input(name, [2], "int32") for name in "xiu")
    outputs = {
        "elements": builder.scatter_elements(x, i, u),
        "slices": builder.scatter_nd(x, builder.reshape(i, [2, 1]), u),
        "x": builder.identity(x),
    }
    results = run_graph(builder.build(outputs), {"x": [1, 2], "i": [1, 0], "u": [3, 4]}, backend)
    assert {name: result.tolist() for name, result in results.items()} == {
        "elements": [4, 3],
        "slices": [4, 3],
        "x": [1, 2],
    }


def op_types(make: Callable[[Builder], MLOperand]) -> list[str]:
    builder = direct_builder()
    model = lower(builder.build({"y": make(builder)}), cpu_kernels()).finish()
    return [node.op_type for node in model.graph.node]


@pytest.mark.parametrize(("places", "nodes"), [([0, -1, 2], []), ([0, -4, 2], ["Reshape", "Gather"])])
def test_constant_places_of_large_scatters_are_compared_when_they_are_compiled(
    places: list[int], nodes: list[str]
) -> None:
    size = 2**14

    def make(b: Builder) -> MLOperand:
        x, u = b.input("x", [4, size], "float32"), b.input("u", [3, size], "float32")
        return b.scatter_nd(x, b.constant(np.array(places)[:, None]), u)

    assert op_types(make) == [*nodes, "ScatterND"]


@pytest.mark.parametrize("index_type", INDICES)
def test_indices_cost_one_node_when_given_and_none_when_constant(index_type: DataType) -> None:
    dtype = numpy_dtype(index_type)
    casts = ["Cast"] if index_type == "uint32" else []
    step, far = np.full((1, 2, 1, 4), 5, dtype), np.full((1, 2, 1, 4), 99, dtype)

    def scatter(b: Builder, indices: MLOperand) -> MLOperand:
        cache, new = b.input("cache", [1, 2, 8, 4], "float32"), b.input("new", [1, 2, 1, 4], "float32")
        return b.scatter_elements(cache, indices, new, axis=2)

    assert op_types(lambda b: scatter(b, b.input("i", step.shape, index_type))) == ["Clip", *casts, "ScatterElements"]
    assert op_types(lambda b: scatter(b, b.constant(step))) == ["ScatterElements"]
    assert op_types(lambda b: scatter(b, b.constant(far))) == ["ScatterElements"]


@pytest.mark.parametrize(("count", "bounds"), [(50, [50, 2]), (5000, [2])])
def test_bounds_of_few_coordinates_are_as_many(count: int, bounds: list[int]) -> None:
    builder = direct_builder()
    x, i = builder.input("x", [4, 9], "float32"), builder.input("i", [count, 2], "int64")
    graph = lower(builder.build({"y": builder.gather_nd(x, i)}), cpu_kernels()).finish().graph
    assert [node.op_type for node in graph.node] == ["Min", "Max", "GatherND"]
    assert [list(tensor.dims) for tensor in graph.initializer] == [bounds, bounds]


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda b, x, i: b.gather(x, i, axis=2), r"axis 2 is out of range for shape \[2, 3\]"),
        (lambda b, x, i: b.gather(x, x), r"indices is float32, but must be int32 or uint32 or int64"),
        (lambda b, x, i: b.gather(b.input("s", [], "int8"), i), r"input \[\] has rank 0, but must have rank 1 to 8"),
        (lambda b, x, i: b.gather(x, b.input("j", [1] * 8, "int32")), r"has 9 dimensions; at most 8 are supported"),
        (lambda b, x, i: b.gather(x, b.input("j", [2**29 - 1], "int32")), r"takes \d+ bytes; at most 2147483647"),
        (lambda b, x, i: b.gather_elements(x, i, axis=2), r"axis 2 is out of range for shape \[2, 3\]"),
        (lambda b, x, i: b.gather_elements(x, x), r"indices is float32, but must be"),
        (
            lambda b, x, i: b.gather_elements(x, i),
            r"indices \[2, 1\] must have the shape of input \[2, 3\] except along ax",
        ),
        (lambda b, x, i: b.gather_elements(x, b.input("j", [2], "int32")), r"indices \[2\] must have the shape of inp"),
        (lambda b, x, i: b.gather_nd(x, b.input("j", [2, 3], "int32")), r"indices \[2, 3\] has 3 coordinates, but inp"),
        (lambda b, x, i: b.gather_nd(x, b.input("j", [], "int32")), r"indices \[\] has rank 0, but must have rank 1"),
        (
            lambda b, x, i: b.gather_nd(b.input("z", [1] * 3, "int8"), b.input("j", [1] * 8, "int32")),
            r"has 9 dimensions",
        ),
        (lambda b, x, i: b.scatter_elements(x, i, x, axis=2), r"axis 2 is out of range for shape \[2, 3\]"),
        (
            lambda b, x, i: b.scatter_elements(x, i, i, axis=1),
            r"updates is int32, but must have the data type of input",
        ),
        (
            lambda b, x, i: b.scatter_elements(x, i, x),
            r"indices \[2, 1\] must have the shape of input \[2, 3\] except along axis 0",
        ),
        (
            lambda b, x, i: b.scatter_elements(x, i, x, axis=1),
            r"updates \[2, 3\] must have the shape of indices, \[2, 1",
        ),
        (lambda b, x, i: b.scatter_nd(x, i, i), r"updates is int32, but must have the data type of input, float32"),
        (lambda b, x, i: b.scatter_nd(x, b.input("j", [2, 3], "int64"), x), r"has 3 coordinates, but input \[2, 3\]"),
        (lambda b, x, i: b.scatter_nd(x, i, b.input("u", [2], "float32")), r"updates \[2\] must be \[2, 3\] for input"),
    ],
)
def test_errors_name_what_was_given(call: Callable[[Builder, MLOperand, MLOperand], Any], match: str) -> None:
    builder = direct_builder()
    x, indices = builder.input("x", [2, 3], "float32"), builder.input("i", [2, 1], "int32")
    with pytest.raises(ValidationError, match=match):
        call(builder, x, indices)
