"""Large, small and long inputs: every backend keeps to the bounds that docs/behaviour.md states."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.direct import compute
from tests.property.bounds import BOUNDS, Bound, excess
from tests.property.trials import TRIALS, Chooser, calling
from webnn.backends.arrays.backend import ArraysBackend
from webnn.backends.base import Backend
from webnn.backends.onnxruntime.backend import OnnxRuntimeBackend

BACKENDS: Final[dict[str, Backend]] = {"onnxruntime": OnnxRuntimeBackend(), "arrays": ArraysBackend()}
BEHAVIOUR: Final = Path(__file__).resolve().parents[2] / "docs" / "behaviour.md"

on_each_backend = pytest.mark.parametrize("backend", BACKENDS)


@on_each_backend
@pytest.mark.parametrize("op", TRIALS)
@given(data=st.data())
def test_a_result_is_within_the_bound(op: str, backend: str, data: st.DataObject) -> None:
    trial = TRIALS[op](Chooser(data), op)
    result = compute(BACKENDS[backend], trial.build, *trial.arrays)
    assert result.shape == trial.exact.shape
    found = excess(result, trial.exact, trial.size, BOUNDS[op], trial.count)
    assert found <= 1, f"{found:.3g} times the bound, on {[(a.dtype.name, a.shape) for a in trial.arrays]}"


MANY: Final = 4096 * 4097
COUNTING: Final[dict[str, float]] = {
    "reduce_l1": MANY,
    "reduce_l2": MANY**0.5,
    "reduce_log_sum": np.log(MANY),
    "reduce_log_sum_exp": 1 + np.log(MANY),
    "reduce_mean": 1,
    "reduce_sum": MANY,
    "reduce_sum_square": MANY,
    "cumulative_sum": MANY,
    "average_pool2d": 1,
    "l2_pool2d": MANY**0.5,
}
"""What so many ones come to."""


@on_each_backend
@pytest.mark.parametrize("op", COUNTING)
def test_counting_ones_does_not_stop_at_2_to_the_24th(op: str, backend: str) -> None:
    ones = np.ones((1, 1, 4096, 4097) if "pool" in op else (MANY, 1), np.float32)
    args = [0] if op == "cumulative_sum" else []
    result = compute(BACKENDS[backend], lambda builder, x: getattr(builder, op)(x, *args), ones)
    assert float(result.reshape(-1)[-1]) == pytest.approx(COUNTING[op], rel=2e-6)


@on_each_backend
@pytest.mark.parametrize("data_type", ["int32", "uint32", "int64", "uint64"])
@pytest.mark.parametrize("op", ["reduce_l1", "reduce_product", "reduce_sum", "reduce_sum_square", "cumulative_sum"])
@given(data=st.data())
def test_integers_wrap_around(op: str, data_type: str, backend: str, data: st.DataObject) -> None:
    choose = Chooser(data)
    bounds = np.iinfo(data_type)
    x = choose.rng.integers(bounds.min, bounds.max, (choose.size(5000), 2), np.dtype(data_type).type, endpoint=True)
    dtype: Any = x.dtype
    if op == "reduce_product":
        x |= 1  # of odd factors every bit of the product counts
    expected: Any
    match op:
        case "reduce_l1":
            expected = np.abs(x).sum(0, dtype)
        case "reduce_product":
            expected = x.prod(0, dtype)
        case "reduce_sum":
            expected = x.sum(0, dtype)
        case "reduce_sum_square":
            expected = (x * x).sum(0, dtype)
        case _:
            expected = x.cumsum(0, dtype)
    option = {"axis": 0} if op == "cumulative_sum" else {"axes": [0]}
    result = compute(BACKENDS[backend], lambda builder, x: getattr(builder, op)(x, **option), x)
    np.testing.assert_array_equal(result, expected)


@on_each_backend
@given(data=st.data())
def test_quantized_numbers_of_any_size_are_those_of_the_float32_quotient(backend: str, data: st.DataObject) -> None:
    choose = Chooser(data)
    dtype: Any = choose.pick([np.int8, np.uint8])
    x = choose.numbers([2000], np.float32, (1e-38, 1e-30, 1, 1e30))
    scale = (np.abs(x).max(keepdims=True) / 200).astype(np.float32)
    zero_point = np.array([3], dtype)
    bounds = np.iinfo(dtype)
    expected = np.clip(np.rint(x / scale).astype(np.int64) + 3, bounds.min, bounds.max).astype(dtype)
    result = compute(BACKENDS[backend], calling("quantize_linear"), x, scale, zero_point)
    np.testing.assert_array_equal(result, expected)


ONE: Final = np.ones(1, np.longdouble)


def test_an_error_beyond_the_bound_is_noticed() -> None:
    result = np.array([1 + 2**-20], np.float32)
    assert excess(result, ONE, ONE, Bound(8)) == 1
    assert excess(result, ONE, ONE, Bound(4)) == 2
    assert excess(result, ONE, 4 * ONE, Bound(4)) == 0.5
    assert excess(result, ONE, ONE, Bound(0, for_each=2), count=4) == 1
    assert excess(result, ONE, ONE, Bound(0, below=2**-20)) == 1


def test_float16_may_be_one_of_its_ulps_off() -> None:
    result = np.array([1 + 2**-10], np.float16)
    assert excess(result, ONE, ONE, Bound(1)) < 1
    assert excess(result + result.dtype.type(2**-10), ONE, ONE, Bound(1)) > 1


def test_an_infinity_is_only_right_at_the_end_of_the_range() -> None:
    infinite, largest = np.array([np.inf], np.float32), np.finfo(np.float32).max * ONE
    assert excess(infinite, largest, ONE, Bound(1)) == 0
    assert excess(infinite, 2 * largest, ONE, Bound(1)) == 0
    assert excess(infinite, largest / 2, ONE, Bound(1)) == np.inf
    assert excess(-infinite, largest, ONE, Bound(1)) == np.inf
    assert excess(np.array([1], np.float32), 2 * largest, ONE, Bound(1)) == np.inf


def test_every_bound_has_a_trial() -> None:
    assert set(BOUNDS) == set(TRIALS)


def test_the_documentation_states_the_bounds() -> None:
    row = r"^\| (`.*`) \| ([\d./]+)(?: \+ (\S+) for each value)? \| ([^|]+) \|"
    rows = re.findall(row, BEHAVIOUR.read_text(encoding="utf-8"), re.MULTILINE)
    stated = {
        op: (float(ulps), _number(for_each), of)
        for ops, ulps, for_each, of in rows
        for op in re.findall(r"`(\w+)`", ops)
    }
    assert stated == {op: (bound.ulps, bound.for_each, bound.of) for op, bound in BOUNDS.items()}


def _number(text: str) -> float:
    """A number or a fraction; 0 where there is none."""
    above, _, below = text.partition("/")
    return float(above or 0) / float(below or 1)
