"""Long sums, means and products: which become stages, and what they come to."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
import pytest

from tests.direct import direct_builder, run_graph
from webnn.backends.onnxruntime.backend import OnnxRuntimeBackend
from webnn.backends.onnxruntime.passes.staged_sums import staged_sums
from webnn.graph.dtypes import DataType
from webnn.graph.ir import Graph


def a_reduction(op: str, shape: Sequence[int], axes: Sequence[int], data_type: DataType = "float32") -> Graph:
    builder = direct_builder()
    return builder.build({"y": getattr(builder, op)(builder.input("x", shape, data_type), axes=axes)})


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((513, 3), [0]),
        ((1031, 2), [0]),  # a prime number
        ((4099,), [0]),
        ((2, 100_003), [1]),
        ((3, 1200, 4), [1]),
        ((1, 4096, 1), [0, 1]),
        ((40, 5, 40), [2, 0]),
        ((700, 2, 1), [2, 0]),
        ((1, 2, 700, 3), [2, 0]),
        ((5, 50, 50, 3), [1, 2]),
        ((2, 30, 1, 50, 2, 3), [1, 2, 3, 5]),
        ((300_000, 2), [1, 0]),
    ],
)
@pytest.mark.parametrize("data_type", ["float32", "float16"])
def test_sums_and_means_in_stages(shape: tuple[int, ...], axes: list[int], data_type: DataType) -> None:
    x = (np.random.default_rng(0).uniform(0.5, 1, shape) / (1 if data_type == "float32" else 64)).astype(data_type)
    for op, exact in (("reduce_sum", np.sum), ("reduce_mean", np.mean)):
        graph = a_reduction(op, shape, axes, data_type)
        staged = staged_sums(graph)
        assert staged is not graph
        counts = [prod(n["input"].shape[axis] for axis in n.attributes["axes"]) for n in staged.nodes if n.op == op]
        assert max(counts) <= 4096
        result = run_graph(staged, {"x": x}, OnnxRuntimeBackend())["y"]
        expected = exact(x.astype("d"), axis=tuple(axes))
        np.testing.assert_allclose(result, expected, rtol=3e-6 if data_type == "float32" else 1e-3)


@pytest.mark.parametrize("count", [4096, 4099])
def test_products_in_stages(count: int) -> None:
    x = np.random.default_rng(0).uniform(0.99, 1.01, (count, 2)).astype("f")
    staged = staged_sums(a_reduction("reduce_product", x.shape, [0]))
    assert sum(node.op == "reduce_product" for node in staged.nodes) > 1
    result = run_graph(staged, {"x": x}, OnnxRuntimeBackend())["y"]
    np.testing.assert_allclose(result, x.astype("d").prod(0), rtol=1e-5)


@pytest.mark.parametrize("shape", [(2**24 + 3,), (2**24 + 3, 1)])
def test_counting_does_not_stop_at_2_to_the_24th(shape: tuple[int, ...]) -> None:
    ones = np.ones(shape, np.float32)
    result = run_graph(staged_sums(a_reduction("reduce_sum", shape, [0])), {"x": ones}, OnnxRuntimeBackend())["y"]
    assert (result.reshape(()) - np.float32(2**24 + 3)) == 0


def test_a_mean_of_large_numbers_does_not_overflow_sooner_than_that_of_one_part() -> None:
    x = np.full((2**16,), 1e35, np.float32)
    result = run_graph(staged_sums(a_reduction("reduce_mean", x.shape, [0])), {"x": x}, OnnxRuntimeBackend())["y"]
    assert result == pytest.approx(1e35, rel=1e-5)


def test_short_ones_and_integers_are_left_as_they_are() -> None:
    for graph in (
        a_reduction("reduce_sum", (512, 9), [0]),
        a_reduction("reduce_mean", (9, 4096), [1]),
        a_reduction("reduce_sum", (5000, 2), [0], "int32"),
        a_reduction("reduce_max", (5000, 2), [0]),
    ):
        assert staged_sums(graph) is graph
