"""Which batch normalization gets its mean taken off first."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.direct import direct_builder, run_graph
from webnn.backends.arrays.backend import ArraysBackend
from webnn.backends.onnxruntime.backend import OnnxRuntimeBackend
from webnn.backends.onnxruntime.passes.centered_batch_normalization import centered_batch_normalization
from webnn.graph.ir import Graph

MEAN = np.array([1000, -3000, 0.5], np.float32)


def normalized(shape: list[int], data_type: Any = "float32", *, behind: bool = False, **options: Any) -> Graph:
    builder = direct_builder()
    x = builder.input("x", shape, data_type)
    mean, variance = (builder.constant(a.astype(data_type)) for a in (MEAN, np.full(3, 0.01)))
    return builder.build({"y": builder.batch_normalization(builder.abs(x) if behind else x, mean, variance, **options)})


@pytest.mark.parametrize(("shape", "axis"), [([3, 2, 2], 0), ([2, 3, 2], 1), ([2, 2, 3], 2)])
def test_an_input_is_centered_along_any_axis(shape: list[int], axis: int) -> None:
    graph = normalized(shape, axis=axis)
    prepared = centered_batch_normalization(graph)
    assert [node.op for node in prepared.nodes] == ["reshape", "sub", "batch_normalization"]
    centered = prepared.nodes[-1]
    mean = centered["mean"].constant
    assert mean is not None
    assert not mean.any()
    assert centered.attributes == graph.nodes[0].attributes
    there = np.moveaxis(np.empty(shape), axis, -1)
    x = np.moveaxis(MEAN + np.linspace(-0.05, 0.05, there.size).reshape(there.shape), -1, axis).astype(np.float32)
    expected = run_graph(graph, {"x": x}, ArraysBackend())["y"]
    np.testing.assert_allclose(run_graph(graph, {"x": x}, OnnxRuntimeBackend())["y"], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("options", [{"behind": True}, {"data_type": "float16"}], ids=str)
def test_what_was_rounded_before_is_not_centered(options: dict[str, Any]) -> None:
    graph = normalized([2, 3], **options)
    assert centered_batch_normalization(graph) is graph
