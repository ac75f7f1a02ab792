"""L2 norms and L2 pooling: large, small and ordinary numbers, side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tests.direct import direct_builder, run_graph
from webnn.backends.arrays.backend import ArraysBackend
from webnn.backends.onnxruntime.backend import OnnxRuntimeBackend
from webnn.backends.onnxruntime.passes.norms_in_range import norms_in_range
from webnn.graph.dtypes import DataType


def norm(values: Sequence[float], data_type: DataType = "float32") -> float:
    x = np.array(values, data_type)
    builder = direct_builder()
    graph = norms_in_range(builder.build({"y": builder.reduce_l2(builder.input("x", x.shape, data_type))}))
    assert all(node.op != "reduce_l2" for node in graph.nodes)
    return float(run_graph(graph, {"x": x}, OnnxRuntimeBackend())["y"])


@pytest.mark.parametrize("size", [1.0, 1e19, 1e30, 2e38, 1e-19, 1e-23, 1e-30, 1e-37, 1e-44])
def test_the_norm_of_numbers_of_any_size(size: float) -> None:
    x = np.array([size, size / 4, 0, -size], "f")
    assert norm(x.tolist()) == pytest.approx(math.hypot(*x.tolist()), rel=1e-6, abs=1e-37)


def test_the_norm_of_numbers_of_several_sizes_is_that_of_the_largest() -> None:
    assert norm([1e-30, 3e15, 1, 4e15]) == pytest.approx(5e15, rel=1e-6)


def test_a_norm_beyond_the_range_is_infinite() -> None:
    assert norm([3e38, 3e38]) == math.inf


@pytest.mark.parametrize("special", [math.nan, math.inf, -math.inf])
def test_infinity_and_nan_are_not_lost(special: float) -> None:
    result = norm([1, special, 2])
    assert math.isnan(result) if math.isnan(special) else result == math.inf


def test_float16_is_computed_in_float32() -> None:
    assert norm([600.0] * 100, "float16") == 6000


@pytest.mark.parametrize("power", range(-110, 128, 7))
def test_norms_of_any_size_of_long_rows(power: int) -> None:
    x = np.random.default_rng(0).uniform(0.5, 1, 1000) * 2.0 ** (power - 5)
    assert norm(x.tolist()) == pytest.approx(math.hypot(*x.astype("f").tolist()), rel=2e-6)


@pytest.mark.parametrize("options", [{"axes": [1]}, {"axes": [2, 0]}, {"axes": [0, 1], "keep_dimensions": True}])
def test_the_shape_is_kept(options: dict[str, Any]) -> None:
    builder = direct_builder()
    graph = builder.build({"y": builder.reduce_l2(builder.input("x", [2, 3, 4], "float32"), **options)})
    assert norms_in_range(graph).output_descriptors == graph.output_descriptors


def test_a_norm_along_no_axis_is_left_as_it_is() -> None:
    builder = direct_builder()
    graph = builder.build({"y": builder.reduce_l2(builder.input("x", [2], "float32"), axes=[])})
    assert norms_in_range(graph) is graph


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
def test_it_is_the_norm_of_each_window(data_type: DataType, options: dict[str, Any]) -> None:
    scales = (1e30, 1.0, 1e-30) if data_type == "float32" else (1e3, 1.0, 1e-3)
    numbers = np.random.default_rng(0).uniform(-1, 1, (3, 5, 6, 2))
    x = np.concatenate([numbers * scale for scale in scales], axis=2).astype(data_type)
    builder = direct_builder()
    graph = builder.build({"y": builder.l2_pool2d(builder.input("x", x.shape, data_type), **options)})
    replaced = norms_in_range(graph)
    assert all(node.op != "l2_pool2d" for node in replaced.nodes)
    result = run_graph(replaced, {"x": x}, OnnxRuntimeBackend())["y"]
    expected = run_graph(graph, {"x": x}, ArraysBackend())["y"]
    np.testing.assert_allclose(result, expected, rtol=1e-6 if data_type == "float32" else 1e-3, atol=0)


def test_a_window_with_an_infinity_or_a_nan_has_it_for_its_norm() -> None:
    builder = direct_builder()
    x = builder.input("x", [1, 1, 1, 6], "float32")
    graph = builder.build({"y": builder.l2_pool2d(x, window_dimensions=[1, 2], strides=[1, 2])})
    values = np.array([[[[np.inf, 1, np.nan, 1e30, 3, 4]]]], "f")
    result = run_graph(norms_in_range(graph), {"x": values}, OnnxRuntimeBackend())["y"]
    np.testing.assert_array_equal(result, [[[[np.inf, np.nan, 5]]]])
