"""`elu` near 0 and far from it."""

from __future__ import annotations

import numpy as np
import pytest

from tests.direct import direct_builder, run_graph
from webnn.backends.onnxruntime.backend import OnnxRuntimeBackend
from webnn.backends.onnxruntime.passes.exact_elu import exact_elu
from webnn.graph.dtypes import DataType
from webnn.graph.ir import Graph


def an_elu(count: int, alpha: float = 1.0, data_type: DataType = "float32") -> Graph:
    builder = direct_builder()
    return builder.build({"y": builder.elu(builder.input("x", [count], data_type), alpha=alpha)})


@pytest.mark.parametrize("alpha", [1.0, 0.25, -3.0])
def test_numbers_near_0_keep_their_digits(alpha: float) -> None:
    x = np.concatenate([-np.geomspace(1e-30, 100, 999), [0, 1e-30, 1, 1e30]]).astype("f")
    result = run_graph(exact_elu(an_elu(x.size, alpha)), {"x": x}, OnnxRuntimeBackend())["y"]
    exact = np.where(x >= 0, x.astype("d"), alpha * np.expm1(np.minimum(x, 0).astype("d")))
    np.testing.assert_allclose(result, exact, rtol=1e-6, atol=0)


def test_infinities_and_nan_come_out_as_from_the_kernel() -> None:
    x = np.array([-np.inf, np.inf, np.nan], "f")
    result = run_graph(exact_elu(an_elu(3)), {"x": x}, OnnxRuntimeBackend())["y"]
    np.testing.assert_array_equal(result, [-1, np.inf, np.nan])


def test_float16_is_left_as_it_is() -> None:
    graph = an_elu(3, data_type="float16")
    assert exact_elu(graph) is graph


def test_an_elu_is_one_node_where_only_products_read_it() -> None:
    builder = direct_builder()
    x, w = builder.input("x", [2, 4], "float32"), builder.input("w", [4, 4], "float32")
    between, moved, seen, added = (builder.elu(builder.linear(x, alpha=alpha)) for alpha in range(2, 6))
    outputs = {
        "between": builder.matmul(between, w),
        "moved": builder.gemm(builder.reshape(moved, [2, 4]), w),
        "seen": seen,
        "product": builder.matmul(seen, w),
        "added": builder.add(added, builder.matmul(added, w)),
    }
    found = [node.op for node in exact_elu(builder.build(outputs)).nodes]
    assert (found.count("elu"), found.count("tanh")) == (2, 2)


def test_a_graph_whose_elus_are_all_before_products_is_the_same_object() -> None:
    builder = direct_builder()
    x, w = builder.input("x", [2, 4], "float32"), builder.input("w", [4, 4], "float32")
    graph = builder.build({"y": builder.matmul(builder.elu(x), w)})
    assert exact_elu(graph) is graph
