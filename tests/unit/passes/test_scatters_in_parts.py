"""Scatters of very many updates, which several threads of onnxruntime would combine wrongly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.direct import direct_builder, run_graph
from webnn.backends.base import Cancellation, CompileOptions
from webnn.backends.onnxruntime.backend import OnnxRuntimeBackend
from webnn.backends.onnxruntime.passes.pipeline import prepared
from webnn.backends.onnxruntime.passes.scatters_in_parts import scatters_in_parts
from webnn.backends.onnxruntime.threads import IN_ORDER, combines_in_any_order
from webnn.graph.composites.scatter_reduce import scattered_slices
from webnn.graph.ir import Graph
from webnn.memory.buffer import View

COMBINED = {"add": np.add, "max": np.maximum}


def messages(edges: int, width: int, *, places: int = 5, depth: int = 1, reduction: str = "add") -> Graph:
    """What the layers of a graph network do: a product for each edge, and the sum of these for each node."""
    b = direct_builder(composites=["scatter_reduce_nd"])
    x = b.matmul(b.input("x", [edges, width], "float32"), b.constant(np.eye(width, dtype=np.float32)))
    shape = [places, width] if depth == 1 else [1, places, width]
    zero = b.constant(np.zeros(shape, np.float32))
    indices = b.input("indices", [edges, depth], "int64")
    return b.build({"y": scattered_slices(b, zero, indices, x, reduction=reduction)})


def feeds(graph: Graph) -> dict[str, Any]:
    generator = np.random.default_rng(0)
    indices = generator.integers(0, graph.outputs["y"].shape[-2], graph.inputs["indices"].shape)
    indices[:, :-1] = 0
    return {"x": generator.integers(1, 4, graph.inputs["x"].shape).astype(np.float32), "indices": indices}


def combined(graph: Graph, given: dict[str, Any], reduction: str = "add") -> np.ndarray[Any, Any]:
    result = np.zeros(graph.outputs["y"].shape, np.float32)
    COMBINED[reduction].at(result.reshape(-1, result.shape[-1]), given["indices"][:, -1], given["x"])
    return result


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("reduction", ["add", "max"])
def test_parts_have_so_few_updates_that_one_thread_combines_them(reduction: str, depth: int) -> None:
    graph = messages(1200, 300, depth=depth, reduction=reduction)
    replaced = scatters_in_parts(graph)
    parts = [node for node in replaced.nodes if node.op == "scatter_reduce_nd"]
    assert [node["updates"].shape[0] for node in parts] == [436, 436, 328]
    assert not any(map(combines_in_any_order, replaced.nodes))
    given = feeds(graph)
    result = run_graph(replaced, given, OnnxRuntimeBackend())["y"]
    np.testing.assert_array_equal(result, combined(graph, given, reduction))


@pytest.mark.parametrize(
    "graph",
    [
        messages(IN_ORDER // 64, 64),  # few enough
        messages(40_000, 4),  # the product is less work than to copy the parts
    ],
)
def test_others_are_left_as_they_are(graph: Graph) -> None:
    assert scatters_in_parts(graph) is graph


@pytest.mark.parametrize(("edges", "width"), [(15_000, 96), (20_000, 64)], ids=["in parts", "on one thread"])
def test_no_update_is_lost(edges: int, width: int) -> None:
    """Two threads of onnxruntime lose some of them in one run of three or more."""
    graph = messages(edges, width, places=500)
    executable = OnnxRuntimeBackend().compile(graph, CompileOptions(threads=2), Cancellation())
    given = feeds(graph)
    inputs = [View(None, given[name]) for name in graph.inputs]
    results = np.empty((60, 500, width), np.float32)
    for result in results:  # without a pause, so that the threads stay awake
        executable.run(inputs, [View(None, result)])
    np.testing.assert_array_equal(results, np.broadcast_to(combined(graph, given), results.shape))


def test_a_model_from_the_disk_has_one_thread_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph, backend, threads = messages(40_000, 4), OnnxRuntimeBackend(), []
    assert any(map(combines_in_any_order, prepared(graph).nodes))
    monkeypatch.setattr(
        "webnn.backends.onnxruntime.backend._configure",
        lambda settings, options, *, small: threads.append(options.threads),
    )
    backend.compile_to(tmp_path, graph, CompileOptions(threads=2), Cancellation())
    backend.load(tmp_path, graph, CompileOptions(threads=2), Cancellation())
    assert threads == [1, 1]
