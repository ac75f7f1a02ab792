"""Spark."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.models import WEIGHT, layer
from tests.scaling.recipes import recipe

pytestmark = [pytest.mark.timeout(120), pytest.mark.filterwarnings("default")]

sql = pytest.importorskip("pyspark.sql", reason="PySpark is not installed: make scaling")


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A session with two workers, which writes nothing outside of a temporary folder."""
    if shutil.which("java") is None:
        pytest.skip("Spark needs Java")
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    monkeypatch.setenv("SPARK_LOCAL_DIRS", str(tmp_path))
    monkeypatch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
    monkeypatch.chdir(tmp_path)
    options = {
        "spark.driver.memory": "512m",
        "spark.sql.warehouse.dir": str(tmp_path / "warehouse"),
        "spark.ui.enabled": "false",
    }
    session = sql.SparkSession.builder.master("local[2]").config(map=options).getOrCreate()
    yield session
    session.stop()


def test_rows_are_predicted_in_batches_of_each_partition(session: Any, tmp_path: Path) -> None:
    x = np.random.default_rng(0).random((100, 4), np.float32)
    frame = session.createDataFrame([(i, row.tolist()) for i, row in enumerate(x)], "id int, x array<float>")
    predict = recipe("Spark")["classifier"](str(layer(tmp_path)), 4)
    found = {row.id: row.y for row in frame.repartition(3).select("id", predict("x").alias("y")).collect()}
    np.testing.assert_allclose([found[i] for i in range(100)], np.maximum(x @ WEIGHT, 0), rtol=1e-5)
