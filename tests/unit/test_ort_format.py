"""Files in onnxruntime's own format give the graph of the ONNX file that they were made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import parser

import webnn
from webnn.errors import DataError
from webnn.formats.files import outline_of
from webnn.formats.onnx.file.ort_format import as_onnx

MODEL = """
<ir_version: 8, opset_import: ["": 17]>
g (float[n, 4] x, bool c) => (float[n, 3] y)
<float[4, 3] w = {1, -2, 3, -4, 5, -6, 7, -8, 9, -10, 11, -12}> {
    h = MatMul (x, w)
    y = If (c) <then_branch = graph () => (float[n, 3] y) { y = Relu (h) },
                else_branch = graph () => (float[n, 3] y) { y = Neg (h) }>
}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A model with an open dimension and subgraphs in onnxruntime's format."""
    path = tmp_path / "model.ort"
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(path)
    options.add_session_config_entry("session.save_model_format", "ORT")
    model = parser.parse_model(MODEL).SerializeToString()
    onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return path


@pytest.mark.parametrize("condition", [True, False])
def test_a_file_in_the_format_computes_what_onnxruntime_computes_from_it(path: Path, condition: bool) -> None:
    x = np.arange(8, dtype=np.float32).reshape(2, 4) - 3
    feeds = {"x": x, "c": np.array(condition)}
    (wanted,) = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, feeds)
    for source in (path, path.read_bytes()):
        graph = webnn.load_onnx(source, shapes={"n": 2}, constants={"c": condition})
        np.testing.assert_allclose(graph.context.compute(graph, {"x": x})["y"], wanted)


def test_a_model_object_and_an_outline_take_the_format_by_its_suffix(path: Path) -> None:
    model = webnn.Model(path, constants={"c": True}, shapes={"n": 1})
    assert model({"x": np.ones((1, 4), np.float32)})["y"].tolist() == [[0, 6, 0]]
    outline = outline_of(path)
    assert outline is not None
    assert [value.name for value in outline.inputs] == ["x", "c"]
    assert outline.operators["If"] == 1


def test_a_file_that_is_cut_off_is_an_error_that_says_which(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match=r"model\.ort' is in onnxruntime's format, and onnxruntime cannot read it"):
        webnn.load_onnx(path, shapes={"n": 1})


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted on Linux only")
def test_the_conversion_starts_no_threads(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, started = onnxruntime.InferenceSession, []

    def watched(*args: Any, **options: Any) -> onnxruntime.InferenceSession:
        before = {task.name for task in Path("/proc/self/task").iterdir()}
        session = made(*args, **options)
        started.append({task.name for task in Path("/proc/self/task").iterdir()} - before)
        return session

    monkeypatch.setattr(onnxruntime, "InferenceSession", watched)
    as_onnx(path, "the file")
    assert started == [set()]
