"""GELU by tanh, in the ways in which it is written out."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from tests.direct import direct_builder, run_graph
from webnn import MLGraphBuilder, MLOperand
from webnn.backends.onnxruntime.backend import OnnxRuntimeBackend
from webnn.backends.onnxruntime.passes.tanh_gelus import tanh_gelus
from webnn.graph.dtypes import DataType
from webnn.graph.ir import Graph

Builder = MLGraphBuilder[Graph]
Formula = Callable[[Builder, MLOperand], MLOperand]
SLOPE = math.sqrt(2 / math.pi)


def number(builder: Builder, value: float, data_type: DataType = "float32") -> MLOperand:
    return builder.constant(data_type, value)


def of_jax(b: Builder, x: MLOperand) -> MLOperand:
    """x * (0.5 * (1 + tanh(slope * (x + x * (x * (x * 0.044715))))))."""
    cube = b.mul(x, b.mul(x, b.mul(number(b, 0.044715), x)))
    tanh = b.tanh(b.mul(number(b, SLOPE), b.add(x, cube)))
    return b.mul(x, b.mul(number(b, 0.5), b.add(number(b, 1), tanh)))


def with_power(b: Builder, x: MLOperand) -> MLOperand:
    """0.5 * x * (1 + tanh(slope * (x + 0.044715 * x**3)))."""
    cube = b.mul(b.pow(x, number(b, 3)), number(b, 0.044715))
    tanh = b.tanh(b.mul(b.add(x, cube), number(b, 0.7978846)))
    return b.mul(b.mul(number(b, 0.5), x), b.add(tanh, number(b, 1)))


def factored(b: Builder, x: MLOperand) -> MLOperand:
    """(x + x * tanh(x * slope * (1 + 0.044715 * x**2))) / 2."""
    square = b.mul(b.pow(x, number(b, 2)), number(b, 0.044715))
    tanh = b.tanh(b.mul(b.mul(x, number(b, SLOPE)), b.add(number(b, 1), square)))
    return b.div(b.add(x, b.mul(x, tanh)), number(b, 2))


def graph_of(formula: Formula, data_type: DataType = "float32") -> Graph:
    builder = direct_builder()
    x = builder.add(builder.input("x", [1, 999], data_type), builder.input("bias", [1, 999], data_type))
    return builder.build({"y": builder.neg(formula(builder, x))})


@pytest.mark.parametrize("formula", [of_jax, with_power, factored])
def test_the_formula_becomes_one_operator_with_the_same_result(formula: Formula) -> None:
    graph = graph_of(formula)
    prepared = tanh_gelus(graph)
    assert [node.op for node in prepared.nodes] == ["add", "gelu", "neg"]
    feeds = {"x": np.linspace(-12, 12, 999, dtype="f")[None], "bias": np.full((1, 999), 0.5, "f")}
    x = feeds["x"].astype("d") + 0.5
    exact = -0.5 * x * (1 + np.tanh(SLOPE * (x + 0.044715 * x**3)))
    result = run_graph(prepared, feeds, OnnxRuntimeBackend())["y"]
    np.testing.assert_allclose(result, exact, rtol=1e-6, atol=1e-6)
    wrong = exact + np.vectorize(lambda v: 0.5 * v * (1 + math.erf(v / math.sqrt(2))))(x)
    assert np.abs(wrong).max() > 1e-4  # the exact gelu is another function


def test_a_formula_after_another_one_becomes_one_operator_too() -> None:
    prepared = tanh_gelus(graph_of(lambda b, x: of_jax(b, with_power(b, x))))
    assert [node.op for node in prepared.nodes] == ["add", "gelu", "gelu", "neg"]


def test_a_tanh_that_others_read_is_still_computed_for_them() -> None:
    builder = direct_builder()
    x = builder.input("x", [9], "float32")
    graph = builder.build({"y": with_power(builder, x)})
    tanh = next(node.output for node in graph.nodes if node.op == "tanh")
    both = Graph(list(graph.inputs.values()), {**graph.outputs, "tanh": tanh})
    assert {"tanh", "gelu"} <= {node.op for node in tanh_gelus(both).nodes}


@pytest.mark.parametrize(
    "formula",
    [
        lambda b, x: b.mul(x, b.mul(number(b, 0.5), b.add(number(b, 1), b.tanh(x)))),
        lambda b, x: b.mul(b.abs(x), b.div(of_jax(b, x), x)),
        lambda b, x: b.tanh(b.mul(x, number(b, SLOPE))),
        lambda b, x: b.add(of_jax(b, b.sigmoid(x)), b.tanh(x)),
    ],
    ids=["another argument", "divided by x", "only a tanh", "of something else"],
)
def test_other_formulas_keep_their_meaning(formula: Formula) -> None:
    graph = graph_of(formula)
    feeds = {"x": np.linspace(-3, 3, 999, dtype="f")[None], "bias": np.full((1, 999), 0.25, "f")}
    before, after = (run_graph(g, feeds, OnnxRuntimeBackend())["y"] for g in (graph, tanh_gelus(graph)))
    np.testing.assert_allclose(after, before, rtol=1e-5, atol=1e-6)


def test_another_factor_leaves_the_graph_as_it_is() -> None:
    def rounded(b: Builder, x: MLOperand) -> MLOperand:
        cube = b.mul(b.pow(x, number(b, 3)), number(b, 0.0447))
        tanh = b.tanh(b.mul(b.add(x, cube), number(b, SLOPE)))
        return b.mul(b.mul(number(b, 0.5), x), b.add(tanh, number(b, 1)))

    graph = graph_of(rounded)
    assert tanh_gelus(graph) is graph


def test_float16_and_graphs_without_a_tanh_are_left_as_they_are() -> None:
    builder = direct_builder()
    x = builder.input("x", [9], "float16")
    half = builder.build({"y": builder.mul(x, builder.tanh(x))})
    assert tanh_gelus(half) is half
    graph = graph_of(lambda b, x: b.mul(x, x))
    assert tanh_gelus(graph) is graph


def test_a_result_that_is_broadcast_is_left_as_it_is() -> None:
    builder = direct_builder()
    x = builder.input("x", [9], "float32")
    ones = builder.constant(np.ones((1, 1), np.float32))
    tanh = builder.tanh(
        builder.mul(
            builder.add(x, builder.mul(builder.pow(x, number(builder, 3)), number(builder, 0.044715))),
            number(builder, SLOPE),
        )
    )
    graph = builder.build({"y": builder.mul(builder.mul(number(builder, 0.5), x), builder.add(tanh, ones))})
    assert graph.outputs["y"].shape == (1, 9)
    assert tanh_gelus(graph) is graph
