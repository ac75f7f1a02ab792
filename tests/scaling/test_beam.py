"""Apache Beam."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import webnn
from tests.models import WEIGHT, layer
from tests.scaling.recipes import recipe
from webnn.model.model import _models

beam = pytest.importorskip("apache_beam", reason="Apache Beam is not installed: make scaling")

pytestmark = [pytest.mark.timeout(120), pytest.mark.filterwarnings("default")]


def test_every_item_has_a_result_and_a_bad_one_does_not_fail_its_bundle(tmp_path: Path) -> None:
    from apache_beam.ml.inference.base import RunInference  # noqa: PLC0415
    from apache_beam.testing.util import assert_that  # noqa: PLC0415

    x = np.random.default_rng(0).random((50, 4), np.float32)
    items = [row if i != 5 else row[:3] for i, row in enumerate(x)]
    handler = recipe("Beam")["WebnnHandler"](str(layer(tmp_path)), batch="batch")

    def check(results: list[Any]) -> None:
        assert len(results) == 50
        failed = [result for result in results if isinstance(result.inference, webnn.ItemError)]
        assert len(failed) == 1
        assert failed[0].example.shape == (3,)
        for result in results:
            if not isinstance(result.inference, webnn.ItemError):
                np.testing.assert_allclose(result.inference["y"], np.maximum(result.example @ WEIGHT, 0), rtol=1e-5)

    try:
        with beam.Pipeline() as pipeline:
            assert_that(pipeline | beam.Create(items) | RunInference(handler), check)
    finally:
        for model in list(_models):  # Beam keeps the model of its workers, which are threads of this process here
            model.close()
