"""A Ctrl-C at any line of a plain loop over a stream loses no result, and the stream ends as usual."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import webnn
import webnn.runtime.streaming
from tests import interrupts
from tests.interrupts import Interrupt, interrupted, places
from tests.scripted import double, filled
from tests.stepped import number_in

COUNT = 6
FOLDER = str(Path(webnn.runtime.streaming.__file__).parent)


@pytest.fixture
def context(monkeypatch: pytest.MonkeyPatch) -> Iterator[webnn.MLContext]:
    """A context; the lines where an interrupt may come are those of streams."""
    monkeypatch.setattr(interrupts, "FOLDERS", (FOLDER,))
    with webnn.ML().create_context(backend="arrays") as context:
        yield context


def stream_of(context: webnn.MLContext, graph: webnn.MLGraph) -> webnn.Stream[float]:
    def before(i: int) -> dict[str, Any]:
        return {"x": filled(i)}

    def after(outputs: dict[str, Any]) -> float:
        return number_in(outputs["y"])

    return context.stream(graph, range(COUNT), before=before, after=after, depth=2)


def test_no_result_is_lost(context: webnn.MLContext) -> None:
    graph = double(context)
    seen: list[float] = []

    def program() -> None:
        seen.clear()
        results = None
        while True:
            try:
                if results is None:
                    results = iter(stream_of(context, graph))
                seen.append(next(results))
            except Interrupt:
                continue
            except StopIteration:
                break

    program()
    tried = 0
    for place in places(program, first=2):
        tracer = interrupted(program, place)
        assert seen == [2 * i for i in range(COUNT)], place
        tried += tracer.raised
    assert tried > 50


def test_a_loop_that_is_interrupted_ends_its_stream(context: webnn.MLContext) -> None:
    graph = double(context)

    def program() -> None:
        for _ in stream_of(context, graph):
            pass

    def ours() -> set[threading.Thread]:
        return {thread for thread in threading.enumerate() if thread.name.startswith("webnn-stream")}

    for place in places(program, first=1):
        interrupted(program, place)
    for thread in ours():
        thread.join(10)
    assert ours() == set()
