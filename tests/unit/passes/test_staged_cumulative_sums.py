"""Long running sums."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import pytest

from tests.direct import direct_builder, run_graph
from webnn.backends.onnxruntime.backend import OnnxRuntimeBackend
from webnn.backends.onnxruntime.passes.staged_cumulative_sums import staged_cumulative_sums
from webnn.graph.dtypes import DataType
from webnn.graph.ir import Graph

Array: TypeAlias = np.ndarray[Any, Any]


def a_running_sum(shape: tuple[int, ...], axis: int, data_type: DataType = "float32", **options: Any) -> Graph:
    builder = direct_builder()
    return builder.build({"y": builder.cumulative_sum(builder.input("x", shape, data_type), axis, **options)})


def exact(x: Array, axis: int, exclusive: bool, reversed: bool) -> Array:
    x = np.flip(x, axis) if reversed else x
    sums: Array = np.cumsum(x, axis, dtype="d")
    sums = sums - x if exclusive else sums
    return np.flip(sums, axis) if reversed else sums


@pytest.mark.parametrize(
    ("shape", "axis"), [((513,), 0), ((70_000,), 0), ((2, 1100, 3), 1), ((2, 65_536 + 64), 1), ((1031, 2), 0)]
)
@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("reversed", [False, True])
def test_running_sums_in_stages(shape: tuple[int, ...], axis: int, exclusive: bool, reversed: bool) -> None:
    x = np.random.default_rng(0).uniform(0.5, 1, shape).astype("f")
    staged = staged_cumulative_sums(a_running_sum(shape, axis, exclusive=exclusive, reversed=reversed))
    lengths = [n["input"].shape[n.attributes["axis"]] for n in staged.nodes if n.op == "cumulative_sum"]
    assert max(lengths) <= 512
    result = run_graph(staged, {"x": x}, OnnxRuntimeBackend())["y"]
    np.testing.assert_allclose(result, exact(x, axis, exclusive, reversed), rtol=3e-6, atol=1e-6)


def test_counting_does_not_stop_at_2_to_the_24th() -> None:
    ones = np.ones(2**24 + 3, np.float32)
    result = run_graph(staged_cumulative_sums(a_running_sum(ones.shape, 0)), {"x": ones}, OnnxRuntimeBackend())["y"]
    assert result[-1] == np.float32(2**24 + 3)
    assert result[2**23] == 2**23 + 1


def test_an_infinity_and_a_nan_change_only_the_sums_that_hold_them() -> None:
    x = np.ones(2000, np.float32)
    x[100], x[1500] = np.inf, np.nan
    result = run_graph(staged_cumulative_sums(a_running_sum(x.shape, 0)), {"x": x}, OnnxRuntimeBackend())["y"]
    np.testing.assert_array_equal(result, np.cumsum(x))


def test_float16_is_computed_in_float32() -> None:
    x = np.full(3000, 0.125, np.float16)
    result = run_graph(staged_cumulative_sums(a_running_sum(x.shape, 0, "float16")), {"x": x}, OnnxRuntimeBackend())[
        "y"
    ]
    np.testing.assert_array_equal(result, np.cumsum(x, dtype="f").astype(np.float16))


def test_short_ones_and_integers_are_left_as_they_are() -> None:
    for graph in (a_running_sum((512, 9), 0), a_running_sum((5000,), 0, "int32")):
        assert staged_cumulative_sums(graph) is graph
