"""One-hot rows times a constant, as a lookup."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.direct import direct_builder, run_graph
from webnn.backends.onnxruntime.backend import OnnxRuntimeBackend
from webnn.backends.onnxruntime.passes.one_hot_products import one_hot_products
from webnn.graph.dtypes import DataType
from webnn.graph.ir import Graph

TABLE = np.random.default_rng(0).standard_normal((5, 3)).astype("f")


def looked_up(
    table: np.ndarray[Any, Any] = TABLE,
    compared: np.ndarray[Any, Any] | None = None,
    data_type: DataType = "int32",
    swap: bool = False,
) -> Graph:
    builder = direct_builder()
    tokens = builder.input("tokens", [2, 4], data_type)
    numbers = np.arange(len(table)) if compared is None else compared
    a = builder.reshape(tokens, [2, 4, 1])
    b = builder.constant(numbers.astype(data_type).reshape(1, 1, -1))
    one_hot = builder.cast(builder.equal(b, a) if swap else builder.equal(a, b), "float32")
    return builder.build({"y": builder.matmul(one_hot, builder.constant(table))})


@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("data_type", ["int32", "int64"])
def test_the_rows_of_the_tokens_are_gathered_and_no_row_for_those_that_are_no_kind(
    data_type: DataType, swap: bool
) -> None:
    graph = looked_up(data_type=data_type, swap=swap)
    prepared = one_hot_products(graph)
    assert "gather" in {node.op for node in prepared.nodes}
    assert not {"matmul", "cast"} & {node.op for node in prepared.nodes}
    tokens = np.array([[0, 4, 2, 2], [-1, 5, 3, np.iinfo(data_type).min]], data_type)
    expected = np.where((tokens >= 0) & (tokens < 5), 1, 0)[..., None] * TABLE[np.clip(tokens, 0, 4)]
    for each in (graph, prepared):
        np.testing.assert_array_equal(run_graph(each, {"tokens": tokens}, OnnxRuntimeBackend())["y"], expected)


def test_weights_that_are_not_finite_keep_the_product() -> None:
    graph = looked_up(np.where(np.eye(5, 3) > 0, np.inf, TABLE).astype("f"))
    assert one_hot_products(graph) is graph


@pytest.mark.parametrize("compared", [np.array([0, 1, 2, 3, 5]), np.array([4, 3, 2, 1, 0])])
def test_other_numbers_than_those_of_the_rows_keep_the_product(compared: np.ndarray[Any, Any]) -> None:
    graph = looked_up(compared=compared)
    assert one_hot_products(graph) is graph


def test_tokens_that_are_compared_in_another_shape_keep_the_product() -> None:
    builder = direct_builder()
    tokens = builder.input("tokens", [4, 5], "int32")
    one_hot = builder.cast(builder.equal(tokens, builder.constant(np.arange(5, dtype="i"))), "float32")
    graph = builder.build({"y": builder.matmul(one_hot, builder.constant(TABLE))})
    assert one_hot_products(graph) is graph


def test_a_product_of_two_inputs_is_left_as_it_is() -> None:
    builder = direct_builder()
    graph = builder.build(
        {"y": builder.matmul(builder.input("a", [2, 2], "float32"), builder.input("b", [2, 2], "float32"))}
    )
    assert one_hot_products(graph) is graph
