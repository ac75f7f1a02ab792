"""Scatter nodes, compared with ONNX Runtime and the reference evaluator."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.direct import direct_builder
from tests.onnx_nodes import Array, Fixed, by_reference, check_node, node_model, random
from webnn.backends.base import Backend
from webnn.errors import DataError
from webnn.formats.onnx import import_onnx
from webnn.formats.onnx.importing.problems import OnnxNotSupportedError
from webnn.graph.composites import scatter_reduce

REDUCTIONS = pytest.mark.parametrize("reduction", ["none", "add", "mul", "max", "min"])
KNOWN = pytest.mark.parametrize("known", [False, True])


def places(seed: int, size: int, *shape: int) -> Array:
    return np.random.default_rng(seed).integers(-size, size, shape)


@REDUCTIONS
@KNOWN
@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.int64])
def test_updates_of_elements_may_meet(backend: Backend, reduction: str, known: bool, axis: int, dtype: Any) -> None:
    x, updates = random(0, 5, 4, 3, dtype=dtype), random(1, 3, 4, 2, dtype=dtype)
    if dtype != np.float32:
        x, updates = x % 100, updates % 100
    indices = places(2, x.shape[axis], *updates.shape)
    if reduction == "none":
        indices = np.argsort(random(2, *updates.shape), axis=axis)
    check_node(
        backend,
        "ScatterElements",
        [x, Fixed(indices) if known else indices, updates],
        axis=axis,
        reduction=reduction,
        version=18,
    )


@REDUCTIONS
@KNOWN
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_updates_of_slices_may_meet(backend: Backend, reduction: str, known: bool, depth: int) -> None:
    x = random(0, 5, 4, 3)
    indices = np.stack([places(i, size, 2, 4) for i, size in enumerate(x.shape[:depth])], axis=-1)
    if reduction == "none":
        indices[..., 0] = np.arange(8).reshape(2, 4) % 5 - 5
        indices = indices[:1]
    updates = random(9, *indices.shape[:-1], *x.shape[depth:])
    given = Fixed(indices) if known else indices
    check_node(backend, "ScatterND", [x, given, updates], reduction=reduction, version=18)


def test_constant_places_that_differ_are_scattered_to(backend: Backend) -> None:
    x, updates = random(0, 4, 3), random(1, 2, 3)
    model, _ = node_model("ScatterND", [x, Fixed(np.array([[2], [0]])), updates], reduction="add", version=18)
    builder = direct_builder(backend)
    graph = builder.build(import_onnx(model, builder))
    assert [node.op for node in graph.nodes] == ["gather_nd", "add", "scatter_nd"]


def test_messages_of_a_graph_are_summed_at_its_nodes(backend: Backend) -> None:
    x, edges, messages = np.zeros((300, 16), np.float32), places(0, 300, 2000, 1) % 300, random(1, 2000, 16)
    check_node(backend, "ScatterND", [x, edges, messages], reduction="add", version=18)
    elements = np.broadcast_to(edges[:500], (500, 16)).copy()
    check_node(backend, "ScatterElements", [x, elements, messages[:500]], axis=0, reduction="add", version=18)


def test_infinite_updates_stay_where_they_are(backend: Backend) -> None:
    x, updates = np.zeros(6, np.float32), np.array([1, -np.inf, 2, np.inf], np.float32)
    check_node(backend, "ScatterND", [x, np.array([[1], [3], [1], [0]]), updates], reduction="add", version=18)


@pytest.mark.parametrize("reduction", ["add", "mul"])
@KNOWN
def test_reductions_of_truth_values_are_truth_values(backend: Backend, reduction: str, known: bool) -> None:
    x, updates = (random(i, 6, 3, dtype=np.uint8) % 2 == 1 for i in (0, 1))
    indices = places(2, 6, 6, 3)
    given = Fixed(indices) if known else indices
    check_node(backend, "ScatterElements", [x, given, updates], reduction=reduction, version=18)


def test_too_many_updates_to_compare_are_out_of_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scatter_reduce, "_COMPARED", 1000)
    x, indices, updates = random(0, 40, 3), places(1, 40, 30, 1), random(2, 30, 3)
    model, _ = node_model("ScatterND", [x, indices, updates], reduction="max", version=18)
    with pytest.raises(OnnxNotSupportedError, match=r"too many to compare with 40 indices.*constant indices"):
        import_onnx(model, direct_builder())


@pytest.mark.parametrize("mode", ["linear", "circular"])
@pytest.mark.parametrize("axis", [1, -2])
def test_a_cache_is_written_from_a_place_on(backend: Backend, mode: str, axis: int) -> None:
    shape = [3, 2, 8, 4] if axis == -2 else [3, 8, 2, 4]
    updates = [3, 2, 3, 4] if axis == -2 else [3, 3, 2, 4]
    start = np.array([0, 5, 2] if mode == "linear" else [7, 5, 6], np.int64)
    options = {"mode": mode, "axis": axis, "version": 24, "expected": by_reference}
    check_node(backend, "TensorScatter", [random(0, *shape), random(1, *updates), start], **options)
    check_node(backend, "TensorScatter", [random(0, *shape), random(1, *updates)], **options)


@pytest.mark.parametrize(
    ("op_type", "shapes", "options"),
    [
        ("ScatterND", [(4, 3), (2, 3), (2, 3)], {}),
        ("ScatterND", [(4, 3), (2, 1), (2, 2)], {}),
        ("ScatterElements", [(4, 3), (2, 3), (2, 2)], {}),
        ("ScatterElements", [(4, 3), (2, 3), (2, 3)], {"reduction": "mean"}),
        ("TensorScatter", [(4, 3), (4, 2), (4,)], {"mode": "spiral", "version": 24}),
    ],
)
def test_shapes_that_do_not_go_together_are_refused(
    op_type: str, shapes: list[tuple[int, ...]], options: dict[str, Any]
) -> None:
    arrays = [random(i, *shape) for i, shape in enumerate(shapes)]
    integer = 2 if op_type == "TensorScatter" else 1
    arrays[integer] = np.zeros(shapes[integer], np.int64)
    with pytest.raises(DataError, match=rf"\({op_type}\)"):
        import_onnx(node_model(op_type, arrays, **options)[0], direct_builder())
