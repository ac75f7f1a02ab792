"""The example that reads a picture: lines are found in the detector's map, and texts in the recognizer's."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from examples import read_text as example


def test_stretches_with_small_gaps_are_one() -> None:
    marks = np.array([0, 1, 1, 0, 1, 0, 0, 0, 1], bool)
    assert list(example.runs(marks, 1)) == [(1, 5), (8, 9)]
    assert list(example.runs(marks, 0)) == [(1, 3), (4, 5), (8, 9)]
    assert list(example.runs(np.zeros(4, bool), 1)) == []


def test_lines_come_in_reading_order_with_a_margin() -> None:
    probabilities = np.zeros((64, 200), np.float32)
    probabilities[10:14, 20:60] = probabilities[10:14, 100:120] = 0.9
    probabilities[40:44, 5:50] = 0.9
    assert list(example.lines_in(probabilities)) == [(16, 8, 64, 16), (96, 8, 124, 16), (1, 38, 54, 46)]


def test_repetitions_and_blanks_are_left_out() -> None:
    steps = np.array([0, 1, 1, 0, 2, 2, 3, 0, 3])
    assert example.spelled(np.eye(4, dtype=np.float32)[steps][None], ["a", "b", "c"]) == "abcc"


@pytest.mark.skipif(example.models() is None, reason="needs the models of rapidocr-onnxruntime: make test installs it")
def test_the_drawn_picture_is_read(capsys: pytest.CaptureFixture[str]) -> None:
    asyncio.run(example.main(None))
    texts = [line.partition(": ")[2] for line in capsys.readouterr().out.splitlines()]
    assert texts == ["Hello from Python", "one graph, two models", "2026"]


def test_without_the_package_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(example, "models", lambda: None)
    with pytest.raises(SystemExit, match=r"pip install --no-deps --ignore-requires-python rapidocr-onnxruntime=="):
        asyncio.run(example.main(None))


def test_what_is_no_picture_is_an_error_without_a_traceback(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(example, "models", lambda: tmp_path)
    with pytest.raises(SystemExit, match=r"absent\.png: No such file or directory"):
        asyncio.run(example.main(tmp_path / "absent.png"))
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(SystemExit, match=r"text\.png: cannot identify image file"):
        asyncio.run(example.main(tmp_path / "text.png"))
