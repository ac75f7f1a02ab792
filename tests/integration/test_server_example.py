"""The example of a model in an application of your own."""

from __future__ import annotations

import asyncio
import inspect
import json
import sys
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from benchmarks.http_load import listening
from examples import server
from examples.file_types import Magika
from examples.server import application, elements, file_types
from tests.serving import ask


def negative(folder: Path) -> Path:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "negative", [x], [y])
    path = folder / "n.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), path)
    return path


@pytest.mark.asyncio
async def test_it_answers_and_refuses(tmp_path: Path) -> None:
    app: Any = application(elements(negative(tmp_path)))
    async with app.router.lifespan_context(app):
        answer = await ask(app, "/run", np.array([1, 2, 3], np.float32).tobytes())
        assert (answer.status, json.loads(answer.body)) == (200, {"y": [[-1, -2, -3]]})
        assert (await ask(app, "/run", b"1234")).status == 400
        assert (await ask(app, "/run", bytes(13), parts=2)).status == 413
        left = asyncio.Event()
        left.set()
        assert (await ask(app, "/run", bytes(12), left=left)).status in (200, 499)


@pytest.mark.asyncio
async def test_what_json_lacks_is_answered_too(tmp_path: Path) -> None:
    app: Any = application(elements(negative(tmp_path)))
    async with app.router.lifespan_context(app):
        answer = await ask(app, "/run", np.array([np.nan, np.inf, 1], np.float32).tobytes())
        assert (answer.status, answer.body) == (200, b'{"y":[[NaN,-Infinity,-1.0]]}')


@pytest.mark.asyncio
@pytest.mark.parametrize(("name", "value", "status"), [("SECONDS", 0.05, 408), ("HELD", 11, 503), ("WAITING", 0, 503)])
async def test_bodies_have_a_deadline_and_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: float, status: int
) -> None:
    app: Any = application(elements(negative(tmp_path)))
    async with app.router.lifespan_context(app):
        monkeypatch.setattr(server, name, value)
        for _ in range(2):
            answer = await ask(app, "/run", bytes(12), parts=0 if status == 408 else 1)
            assert (answer.status, "retry-after" in answer.headers) == (status, status == 503)
        monkeypatch.undo()
        assert (await ask(app, "/run", bytes(12))).status == 200


@pytest.mark.asyncio
async def test_a_client_that_leaves_amid_its_body_is_no_error(tmp_path: Path) -> None:
    app: Any = application(elements(negative(tmp_path)))
    left = asyncio.Event()
    left.set()
    async with app.router.lifespan_context(app):
        assert (await ask(app, "/run", bytes(12), parts=0, left=left)).status == 499


@pytest.mark.asyncio
@pytest.mark.skipif(Magika.installed() is None, reason="needs the weights in the package magika: make test installs it")
async def test_it_recognizes_a_file() -> None:
    magika = Magika.installed()
    assert magika is not None
    app: Any = application(file_types(magika))
    async with app.router.lifespan_context(app):
        answer = await ask(app, "/run", inspect.getsource(sys.modules[__name__]).encode())
        assert (answer.status, json.loads(answer.body)["type"]) == (200, "python")
        answer = await ask(app, "/run", b"few")
        assert (answer.status, json.loads(answer.body)["error"][-5:]) == (400, ": txt")


def test_two_workers_answer_too(tmp_path: Path) -> None:
    with listening("examples.server", str(negative(tmp_path)), "--workers", "2", "--threads", "1") as address:
        request = urllib.request.Request(f"http://{address}/run", np.array([1, 2, 3], np.float32).tobytes())
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert json.load(answer) == {"y": [[-1, -2, -3]]}
