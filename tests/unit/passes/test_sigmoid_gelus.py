"""SiLU, and GELU by the sigmoid, as one operator of onnxruntime."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.direct import direct_builder, run_graph
from webnn import MLGraphBuilder, MLOperand
from webnn.backends.arrays.backend import ArraysBackend
from webnn.backends.onnxruntime.backend import OnnxRuntimeBackend
from webnn.backends.onnxruntime.passes.sigmoid_gelus import sigmoid_gelus
from webnn.graph.composites.composite import expanded
from webnn.graph.ir import Graph

Builder = MLGraphBuilder[Graph]
Form = Callable[[Builder, MLOperand], MLOperand]

FORMS: dict[str, Form] = {
    "silu": lambda b, x: b.mul(x, b.sigmoid(x)),
    "silu, the other way round": lambda b, x: b.mul(b.sigmoid(x), x),
    "by a product": lambda b, x: b.mul(x, b.sigmoid(b.mul(b.constant("float32", 1.702), x))),
    "by a linear function": lambda b, x: b.mul(x, b.sigmoid(b.linear(x, alpha=1.702))),
}


def graph_of(form: Form) -> Graph:
    b = direct_builder()
    return b.build({"y": b.neg(form(b, b.input("x", [3, 333], "float32")))})


@pytest.mark.parametrize("name", FORMS)
def test_each_form_becomes_one_operator_with_the_same_result(name: str) -> None:
    graph = graph_of(FORMS[name])
    prepared = sigmoid_gelus(graph)
    assert [node.op for node in prepared.nodes] == ["sigmoid_gelu", "neg"]
    feeds = {"x": np.linspace(-15, 15, 999, dtype=np.float32).reshape(3, 333)}
    expected = run_graph(graph, feeds, ArraysBackend())["y"]
    np.testing.assert_array_max_ulp(run_graph(expanded(prepared), feeds, ArraysBackend())["y"], expected, 1)
    result = run_graph(prepared, feeds, OnnxRuntimeBackend())["y"]
    # The kernel's sigmoid is good to 1e-7, as where onnxruntime fuses the operators itself.
    assert np.abs(result - expected).max() <= 4 * np.spacing(np.float32(15))


@pytest.mark.parametrize(
    "form",
    [
        lambda b, x: b.mul(x, b.sigmoid(b.neg(x))),
        lambda b, x: b.mul(x, b.sigmoid(b.linear(x, alpha=2, beta=1))),
        lambda b, x: b.mul(b.abs(x), b.sigmoid(x)),
        lambda b, x: b.add(b.mul(x, gate := b.sigmoid(x)), gate),
    ],
    ids=["negative", "shifted", "of another", "a sigmoid that is read"],
)
def test_what_only_looks_alike_is_left_as_it_is(form: Form) -> None:
    graph = graph_of(form)
    assert sigmoid_gelus(graph) is graph
