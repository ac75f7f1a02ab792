"""Why passes for accuracy are there: the kernels alone are off. A test that fails here says that its pass may go."""

from __future__ import annotations

import numpy as np
import pytest

from tests.direct import compute
from webnn.backends.onnxruntime.backend import OnnxRuntimeBackend
from webnn.backends.onnxruntime.passes import pipeline

BACKEND = OnnxRuntimeBackend()


@pytest.fixture(autouse=True)
def no_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "PASSES", ())


def test_norms_in_range_is_needed() -> None:
    x = np.array([1e30, 1e30], np.float32)
    assert compute(BACKEND, lambda builder, x: builder.reduce_l2(x), x) == np.inf
    x = x.reshape(1, 1, 1, 2)
    assert compute(BACKEND, lambda builder, x: builder.l2_pool2d(x), x) == np.inf


@pytest.mark.parametrize("op", ["reduce_sum", "reduce_l1", "reduce_sum_square"])
def test_staged_sums_and_reductions_by_sums_are_needed(op: str) -> None:
    x = np.full((2**20, 2), 0.1, np.float32)
    exact = 2**20 * (0.01 if op == "reduce_sum_square" else 0.1)
    result = compute(BACKEND, lambda builder, x: getattr(builder, op)(x, axes=[0]), x)
    assert np.abs(result / exact - 1).max() > 1e-3


def test_reductions_by_sums_is_needed_for_logarithms() -> None:
    x = (np.random.default_rng(0).standard_normal(151_936) * 3).astype(np.float32)
    exact = np.log(np.exp(x.astype("d")).sum())
    assert abs(float(compute(BACKEND, lambda builder, x: builder.reduce_log_sum_exp(x), x)) / exact - 1) > 5e-6


def test_staged_cumulative_sums_is_needed() -> None:
    ones = np.ones(2**24 + 8, np.float32)
    assert compute(BACKEND, lambda builder, x: builder.cumulative_sum(x, 0), ones)[-1] == 2**24


def test_staged_average_pools_is_needed() -> None:
    x = np.full((1, 1, 1024, 1024), 255, np.float32)
    assert compute(BACKEND, lambda builder, x: builder.average_pool2d(x), x) > 255.5


def test_centered_instance_normalization_is_needed() -> None:
    x = (np.random.default_rng(0).standard_normal((1, 1, 256, 256)) + 1000).astype(np.float32)
    exact = (x.astype("d") - x.mean(dtype="d")) / np.sqrt(x.var(dtype="d") + 1e-5)
    assert np.abs(compute(BACKEND, lambda builder, x: builder.instance_normalization(x), x) - exact).max() > 5e-5


def test_exact_elu_is_needed() -> None:
    assert compute(BACKEND, lambda builder, x: builder.elu(x), np.array([-1e-8], np.float32)) == 0
