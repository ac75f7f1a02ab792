"""Ray Data and Ray Serve."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import webnn
from tests.models import WEIGHT, image_model, layer
from tests.scaling.recipes import recipe

ray = pytest.importorskip("ray", reason="Ray is not installed: make scaling")
pytest.importorskip("ray.data", reason="Ray Data is not installed: make scaling")

pytestmark = [pytest.mark.timeout(240), pytest.mark.filterwarnings("default")]

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Path]:
    """Ray with two workers, everything that it writes in a folder that goes away; its sockets want a short path."""
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("HOME", str(folder))
        patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
        ray.init(
            num_cpus=4,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
            object_store_memory=80 << 20,
            _temp_dir=str(folder),
        )
        ray.data.DataContext.get_current().enable_progress_bars = False
        yield folder
        ray.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


def rows_of(dataset: Any) -> list[dict[str, Any]]:
    return sorted(dataset.take_all(), key=lambda row: row["id"])


def test_a_model_is_a_class_for_map_batches_with_batches_of_all_sizes(cluster: Path, tmp_path: Path) -> None:
    x = np.random.default_rng(0).random((100, 4), np.float32)
    dataset = ray.data.from_items([{"x": row, "id": i} for i, row in enumerate(x)], override_num_blocks=7)
    rows = rows_of(recipe("Ray Data")["infer"](dataset, str(layer(tmp_path))))
    assert [row["id"] for row in rows] == list(range(100))
    np.testing.assert_allclose([row["y"] for row in rows], np.maximum(x @ WEIGHT, 0), rtol=1e-5)
    assert {row["error"] for row in rows} == {""}


def test_an_async_model_is_one_too(cluster: Path, tmp_path: Path) -> None:
    x = np.random.default_rng(1).random((64, 4), np.float32)
    dataset = ray.data.from_items([{"x": row, "id": i} for i, row in enumerate(x)], override_num_blocks=4)
    results = dataset.map_batches(
        webnn.AsyncModel,
        fn_constructor_args=(str(layer(tmp_path)),),
        fn_constructor_kwargs={"batch": "batch", "keep": ["id"]},
        batch_size=8,
        compute=ray.data.ActorPoolStrategy(size=1),
    )
    np.testing.assert_allclose([row["y"] for row in rows_of(results)], np.maximum(x @ WEIGHT, 0), rtol=1e-5)


def test_a_row_that_fails_has_its_error_beside_the_results_of_the_others(cluster: Path, tmp_path: Path) -> None:
    images = [np.full((3, 4 + i % 2, 4), i, np.float32) for i in range(10)]
    images[3] = np.ones((2, 4, 4), np.float32)
    dataset = ray.data.from_items([{"image": image, "id": i} for i, image in enumerate(images)], override_num_blocks=1)
    rows = rows_of(recipe("Ray Data")["infer"](dataset, str(image_model(tmp_path))))
    assert [row["id"] for row in rows if row["error"]] == [3]
    assert "expected float32 [3, height, width], got float32 [2, 4, 4]" in rows[3]["error"]
    assert [float(row["mean"][0, 0, 0]) for row in rows if not row["error"]] == [0, 1, 2, 4, 5, 6, 7, 8, 9]


def test_a_replica_of_ray_serve_awaits_its_runs(cluster: Path, tmp_path: Path) -> None:
    serve = pytest.importorskip("ray.serve", reason="Ray Serve is not installed: make scaling")
    x = np.random.default_rng(2).random((20, 4), np.float32)
    try:
        serve.start(http_options={"location": "NoServer"})
        handle = serve.run(recipe("Ray Serve")["Classifier"].bind(str(layer(tmp_path))), route_prefix=None)
        answers = [handle.remote({"x": row[None]}) for row in x]
        y = np.concatenate([answer.result(timeout_s=60)["y"] for answer in answers])
        np.testing.assert_allclose(y, np.maximum(x @ WEIGHT, 0), rtol=1e-5)
    finally:
        serve.shutdown()
