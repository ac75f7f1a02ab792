"""Pools over three axes and the places of their elements, compared with ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.direct import direct_builder
from tests.onnx_nodes import Array, by_onnxruntime, check_node, computed, node_model, random
from webnn.backends.base import Backend
from webnn.backends.onnxruntime.backend import OnnxRuntimeBackend
from webnn.errors import NotSupportedError
from webnn.formats.onnx import import_onnx
from webnn.graph.batching import why_not_separable
from webnn.graph.ir import Graph

LINE, IMAGE, CUBE = random(0, 2, 3, 11), random(1, 2, 3, 9, 8), random(2, 2, 3, 6, 7, 5)


def graph_with_kernels(op_type: str, x: Array, **options: Any) -> Graph:
    builder = direct_builder(composites=OnnxRuntimeBackend().composites)
    return builder.build(import_onnx(node_model(op_type, [x], **options)[0], builder))


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_shape": [2, 2, 2], "strides": [2, 2, 2]},
        {"kernel_shape": [3, 3, 3], "strides": [2, 1, 2], "pads": [1, 1, 1, 1, 1, 1]},
        {"kernel_shape": [1, 3, 2], "strides": [1, 2, 2], "pads": [0, 1, 0, 0, 1, 1]},
        {"kernel_shape": [2, 3, 2], "strides": [2, 3, 2], "ceil_mode": 1},
        {"kernel_shape": [2, 2, 3], "dilations": [3, 2, 1]},
        {"kernel_shape": [3, 2, 2], "auto_pad": "SAME_UPPER", "strides": [2, 2, 2]},
        {"kernel_shape": [6, 7, 5]},
    ],
)
@pytest.mark.parametrize("outputs", [[True], [True, True]])
def test_pools_over_three_axes(backend: Backend, options: dict[str, Any], outputs: list[bool]) -> None:
    check_node(backend, "MaxPool", [CUBE], outputs=outputs, tolerance=0, **options)
    graph = graph_with_kernels("MaxPool", CUBE, outputs=outputs, **options)
    assert [node.op for node in graph.nodes] == ["max_pool"]


@pytest.mark.parametrize("x", [LINE, IMAGE, CUBE, np.round(IMAGE)])
@pytest.mark.parametrize("storage_order", [0, 1])
def test_the_first_of_equal_elements_is_found(backend: Backend, x: Array, storage_order: int) -> None:
    count = x.ndim - 2
    options = {"kernel_shape": [3] * count, "strides": [2] * count, "pads": [1] * (2 * count)}
    check_node(backend, "MaxPool", [x], outputs=[True, True], tolerance=0, storage_order=storage_order, **options)


@pytest.mark.parametrize("dtype", [np.float16, np.int8, np.uint8])
def test_other_types_are_pooled(backend: Backend, dtype: Any) -> None:
    x = random(3, 1, 2, 4, 5, 6, dtype=dtype)
    check_node(backend, "MaxPool", [x], kernel_shape=[2, 3, 2], pads=[1, 0, 0, 0, 1, 1], tolerance=0)


def test_infinities_are_elements_like_others(backend: Backend) -> None:
    x = CUBE.copy()
    x[0, 0], x[1, 1, 2] = -np.inf, np.inf
    options: dict[str, Any] = {"kernel_shape": [2, 2, 2], "strides": [1, 2, 1]}
    model, feeds = node_model("MaxPool", [x], **options)
    (wanted,) = by_onnxruntime(model, feeds)
    if backend.composites:
        np.testing.assert_array_equal(computed(model, feeds, backend, backend.composites)[0], wanted)
    # onnxruntime 1.32 takes the lowest number for the largest of -inf alone.
    wanted = np.where(wanted == np.finfo(np.float32).min, -np.inf, wanted)
    np.testing.assert_array_equal(computed(model, feeds, backend)[0], wanted)


def test_padding_that_onnxruntime_refuses_is_added_by_operators() -> None:
    graph = graph_with_kernels("MaxPool", CUBE, kernel_shape=[1, 2, 2], pads=[1, 0, 0, 1, 0, 0])
    assert "max_pool2d" in {node.op for node in graph.nodes}


def test_requests_share_a_run_unless_they_want_the_places() -> None:
    for outputs, shared in (([True], True), ([True, True], False)):
        graph = graph_with_kernels("MaxPool", CUBE, outputs=outputs, kernel_shape=[2, 2, 2])
        assert (why_not_separable(graph) is None) is shared


def test_places_in_windows_of_any_size_take_no_memory() -> None:
    x = random(0, 1, 1, 4096)
    model, feeds = node_model("MaxPool", [x], outputs=[True, True], kernel_shape=[2000])
    with pytest.raises(NotSupportedError, match="the largest of 2000 elements in 2097 windows take too much memory"):
        computed(model, feeds, OnnxRuntimeBackend())
    backend = OnnxRuntimeBackend()
    for found, wanted in zip(
        computed(model, feeds, backend, backend.composites), by_onnxruntime(model, feeds), strict=True
    ):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("op_type", ["GlobalMaxPool", "GlobalAveragePool"])
def test_whole_volumes_are_pooled(backend: Backend, op_type: str) -> None:
    check_node(backend, op_type, [CUBE])
