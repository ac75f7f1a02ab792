"""The example with a camera and two networks: what is seen, and which frames are left out."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

import webnn
from examples import camera as example

pytestmark = pytest.mark.skipif(not example.NETWORK.exists(), reason="this version of onnx has no test data")


def watched(rate: float, seconds: float) -> example.Outcome:
    async def watch() -> example.Outcome:
        async with webnn.create_context() as context:
            return await example.watch(context, example.Camera(rate, seconds))

    return asyncio.run(watch())


def test_what_moves_is_seen_where_it_is_and_every_frame_is_seen_or_left_out() -> None:
    outcome = watched(rate=2000, seconds=0.05)
    assert 1 <= len(outcome.delays) <= 100
    assert len(outcome.delays) + outcome.left_out == 100
    assert max(outcome.misses) < example.SQUARE
    report = example.report(outcome)
    assert f"{outcome.left_out} skipped" in report
    assert "99 % " in report


def test_a_network_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(example, "NETWORK", Path("nowhere.onnx"))
    monkeypatch.setattr(sys, "argv", ["camera.py"])
    with pytest.raises(SystemExit, match=r"nowhere\.onnx is missing: .* pip install"):
        asyncio.run(example.main())
