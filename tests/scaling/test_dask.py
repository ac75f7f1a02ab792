"""Dask."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.models import WEIGHT, layer
from tests.scaling.recipes import recipe

pytestmark = [pytest.mark.timeout(120), pytest.mark.filterwarnings("default")]

arrays = pytest.importorskip("dask.array", reason="Dask is not installed: make scaling")


@pytest.mark.parametrize("scheduler", ["threads", "processes"])
def test_blocks_of_any_size_are_computed(scheduler: str, tmp_path: Path) -> None:
    x = np.random.default_rng(0).random((100, 4), np.float32)
    result = recipe("Dask")["infer"](arrays.from_array(x, chunks=(43, 4)), str(layer(tmp_path)), 3)
    np.testing.assert_allclose(result.compute(scheduler=scheduler), np.maximum(x @ WEIGHT, 0), rtol=1e-5)
