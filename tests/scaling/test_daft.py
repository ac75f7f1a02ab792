"""Daft."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.models import WEIGHT, layer
from tests.scaling.recipes import recipe

pytestmark = [pytest.mark.timeout(120), pytest.mark.filterwarnings("default")]


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """No word of the run leaves the machine."""
    monkeypatch.setenv("DAFT_ANALYTICS_ENABLED", "0")


daft = pytest.importorskip("daft", reason="Daft is not installed: make scaling")


def test_each_row_of_a_batch_has_its_own_result_or_error(tmp_path: Path) -> None:
    x = np.random.default_rng(0).random((1000, 4), np.float32)
    frame = daft.from_pydict({"x": [row.tolist() if i != 5 else [1.0] for i, row in enumerate(x)]})
    model = recipe("Daft")["Classifier"](str(layer(tmp_path)))
    results = frame.select(model.rows(frame["x"]).alias("result")).to_pydict()["result"]
    assert [i for i, result in enumerate(results) if result["error"]] == [5]
    assert results[5]["y"] is None
    assert "expected float32 [4], got float32 [1]" in results[5]["error"]
    found = [result["y"] for i, result in enumerate(results) if i != 5]
    np.testing.assert_allclose(found, np.maximum(np.delete(x, 5, 0) @ WEIGHT, 0), rtol=1e-5)


def test_thousands_of_coroutines_take_turns(tmp_path: Path) -> None:
    x = np.random.default_rng(1).random((5000, 4), np.float32)
    frame = daft.from_pydict({"x": x.tolist()})
    model = recipe("Daft")["Classifier"](str(layer(tmp_path)))
    found = frame.select(model.row(frame["x"]).alias("y")).to_pydict()["y"]
    np.testing.assert_allclose(found, np.maximum(x @ WEIGHT, 0), rtol=1e-5)
