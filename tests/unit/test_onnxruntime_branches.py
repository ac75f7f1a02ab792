"""Choices of which onnxruntime computes one side."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.direct import direct_builder, run_graph
from webnn.backends.arrays.backend import ArraysBackend
from webnn.backends.onnx.lower import lower
from webnn.backends.onnxruntime.backend import OnnxRuntimeBackend
from webnn.backends.onnxruntime.branches import choose_branches
from webnn.backends.onnxruntime.kernels import cpu_kernels
from webnn.graph.builder import MLGraphBuilder
from webnn.graph.ir import Graph
from webnn.graph.operand import MLOperand

W = np.random.default_rng(0).normal(size=(8, 8)).astype(np.float32)


def operators(graph: Graph) -> list[str]:
    model = lower(graph, cpu_kernels())
    proto = model.finish()
    choose_branches(graph, model, proto)
    return [node.op_type for node in proto.graph.node]


def layer(b: MLGraphBuilder[Any], x: MLOperand, factor: float) -> MLOperand:
    return b.relu(b.matmul(x, b.constant(W * np.float32(factor))))


def is_positive(b: MLGraphBuilder[Any], x: MLOperand) -> MLOperand:
    return b.greater(b.reduce_sum(x), b.constant("float32", 0))


def check(graph: Graph) -> None:
    for x in (np.ones((2, 8), np.float32), np.full((2, 8), -1, np.float32)):
        wanted = run_graph(graph, {"x": x}, ArraysBackend())
        found = run_graph(graph, {"x": x}, OnnxRuntimeBackend())
        for name, array in wanted.items():
            np.testing.assert_allclose(found[name], array, rtol=1e-5, atol=1e-5)


def test_a_network_that_is_not_chosen_is_not_computed() -> None:
    b = direct_builder()
    x = b.input("x", [2, 8], "float32")
    y = b.where(is_positive(b, x), layer(b, layer(b, x, 1), 2), layer(b, x, -3))
    graph = b.build({"y": y})
    assert operators(graph) == ["ReduceSum", "Greater", "If"]
    check(graph)


def test_a_branch_may_have_another_choice_in_it() -> None:
    b = direct_builder()
    x = b.input("x", [2, 8], "float32")
    inner = b.where(is_positive(b, b.neg(x)), layer(b, x, -1), x)
    graph = b.build({"y": b.add(x, b.where(is_positive(b, x), layer(b, x, 1), layer(b, inner, 2)))})
    assert operators(graph) == ["ReduceSum", "Greater", "If", "Add"]
    check(graph)


@pytest.mark.parametrize("shared", ["output", "reader", "condition"])
def test_what_is_needed_elsewhere_stays_outside(shared: str) -> None:
    b = direct_builder()
    x = b.input("x", [2, 8], "float32")
    side = layer(b, x, 1)
    y = b.where(is_positive(b, side if shared == "condition" else x), side, x)
    outputs = {"y": b.add(y, side) if shared == "reader" else y}
    graph = b.build({**outputs, "side": side} if shared == "output" else outputs)
    assert "If" not in operators(graph)
    check(graph)


def test_sides_of_little_work_and_choices_of_elements_stay_as_they_are() -> None:
    b = direct_builder()
    x = b.input("x", [2, 8], "float32")
    cheap = b.where(is_positive(b, x), b.neg(x), b.abs(x))
    each = b.where(b.greater(x, b.constant("float32", 0)), layer(b, x, 1), x)
    row = b.where(is_positive(b, x), layer(b, x, 1), b.constant("float32", 7))
    graph = b.build({"cheap": cheap, "each": each, "row": row})
    assert "If" not in operators(graph)
    check(graph)
