"""Products of matrices before a `relu`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.direct import direct_builder, ops, run_graph
from webnn.backends.onnxruntime.backend import OnnxRuntimeBackend
from webnn.backends.onnxruntime.passes.products_with_relu import products_with_relu
from webnn.graph.dtypes import DataType
from webnn.graph.ir import Graph

RANDOM = np.random.default_rng(0)


def layer(rows: int, depth: int, width: int, data_type: DataType = "float32", weight: Any = None) -> Graph:
    """`y = relu(x @ w)`, of a constant or of a second input."""
    builder = direct_builder()
    x = builder.input("x", [rows, depth], data_type)
    w = builder.input("w", [depth, width], data_type) if weight is None else builder.constant(weight)
    return builder.build({"y": builder.relu(builder.matmul(x, w, label="dense"))})


def raw(x: Any, w: Any, *, constant: bool = False) -> Any:
    """The result without the pass, which leaves products alone that are read twice."""
    builder = direct_builder()
    b = builder.constant(w) if constant else builder.input("w", w.shape, "float32")
    product = builder.matmul(builder.input("x", x.shape, "float32"), b)
    twice = builder.build({"y": builder.relu(product), "product": product})
    return run_graph(twice, {"x": x, "w": w}, OnnxRuntimeBackend())["y"]


@pytest.mark.parametrize(
    ("rows", "depth", "width"), [(1, 3, 5), (1, 64, 64), (1, 300, 1000), (2, 64, 1), (8, 33, 100), (200, 300, 128)]
)
def test_the_result_is_the_same_to_the_bit(rows: int, depth: int, width: int) -> None:
    x = RANDOM.standard_normal((rows, depth), np.float32)
    w = RANDOM.standard_normal((depth, width), np.float32)
    graph = layer(rows, depth, width)
    assert ops(products_with_relu(graph)) == ["gemm", "relu"]
    np.testing.assert_array_equal(run_graph(graph, {"x": x, "w": w}, OnnxRuntimeBackend())["y"], raw(x, w))
    graph = layer(rows, depth, width, weight=w)
    np.testing.assert_array_equal(run_graph(graph, {"x": x}, OnnxRuntimeBackend())["y"], raw(x, w, constant=True))


def test_zeros_infinities_and_nan_come_out_the_same() -> None:
    x = np.array([[-0.0], [0.0], [-1.0], [np.inf], [-np.inf], [np.nan], [1e-45], [-1e-45]], np.float32)
    w = np.array([[1.0, -1.0, 0.0]], np.float32)
    result = run_graph(layer(8, 1, 3), {"x": x, "w": w}, OnnxRuntimeBackend())["y"]
    np.testing.assert_array_equal(result, raw(x, w))
    assert np.isnan(result[5]).all()


def test_the_label_stays() -> None:
    (gemm, _) = products_with_relu(layer(1, 3, 5)).nodes
    assert gemm.label == "dense"


def test_a_product_that_something_else_reads_is_left_as_it_is() -> None:
    builder = direct_builder()
    x = builder.input("x", [2, 2], "float32")
    product = builder.matmul(x, x)
    graph = builder.build({"y": builder.relu(product), "z": builder.neg(product)})
    assert products_with_relu(graph) is graph


def test_a_product_that_is_an_output_is_left_as_it_is() -> None:
    builder = direct_builder()
    x = builder.input("x", [2, 2], "float32")
    product = builder.matmul(x, x)
    graph = builder.build({"y": builder.relu(product), "z": product})
    assert products_with_relu(graph) is graph


def test_products_of_stacks_of_matrices_and_other_types_are_left_as_they_are() -> None:
    builder = direct_builder()
    x = builder.input("x", [3, 2, 2], "float32")
    graph = builder.build({"y": builder.relu(builder.matmul(x, x))})
    assert products_with_relu(graph) is graph
    graph = layer(2, 2, 2, "float16")
    assert products_with_relu(graph) is graph
