"""Sums and means between axes of size 1."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.direct import operator_graph, run_graph
from webnn.backends.onnxruntime.backend import OnnxRuntimeBackend
from webnn.backends.onnxruntime.passes.sums_without_unit_axes import sums_without_unit_axes
from webnn.graph.dtypes import DataType
from webnn.graph.ir import Graph


@pytest.mark.parametrize(
    ("shape", "options", "reduced"),
    [
        ((1, 64, 96), {"axes": [1]}, (64, 96)),
        ((1, 64, 96), {"axes": [1], "keep_dimensions": True}, (64, 96)),
        ((1, 1, 8, 8, 96), {"axes": [3, 2]}, (64, 96)),
        ((64, 96, 1), {"axes": [1]}, (64, 96)),
        ((6000, 1, 1), {"axes": [0]}, (6000,)),
        ((1, 6000, 1), {"axes": [1], "keep_dimensions": True}, (6000,)),
    ],
)
@pytest.mark.parametrize("op", ["reduce_sum", "reduce_mean"])
@pytest.mark.parametrize("data_type", ["float32", "float16"])
def test_the_axes_go_and_the_result_stays(
    op: str, data_type: DataType, shape: tuple[int, ...], options: dict[str, Any], reduced: tuple[int, ...]
) -> None:
    graph = operator_graph(op, shape, data_type, **options)
    replaced = sums_without_unit_axes(graph)
    assert [node["input"].shape for node in replaced.nodes if node.op == op] == [reduced]
    x = np.random.default_rng(0).uniform(0, 1, shape).astype(data_type)
    exact = (np.sum if op == "reduce_sum" else np.mean)(x.astype("d"), axis=tuple(options["axes"]))
    result = run_graph(replaced, {"x": x}, OnnxRuntimeBackend())["y"]
    assert result.shape == graph.outputs["y"].shape
    np.testing.assert_allclose(result.reshape(exact.shape), exact, rtol=1e-5 if data_type == "float32" else 1e-3)


@pytest.mark.parametrize(
    "graph",
    [
        operator_graph("reduce_sum", (2, 64, 96), axes=[1]),
        operator_graph("reduce_sum", (1, 6, 9), axes=[1]),
        operator_graph("reduce_mean", (1, 1, 5000), axes=[2]),
        operator_graph("reduce_mean", (1, 64, 2, 96), axes=[1, 3]),
        operator_graph("reduce_sum", (1, 64, 96), "int32", axes=[1]),
        operator_graph("reduce_sum", (1, 64, 96), axes=[]),
        operator_graph("reduce_max", (1, 64, 96), axes=[1]),
    ],
)
def test_others_are_left_as_they_are(graph: Graph) -> None:
    assert sums_without_unit_axes(graph) is graph
