"""Sums of magnitudes, squares and exponentials, and logarithms of sums."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tests.direct import operator_graph, run_graph
from webnn.backends.onnxruntime.backend import OnnxRuntimeBackend
from webnn.backends.onnxruntime.passes.reductions_by_sums import reductions_by_sums
from webnn.graph.dtypes import DataType

OPS = ("reduce_l1", "reduce_log_sum", "reduce_log_sum_exp", "reduce_sum_square")


def reduced(op: str, values: Sequence[float], data_type: DataType = "float32") -> float:
    x = np.array(values, data_type)
    graph = reductions_by_sums(operator_graph(op, x.shape, data_type))
    assert all(node.op != op for node in graph.nodes)
    return float(run_graph(graph, {"x": x}, OnnxRuntimeBackend())["y"])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1000, 1000], 1000 + math.log(2)),
        ([-1000, -1000], -1000 + math.log(2)),
        ([3e38, -3e38], 3e38),
        ([-math.inf, -math.inf], -math.inf),
        ([-math.inf, 1], 1),
        ([math.inf, 1], math.inf),
    ],
)
def test_logarithms_of_sums_of_exponentials_out_of_range(values: list[float], expected: float) -> None:
    assert reduced("reduce_log_sum_exp", values) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("special", [math.nan, math.inf])
def test_infinity_and_nan_are_not_lost(op: str, special: float) -> None:
    result = reduced(op, [1, special, 2])
    assert math.isnan(result) if math.isnan(special) else result == math.inf


@pytest.mark.parametrize("op", OPS)
def test_float16_is_computed_in_float32(op: str) -> None:
    values = [600.0] * 100 if op in ("reduce_l1", "reduce_log_sum") else [2.0] * 100
    x = np.array(values)
    expected = {
        "reduce_l1": 60000,
        "reduce_log_sum": math.log(60000),
        "reduce_log_sum_exp": 2 + math.log(100),
        "reduce_sum_square": 400,
    }
    assert reduced(op, x.tolist(), "float16") == pytest.approx(expected[op], rel=1e-3)


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("options", [{"axes": [1]}, {"axes": [2, 0]}, {"axes": [0, 1], "keep_dimensions": True}])
def test_the_shape_is_kept(op: str, options: dict[str, Any]) -> None:
    graph = operator_graph(op, [2, 3, 4], **options)
    assert reductions_by_sums(graph).output_descriptors == graph.output_descriptors


def test_integers_and_reductions_along_no_axis_are_left_as_they_are() -> None:
    for graph in (operator_graph("reduce_l1", [2], "int32"), operator_graph("reduce_l1", [2], axes=[])):
        assert reductions_by_sums(graph) is graph
