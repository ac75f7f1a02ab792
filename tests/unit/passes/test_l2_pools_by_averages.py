"""L2 pooling: large, small and ordinary numbers, side by side."""

from __future__ import annotations

import numpy as np
import pytest

from tests.direct import direct_builder, run_graph
from webnn.backends.arrays.backend import ArraysBackend
from webnn.backends.onnxruntime.backend import OnnxRuntimeBackend
from webnn.backends.onnxruntime.passes.l2_pools_by_averages import l2_pools_by_averages
from webnn.graph.dtypes import DataType


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"window_dimensions": [2, 2], "strides": [1, 2]},
        {"window_dimensions": [3, 2], "padding": [2, 1, 1, 1], "layout": "nhwc"},
        {"window_dimensions": [2, 2], "dilations": [2, 1], "padding": [0, 3, 1, 0]},
        {"window_dimensions": [2, 2], "strides": [2, 2], "padding": [3, 0, 0, 3]},
    ],
)
@pytest.mark.parametrize("data_type", ["float32", "float16"])
def test_it_is_the_norm_of_each_window(data_type: DataType, options: dict[str, object]) -> None:
    scales = (1e30, 1.0, 1e-30) if data_type == "float32" else (1e3, 1.0, 1e-3)
    numbers = np.random.default_rng(0).uniform(-1, 1, (3, 5, 6, 2))
    x = np.concatenate([numbers * scale for scale in scales], axis=2).astype(data_type)
    builder = direct_builder()
    graph = builder.build({"y": builder.l2_pool2d(builder.input("x", x.shape, data_type), **options)})  # type: ignore[arg-type]
    replaced = l2_pools_by_averages(graph)
    assert all(node.op != "l2_pool2d" for node in replaced.nodes)
    result = run_graph(replaced, {"x": x}, OnnxRuntimeBackend())["y"]
    expected = run_graph(graph, {"x": x}, ArraysBackend())["y"]
    np.testing.assert_allclose(result, expected, rtol=1e-6 if data_type == "float32" else 1e-3, atol=0)


def test_a_window_with_an_infinity_or_a_nan_has_it_for_its_norm() -> None:
    builder = direct_builder()
    x = builder.input("x", [1, 1, 1, 6], "float32")
    graph = builder.build({"y": builder.l2_pool2d(x, window_dimensions=[1, 2], strides=[1, 2])})
    values = np.array([[[[np.inf, 1, np.nan, 1e30, 3, 4]]]], "f")
    result = run_graph(l2_pools_by_averages(graph), {"x": values}, OnnxRuntimeBackend())["y"]
    np.testing.assert_array_equal(result, [[[[np.inf, np.nan, 5]]]])
