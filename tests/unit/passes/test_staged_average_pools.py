"""Averages of large windows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.direct import direct_builder, ops, run_graph
from webnn.backends.arrays.backend import ArraysBackend
from webnn.backends.onnxruntime.backend import OnnxRuntimeBackend
from webnn.backends.onnxruntime.passes.staged_average_pools import staged_average_pools
from webnn.graph.dtypes import DataType
from webnn.graph.ir import Graph


def an_average(shape: tuple[int, ...], data_type: DataType = "float32", **options: Any) -> Graph:
    builder = direct_builder()
    return builder.build({"y": builder.average_pool2d(builder.input("x", shape, data_type), **options)})


@pytest.mark.parametrize(
    ("shape", "options", "stages"),
    [
        ((1, 2, 130, 131), {}, ["reduce_mean"]),
        ((1, 200, 200, 2), {"layout": "nhwc"}, ["reduce_mean"]),
        ((1, 2, 80, 70), {"window_dimensions": [40, 33], "strides": [7, 9]}, ["average_pool2d", "average_pool2d"]),
        (
            (1, 80, 70, 2),
            {"window_dimensions": [40, 33], "padding": [20, 3, 0, 30], "dilations": [1, 2], "layout": "nhwc"},
            ["average_pool2d", "average_pool2d"],
        ),
        (
            (1, 1, 60, 60),
            {
                "window_dimensions": [35, 35],
                "strides": [9, 9],
                "output_shape_rounding": "ceil",
                "padding": [1] * 4,
            },
            ["average_pool2d", "average_pool2d"],
        ),
    ],
)
@pytest.mark.parametrize("data_type", ["float32", "float16"])
def test_large_windows_in_stages(
    shape: tuple[int, ...], options: dict[str, Any], stages: list[str], data_type: DataType
) -> None:
    graph = an_average(shape, data_type, **options)
    staged = staged_average_pools(graph)
    assert [node.op for node in staged.nodes if node.op != "cast"] == stages
    x = np.random.default_rng(0).uniform(-1, 1, shape).astype(data_type)
    result, expected = (
        run_graph(graph, {"x": x}, backend)["y"]
        for graph, backend in ((staged, OnnxRuntimeBackend()), (graph, ArraysBackend()))
    )
    np.testing.assert_allclose(result, expected, atol=3e-6 if data_type == "float32" else 1e-3)


def test_small_windows_and_windows_of_one_row_are_left_as_they_are() -> None:
    for graph in (
        an_average((1, 2, 16, 32)),
        an_average((1, 2, 80, 80), window_dimensions=[16, 32]),
        an_average((1, 2, 1, 5000), window_dimensions=[1, 2000]),
        an_average((1, 2, 20, 20), window_dimensions=[60, 60], padding=[40, 40, 40, 40]),
    ):
        assert staged_average_pools(graph) is graph


@pytest.mark.parametrize("quantized", [True, False])
def test_averages_of_planes_between_quantized_numbers_are_left_to_the_kernel_of_integers(quantized: bool) -> None:
    b = direct_builder()
    x = b.input("x", [1, 3, 40, 40], "uint8")
    scale, zero = b.constant(np.full((1, 1, 1, 1), 0.05, np.float32)), b.constant(np.full((1, 1, 1, 1), 128, np.uint8))
    mean = b.average_pool2d(b.dequantize_linear(x, scale, zero))
    graph = b.build({"y": b.quantize_linear(mean, scale, zero) if quantized else mean})
    staged = staged_average_pools(graph)
    assert ("average_pool2d" in ops(staged)) is quantized
    feeds = {"x": np.random.default_rng(0).integers(0, 256, (1, 3, 40, 40)).astype(np.uint8)}
    result, expected = (
        run_graph(each, feeds, backend)["y"]
        for each, backend in ((staged, OnnxRuntimeBackend()), (graph, ArraysBackend()))
    )
    np.testing.assert_allclose(
        result.astype(np.float32), expected.astype(np.float32), rtol=0, atol=1 if quantized else 3e-6
    )
