"""Which `sigmoid` keeps its digits, and which stays one node."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from tests.direct import direct_builder, run_graph
from webnn.backends.onnxruntime.backend import OnnxRuntimeBackend
from webnn.backends.onnxruntime.passes.exact_sigmoid import exact_sigmoid
from webnn.graph.dtypes import DataType
from webnn.graph.ir import Graph


def operators(graph: Graph) -> Counter[str]:
    return Counter(node.op for node in graph.nodes)


def test_a_sigmoid_is_one_node_where_it_is_only_a_factor() -> None:
    builder = direct_builder()
    x = builder.input("x", [2], "float32")
    gate, moved, seen, added, moved_out = (builder.sigmoid(builder.linear(x, alpha=alpha)) for alpha in range(2, 7))
    outputs = {
        "y": builder.mul(x, gate),
        "seen": seen,
        "z": builder.mul(seen, builder.add(added, added)),
        "moved": builder.mul(x, builder.expand(builder.reshape(moved, [2, 1]), [2, 2])),
        "moved_out": builder.reshape(moved_out, [2, 1]),
    }
    found = operators(exact_sigmoid(builder.build(outputs)))
    assert (found["sigmoid"], found["exp"], found["reciprocal"]) == (2, 3, 3)


def test_a_long_chain_of_readers_is_not_followed_to_its_end() -> None:
    builder = direct_builder()
    y = builder.sigmoid(builder.input("x", [2, 3], "float32"))
    for _ in range(20):
        y = builder.transpose(y)
    assert operators(exact_sigmoid(builder.build({"y": builder.matmul(y, builder.transpose(y))})))["sigmoid"] == 0


def test_a_graph_without_a_rough_sigmoid_is_the_same_object() -> None:
    for op in ("tanh", "sigmoid"):
        builder = direct_builder()
        x = builder.input("x", [2], "float32")
        graph = builder.build({"y": builder.mul(x, getattr(builder, op)(x))})
        assert exact_sigmoid(graph) is graph


@pytest.mark.parametrize(("data_type", "rtol"), [("float32", 1e-6), ("float16", 2e-3)])
def test_the_result_has_its_digits_and_its_type(data_type: DataType, rtol: float) -> None:
    builder = direct_builder()
    graph = builder.build({"y": builder.sigmoid(builder.input("x", [50], data_type))})
    x = np.linspace(-9, 0, 50).astype(data_type)
    result = run_graph(exact_sigmoid(graph), {"x": x}, OnnxRuntimeBackend())["y"]
    assert result.dtype == x.dtype
    np.testing.assert_allclose(result, 1 / (1 + np.exp(-x.astype("d"))), rtol=rtol)
