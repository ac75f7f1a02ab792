"""Convolutions over one axis, and the operators between them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tests.direct import direct_builder, run_graph
from webnn.backends.arrays.backend import ArraysBackend
from webnn.backends.base import Backend
from webnn.backends.onnxruntime.passes.images_between_convolutions import images_between_convolutions
from webnn.graph.builder import MLGraphBuilder
from webnn.graph.ir import Graph
from webnn.graph.operand import MLOperand

Builder = MLGraphBuilder[Any]


def constant(builder: Builder, *shape: int) -> MLOperand:
    return builder.constant(np.linspace(-0.5, 2, math.prod(shape), dtype=np.float32).reshape(shape))


def convolved(builder: Builder, x: MLOperand) -> MLOperand:
    """`[1, channels, 5]` to `[1, 2, 5]`."""
    image = builder.reshape(x, [1, x.shape[1], 1, 5])
    image = builder.conv2d(image, constant(builder, 2, x.shape[1], 1, 3), padding=[0, 0, 1, 1])
    return builder.reshape(image, [1, 2, 5])


def operators(graph: Graph) -> list[str]:
    return [node.op for node in images_between_convolutions(graph).nodes]


@pytest.mark.parametrize("is_seen", [False, True])
def test_what_is_between_convolutions_over_one_axis_is_computed_of_images(backend: Backend, is_seen: bool) -> None:
    builder = direct_builder()
    first = convolved(builder, builder.input("x", [1, 2, 5], "float32"))
    variance = builder.constant(np.ones(2, np.float32))
    active = builder.leaky_relu(builder.batch_normalization(first, constant(builder, 2), variance), alpha=0.1)
    y = convolved(builder, builder.concat([builder.mul(active, constant(builder)), first], 1))
    graph = builder.build({"y": y, "active": active} if is_seen else {"y": y})
    images = ["conv2d", "batch_normalization", "leaky_relu", "mul", "concat", "conv2d"]
    assert operators(graph) == ["reshape", *images, "reshape", *["reshape"] * is_seen]
    x = np.linspace(-1, 1, 10, dtype=np.float32).reshape(1, 2, 5)
    expected = run_graph(graph, {"x": x}, ArraysBackend())
    for name, result in run_graph(graph, {"x": x}, backend).items():
        np.testing.assert_allclose(result, expected[name], rtol=1e-5, atol=1e-6)


def test_what_reads_rows_that_are_no_images_stays_as_it_is() -> None:
    """A sum with an operand of another form, and an operator that is not element-wise."""
    builder = direct_builder()
    x, other = builder.input("x", [1, 2, 5], "float32"), builder.input("other", [5], "float32")
    y = builder.add(convolved(builder, x), other)
    graph = builder.build({"y": convolved(builder, builder.softmax(y, 2))})
    assert operators(graph) == [node.op for node in graph.nodes]


def test_a_graph_without_rows_is_the_same_object() -> None:
    builder = direct_builder()
    image = builder.conv2d(builder.input("x", [1, 2, 4, 5], "float32"), constant(builder, 2, 2, 1, 3))
    graph = builder.build({"y": builder.reshape(image, [1, 8, 3])})
    assert images_between_convolutions(graph) is graph


@pytest.mark.parametrize("is_high", [False, True])
def test_the_bias_of_each_channel_is_added_to_images_of_one_row_and_of_one_column(
    is_high: bool, backend: Backend
) -> None:
    builder = direct_builder()
    shape, kernel = ([1, 2, 5, 1], (3, 2, 3, 1)) if is_high else ([1, 2, 1, 5], (3, 2, 1, 3))
    image = builder.conv2d(builder.input("x", shape, "float32"), constant(builder, *kernel))
    rows = builder.reshape(builder.identity(image), [1, 3, 3])
    y = builder.gelu(builder.add(rows, constant(builder, 1, 3, 1)))
    graph = builder.build({"y": builder.reduce_max(y, axes=[2])})
    assert operators(graph) == ["conv2d", "identity", "add", "gelu", "reshape", "reduce_max"]
    x = np.linspace(-1, 1, 10, dtype=np.float32).reshape(shape)
    expected = run_graph(graph, {"x": x}, ArraysBackend())["y"]
    result = run_graph(images_between_convolutions(graph), {"x": x}, backend)["y"]
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)


def test_a_row_and_a_column_are_not_added_as_images() -> None:
    builder = direct_builder()
    row = builder.conv2d(builder.input("row", [1, 2, 1, 5], "float32"), constant(builder, 3, 2, 1, 1))
    column = builder.conv2d(builder.input("column", [1, 2, 5, 1], "float32"), constant(builder, 3, 2, 1, 1))
    graph = builder.build({"y": builder.add(builder.reshape(row, [1, 3, 5]), builder.reshape(column, [1, 3, 5]))})
    assert operators(graph) == [node.op for node in graph.nodes]
