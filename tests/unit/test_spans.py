"""OpenTelemetry spans of what a context does."""

from __future__ import annotations

import sys
import threading
from contextlib import suppress
from typing import Any

import pytest

pytest.importorskip("opentelemetry.sdk", reason="opentelemetry-sdk is not installed")

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

import webnn
from tests.leaks import ErrorLog
from tests.loops import Loop
from tests.scripted import double, filled
from tests.stepped import Rig, broken
from webnn.errors import InvalidStateError, NotSupportedError, OperationError
from webnn.runtime.spans import Spans


class Collected:
    """A tracer provider whose spans stay in memory."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = self.provider.get_tracer("test")

    def spans(self, name: str) -> list[ReadableSpan]:
        return [span for span in self._exporter.get_finished_spans() if span.name == name]


def facts(span: ReadableSpan) -> dict[str, Any]:
    return {name.removeprefix("webnn."): value for name, value in (span.attributes or {}).items()}


@pytest.fixture
def collected() -> Collected:
    return Collected()


async def test_a_run_is_a_span_below_the_one_of_its_caller(loop: Loop, collected: Collected) -> None:
    context = webnn.ML().create_context(backend="arrays")
    with context.spans(collected.provider):
        graph = double(context)
        graph.label = "double"
        with collected.tracer.start_as_current_span("request") as request:
            promise = context.run(graph, {"x": filled(1)})
        await loop.result(promise)
    context.destroy()
    (span,) = collected.spans("run double")
    parent = request.get_span_context()
    assert span.parent is not None
    assert (span.parent.span_id, span.parent.trace_id) == (parent.span_id, parent.trace_id)
    told = facts(span)
    assert {"graph": "double", "operators": 1, "backend": "arrays", "outcome": "done"}.items() <= told.items()
    assert told["bytes_copied"] == 16
    (running,) = span.events
    assert span.start_time is not None
    assert span.end_time is not None
    assert span.start_time <= running.timestamp <= span.end_time
    (own,) = collected.spans("request")
    assert own.start_time is not None
    assert own.start_time <= span.start_time


def test_a_compilation_is_a_span_below_the_one_that_built_the_graph(
    context: webnn.MLContext, collected: Collected
) -> None:
    with context.spans(collected.provider), collected.tracer.start_as_current_span("startup") as startup:
        context.compute(double(context), {"x": filled(1)})
    (span,) = collected.spans("compile x -> y")
    assert span.parent is not None
    assert span.parent.span_id == startup.get_span_context().span_id
    assert facts(span) == {"graph": "x -> y", "operators": 1, "backend": "arrays"}


def test_runs_that_fail_or_are_left_out_say_why(collected: Collected) -> None:
    rig = Rig()
    with Spans(rig.timeline, "test", collected.provider):
        x, y, z = rig.name(1), rig.name(), rig.name()
        rig.dispatch(rig.work("replaced"), [x], y)
        rig.dispatch(rig.work("broken", broken(OperationError("it broke"))), [x], y)
        rig.dispatch(rig.work("after"), [y], z)
        rig.run_all()
    (replaced,) = collected.spans("run replaced")
    assert facts(replaced)["outcome"] == "dropped"
    assert facts(replaced)["reason"] == "unobservable"
    assert replaced.status.status_code is StatusCode.UNSET
    for name, ran in (("run broken", 1), ("run after", 0)):
        (span,) = collected.spans(name)
        assert span.status.status_code is StatusCode.ERROR
        assert span.status.description == "OperationError: it broke"
        assert len(span.events) == ran


def test_spans_are_made_while_the_block_runs(collected: Collected) -> None:
    rig = Rig()
    work, x, y = rig.work("w"), rig.name(1), rig.name()
    with Spans(rig.timeline, "test", collected.provider) as spans:
        for _ in range(100):
            rig.dispatch(work, [x], y)
            rig.run_all()
        done = threading.Event()
        spans._lane.call(done.set)
        assert done.wait(10)
        assert len(collected.spans("run w")) == 100
        assert not spans._queued
    assert len(collected.spans("run w")) == 100


def test_the_spans_of_a_context_that_ends_inside_are_made(collected: Collected) -> None:
    context = webnn.ML().create_context(backend="arrays")
    with context.spans(collected.provider):
        context.compute(double(context), {"x": filled(1)})
        context.destroy()
    assert len(collected.spans("run x -> y")) == 1


def test_an_exporter_that_fails_does_no_harm(
    context: webnn.MLContext, collected: Collected, error_log: ErrorLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    spans = context.spans(collected.provider)

    def fail(*_: object, **__: object) -> Any:
        raise LookupError("no connection")

    monkeypatch.setattr(spans._tracer, "start_span", fail)
    with spans:
        context.compute(double(context), {"x": filled(1)})
    assert any("a span could not be made" in record.getMessage() for record in error_log.records)
    error_log.records.clear()


def test_without_the_package_it_says_what_to_install(context: webnn.MLContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", None)
    with pytest.raises(
        NotSupportedError, match=r"opentelemetry-api is not installed; pip install 'webnn-runtime\[otel\]'"
    ):
        context.spans()


def test_without_a_tracer_provider_nothing_is_made(context: webnn.MLContext) -> None:
    with context.spans():
        assert context.compute(double(context), {"x": filled(3)})["y"][0] == 6


def test_spans_can_be_opened_once(context: webnn.MLContext, collected: Collected) -> None:
    spans = context.spans(collected.provider)
    with spans:
        pass
    with pytest.raises(InvalidStateError, match="spans: it can be opened once"), spans:
        pass
    with suppress(TypeError):
        spans.__reduce__()
