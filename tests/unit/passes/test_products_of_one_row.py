"""Products of one row with several constant matrices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from tests.direct import direct_builder, ops, run_graph
from webnn.backends.onnxruntime.backend import OnnxRuntimeBackend
from webnn.backends.onnxruntime.passes import pipeline
from webnn.backends.onnxruntime.passes import products_of_one_row as module
from webnn.backends.onnxruntime.passes.products_of_one_row import products_of_one_row
from webnn.graph.builder import MLGraphBuilder
from webnn.graph.ir import Graph
from webnn.graph.operand import MLOperand

Builder = MLGraphBuilder[Any]
Function = Callable[[Builder, MLOperand], Sequence[MLOperand]]
RANDOM = np.random.default_rng(0)


def graph_of(function: Function, shape: Sequence[int] = (1, 8)) -> Graph:
    """The graph of the results of `function`, called `0`, `1`, ..., on the input `x`."""
    b = direct_builder()
    results = function(b, b.input("x", list(shape), "float32"))
    return b.build({str(i): result for i, result in enumerate(results)})


def random(*shape: int) -> np.ndarray:
    return RANDOM.standard_normal(shape, np.float32)


def heads(b: Builder, x: MLOperand) -> Sequence[MLOperand]:
    """Query, key and value of 4 heads."""
    size = x.shape[-1]
    return [b.relu(b.reshape(b.matmul(x, b.constant(random(size, size))), [1, 4, 1, size // 4])) for _ in "qkv"]


def grouped_heads(b: Builder, x: MLOperand) -> Sequence[MLOperand]:
    """A query of 8 heads, and keys and values of 2."""
    sizes = {"q": 8, "k": 2, "v": 2}
    products = [(b.matmul(x, b.constant(random(x.shape[-1], 4 * n))), n) for n in sizes.values()]
    return [b.relu(b.reshape(product, [1, n, 1, 4])) for product, n in products]


def with_biases(b: Builder, x: MLOperand) -> Sequence[MLOperand]:
    return [
        b.add(b.matmul(x, b.constant(random(8, 3))), b.constant(random(3))),
        b.add(b.constant(random(1, 5)), b.matmul(x, b.constant(random(8, 5)))),
        b.gemm(x, b.constant(random(7, 8)), c=b.constant(np.float32(0.5)), b_transpose=True),
    ]


def of_shapes(b: Builder, x: MLOperand) -> Sequence[MLOperand]:
    """Results that lie one after the other in no common shape."""
    return [
        b.reshape(b.matmul(x, b.constant(random(8, 6))), [2, 3]),
        b.reshape(b.matmul(x, b.constant(random(8, 6))), [3, 2]),
        b.neg(b.matmul(x, b.constant(random(8, 6)))),
    ]


def in_turn(b: Builder, x: MLOperand) -> Sequence[MLOperand]:
    """Two groups, of which one reads the results of the other."""
    p, q = (b.matmul(x, b.constant(random(8, 8))) for _ in range(2))
    y = b.tanh(b.add(p, q))
    return [b.matmul(y, b.constant(random(8, 3))), b.matmul(y, b.constant(random(8, 4))), p]


def in_three_dimensions(b: Builder, x: MLOperand) -> Sequence[MLOperand]:
    x = b.reshape(x, [1, 1, 8])
    return [b.add(b.matmul(x, b.constant(random(8, 3))), b.constant(random(3))) for _ in range(2)]


MERGED: dict[Function, list[str]] = {
    heads: ["matmul", "reshape", "split", "relu", "relu", "relu"],
    grouped_heads: ["matmul", "reshape", "split", "relu", "relu", "relu"],
    with_biases: ["gemm", "split"],
    of_shapes: ["matmul", "split", "reshape", "reshape", "neg"],
    in_turn: ["matmul", "split", "add", "tanh", "matmul", "split"],
    in_three_dimensions: ["reshape", "reshape", "gemm", "reshape", "split"],
}


@pytest.mark.parametrize("function", MERGED, ids=lambda function: function.__name__)
def test_products_of_the_same_row_become_one(function: Function) -> None:
    graph = graph_of(function)
    merged = products_of_one_row(graph)
    assert sorted(ops(merged)) == sorted(MERGED[function])
    assert [o.descriptor for o in merged.outputs.values()] == [o.descriptor for o in graph.outputs.values()]


@pytest.mark.parametrize("function", MERGED, ids=lambda function: function.__name__)
def test_the_results_are_the_same_to_the_bit(function: Function, monkeypatch: pytest.MonkeyPatch) -> None:
    for size in (8, 256) if function in (heads, grouped_heads) else (8,):
        graph, x = graph_of(function, [1, size]), {"x": random(1, size)}
        results = run_graph(graph, x, OnnxRuntimeBackend())
        with monkeypatch.context() as patch:
            patch.setattr(pipeline, "PASSES", [run for run in pipeline.PASSES if run.__name__ != "products_of_one_row"])
            expected = run_graph(graph, x, OnnxRuntimeBackend())
        for name, result in results.items():
            np.testing.assert_array_equal(result, expected[name], err_msg=name)


def two(weights: Sequence[Any], shape: Sequence[int] = (1, 8)) -> Graph:
    """Products of `x` and `weights`, some of which may be the same operand."""
    return graph_of(lambda b, x: [b.matmul(x, w) for w in (b.constant(w) for w in weights)], shape)


def test_products_of_several_rows_are_left_alone() -> None:
    graph = two([random(8, 3), random(8, 4)], [2, 8])
    assert products_of_one_row(graph) is graph


def test_products_of_different_rows_are_left_alone() -> None:
    graph = graph_of(lambda b, x: [b.matmul(y, b.constant(random(8, 3))) for y in (x, b.neg(x))])
    assert products_of_one_row(graph) is graph


def test_products_with_a_matrix_that_is_used_twice_are_left_alone() -> None:
    def function(b: Builder, x: MLOperand) -> Sequence[MLOperand]:
        w = b.constant(random(8, 8))
        return [b.matmul(x, w), b.matmul(b.neg(x), w), b.matmul(x, b.constant(random(8, 8)))]

    graph = graph_of(function)
    assert products_of_one_row(graph) is graph


def test_products_with_an_input_are_left_alone() -> None:
    graph = graph_of(lambda b, x: [b.matmul(x, b.input(name, [8, 3], "float32")) for name in "vw"])
    assert products_of_one_row(graph) is graph


def test_scaled_and_float16_products_are_left_alone() -> None:
    graph = graph_of(lambda b, x: [b.gemm(x, b.constant(random(8, 3)), alpha=2.0) for _ in range(2)])
    assert products_of_one_row(graph) is graph
    half = graph_of(
        lambda b, x: [b.matmul(b.cast(x, "float16"), b.constant(random(8, 3).astype(np.float16))) for _ in range(2)]
    )
    assert products_of_one_row(half) is half


def test_the_copies_of_large_matrices_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = graph_of(in_turn)
    monkeypatch.setattr(module, "_LARGE", 8 * 16 * 4)
    assert ops(products_of_one_row(graph)).count("split") == 2
    monkeypatch.setattr(module, "_LARGE", 8 * 16 * 4 - 1)
    assert ops(products_of_one_row(graph)).count("split") == 1
    monkeypatch.setattr(module, "_LARGE", 8 * 16 * 4)
    monkeypatch.setattr(module, "_COPIED", 8 * 16 * 4)
    assert ops(products_of_one_row(graph)).count("split") == 1


def test_the_label_of_a_product_stays() -> None:
    graph = graph_of(lambda b, x: [b.matmul(x, b.constant(random(8, 3)), label=name) for name in ("query", "key")])
    assert [node.label for node in products_of_one_row(graph).nodes] == ["query", "query"]
