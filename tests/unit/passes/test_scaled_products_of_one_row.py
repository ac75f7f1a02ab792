"""Products of one row that are scaled: the row is scaled, if it is shorter than the results."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.direct import direct_builder, run_graph
from webnn.backends.arrays.backend import ArraysBackend
from webnn.backends.onnxruntime.backend import OnnxRuntimeBackend
from webnn.backends.onnxruntime.passes.scaled_products_of_one_row import scaled_products_of_one_row
from webnn.graph.builder import MLGraphBuilder
from webnn.graph.ir import Graph
from webnn.graph.operand import MLOperand

Builder = MLGraphBuilder[Graph]
Scaled = Callable[[Builder, MLOperand], MLOperand]


def number(b: Builder, value: float, rank: int = 0) -> MLOperand:
    return b.constant(np.full([1] * rank, value, np.float32))


def scores(scaled: Scaled, *, row: tuple[int, ...] = (1, 4, 1, 8), columns: int = 64, more: bool = False) -> Graph:
    b = direct_builder()
    query, keys = b.input("query", row, "float32"), b.input("keys", [*row[:-2], row[-1], columns], "float32")
    product = b.matmul(query, keys)
    outputs = {"y": b.softmax(scaled(b, product), len(row) - 1)}
    if more:
        outputs["product"] = product
    return b.build(outputs)


FOUND: dict[str, Scaled] = {
    "a factor": lambda b, x: b.mul(x, number(b, 0.3)),
    "a factor before": lambda b, x: b.mul(number(b, 0.125), x),
    "a negative factor of rank 4": lambda b, x: b.mul(x, number(b, -0.3, 4)),
    "a divisor": lambda b, x: b.div(x, number(b, 3)),
}


@pytest.mark.parametrize("scaled", FOUND.values(), ids=FOUND)
def test_the_row_is_scaled(scaled: Scaled) -> None:
    graph = scores(scaled)
    rewritten = scaled_products_of_one_row(graph)
    assert [node.op for node in rewritten.nodes][1:] == ["matmul", "softmax"]
    assert rewritten.nodes[0].output.shape == (1, 4, 1, 8)
    random = np.random.default_rng(0)
    feeds: dict[str, Any] = {n: random.standard_normal(o.shape).astype(np.float32) for n, o in graph.inputs.items()}
    expected = run_graph(graph, feeds, ArraysBackend())["y"]
    for found in (run_graph(rewritten, feeds, ArraysBackend()), run_graph(graph, feeds, OnnxRuntimeBackend())):
        np.testing.assert_allclose(found["y"], expected, rtol=4e-6)


OTHERS: dict[str, tuple[Scaled, dict[str, Any]]] = {
    "a factor beyond 1": (lambda b, x: b.mul(x, number(b, 1.5)), {}),
    "a divisor below 1": (lambda b, x: b.div(x, number(b, 0.5)), {}),
    "a tiny factor": (lambda b, x: b.mul(x, number(b, 1e-9)), {}),
    "a factor of zero": (lambda b, x: b.mul(x, number(b, 0)), {}),
    "a divisor of zero": (lambda b, x: b.div(x, number(b, 0)), {}),
    "a dividend": (lambda b, x: b.div(number(b, 3), x), {}),
    "several factors": (lambda b, x: b.mul(x, b.constant(np.full(64, 0.5, np.float32))), {}),
    "several rows": (FOUND["a factor"], {"row": (1, 4, 2, 8)}),
    "few columns": (FOUND["a factor"], {"columns": 16}),
    "a product that is an output": (FOUND["a factor"], {"more": True}),
    "a product that is read twice": (lambda b, x: b.add(b.mul(x, number(b, 0.5)), x), {}),
    "no product": (lambda b, x: b.mul(b.relu(x), number(b, 0.5)), {}),
}


@pytest.mark.parametrize(("scaled", "options"), OTHERS.values(), ids=OTHERS)
def test_others_stay(scaled: Scaled, options: dict[str, Any]) -> None:
    graph = scores(scaled, **options)
    assert scaled_products_of_one_row(graph) is graph


def test_a_constant_matrix_stays() -> None:
    b = direct_builder()
    product = b.matmul(b.input("x", [1, 4], "float32"), b.constant(np.ones((4, 64), np.float32)))
    graph = b.build({"y": b.mul(product, number(b, 0.5))})
    assert scaled_products_of_one_row(graph) is graph
