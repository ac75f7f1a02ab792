"""Requests that schemathesis makes from the description of a server: by its schemas, and against them.

Needs the package schemathesis, which `make serving` installs in an environment of its own.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
pytest.importorskip("schemathesis")

from tests.integration.test_serving import half, layer, serving
from tests.integration.test_serving_load import metric

EXAMPLES = 20
"""Requests of each kind for each path."""


def test_every_request_by_the_description_and_against_it_is_answered_in_time(tmp_path: Path) -> None:
    models = [layer(tmp_path / "layer.onnx"), half(tmp_path / "half.onnx")]
    with serving(*models, "--timeout", "2") as (address, process):
        before = metric(address, "process_resident_memory_bytes")
        words = ["run", f"http://{address}/openapi.json", "--max-examples", str(EXAMPLES), "--request-timeout", "5"]
        # Left out: the number of elements follows from the shape, which a schema cannot say, so 400 is right for some
        # requests that the schema allows.
        words += ["--checks", "all", "--exclude-checks", "positive_data_acceptance", "--no-color"]
        done = subprocess.run(
            [sys.executable, "-c", "import sys; from schemathesis.cli import schemathesis; schemathesis()", *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=50,
            cwd=tmp_path,
        )
        assert done.returncode == 0, done.stdout[-9000:] + done.stderr[-2000:]
        assert metric(address, "process_resident_memory_bytes") - before < 32e6
        assert metric(address, "webnn_requests_in_progress") <= 1
        process.terminate()
        assert process.wait(20) == 0
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()
