"""`context.spans`: what a context does, as spans of OpenTelemetry.

The records of a trace go through a queue to a thread of their own, which makes the spans with the times that they had.
Code that runs with the timeline's lock only copies the context variables, where OpenTelemetry keeps the current span.
"""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from contextvars import Context, copy_context
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from webnn.errors import InvalidStateError, NotSupportedError
from webnn.forking import import_whole
from webnn.graph.unpicklable import Unpicklable
from webnn.scheduler.lane import ThreadLane
from webnn.scheduler.statistics import GraphFigures
from webnn.scheduler.timeline import Timeline
from webnn.scheduler.trace import COMPILED, ENDED, NOTED, QUEUED, RAN, Record

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider

__all__ = ["Spans"]

_log = logging.getLogger("webnn")

SCOPE: Final = "webnn"
"""The name of the instrumentation."""


class Spans(Unpicklable):
    """Makes OpenTelemetry spans of what a context does while the `with` block runs. Made by `MLContext.spans`.

    It can be opened once. At the end of the block, the spans of everything that has ended have been made.
    """

    _why_unpicklable: ClassVar[str] = "it belongs to a context of this process; open another one where it is needed"

    def __init__(self, timeline: Timeline, backend: str, tracer_provider: TracerProvider | None) -> None:
        try:
            api, context = import_whole("opentelemetry.trace"), import_whole("opentelemetry.context")
        except ModuleNotFoundError as error:
            raise NotSupportedError(
                "spans: opentelemetry-api is not installed; pip install 'webnn-runtime[otel]'"
            ) from error
        self._api: Any = api
        self._current = context.get_current
        self._tracer = api.get_tracer(SCOPE, tracer_provider=tracer_provider)
        self._timeline = timeline
        self._backend = backend
        self._graphs: dict[int, GraphFigures] = {}
        self._records: deque[tuple[Record, Context | None]] = deque()
        self._queued: dict[int, tuple[Record, Context | None]] = {}
        self._notes: dict[int, dict[str, Any]] = {}
        self._failing: dict[int, Record] = {}
        self._lane = ThreadLane("webnn-spans")
        self._is_awake = False
        self._opened = False
        self._process = os.getpid()
        self._epoch = 0

    def __enter__(self) -> Self:
        if self._opened:
            raise InvalidStateError("spans: it can be opened once; make another with context.spans()")
        self._opened = True
        recorder = self._timeline.start_trace(self)
        self._epoch = time.time_ns() - recorder.clock()
        kept = self._timeline.figures.kept
        assert kept is not None
        self._graphs = kept
        self._tracks = recorder.tracks
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timeline.stop_trace(self)
        if os.getpid() == self._process:  # a forked child has no part in it
            self._wake()
            self._lane.close(wait=True)

    # Called by the recorder, perhaps under the timeline's lock.

    def extend(self, record: Record, /) -> None:
        """Take a record of the timeline."""
        kind = record[0]
        if kind is QUEUED:
            self._records.append((record, copy_context()))
        elif kind is RAN or kind is ENDED or kind is COMPILED:
            self._records.append((record, None))
            if not self._is_awake:
                self._wake()
        elif kind is NOTED:
            self._records.append((record, None))

    def _wake(self) -> None:
        self._is_awake = True
        self._lane.wake(self._drain)

    # On its thread.

    def _drain(self) -> bool:
        """Make the spans of the records that are there."""
        self._is_awake = False  # first: what comes from now on wakes the thread again
        while self._records:
            record, caller = self._records.popleft()
            try:
                self._take(record, caller)
            except Exception:  # the program's exporter has failed; the next spans may do
                _log.exception("a span could not be made")
        return False

    def _take(self, record: Record, caller: Context | None) -> None:
        kind = record[0]
        if kind is QUEUED:
            self._queued[record[4]] = record, caller
        elif kind is NOTED:
            self._notes.setdefault(record[1], {})[record[2]] = record[3]
        elif kind is RAN and record[8] is None:
            self._failing[record[4]] = record
        elif kind is RAN:
            _, began, ended, track, task, graph, queued, on_lane, reused = record
            facts = {"outcome": "done", "thread": self._tracks[track], "reused_buffers": reused}
            facts["where"] = "lane" if on_lane else "inline"
            self._run(task, graph, (queued, began, ended), facts)
        elif kind is ENDED:
            _, at, _, task, graph, queued, state, reason = record
            failed = self._failing.pop(task, None)
            facts = {"outcome": state, "reason": reason}
            began = None
            if failed is not None:
                began, at, facts["thread"] = failed[1], failed[2], self._tracks[failed[3]]
            self._run(task, graph, (queued, began, at), facts)
        else:
            _, began, ended, _, graph, error = record
            figures = self._graphs.get(graph) or GraphFigures()
            self._span(f"compile {figures.label}", figures.caller, (began, None, ended), self._told(figures), error)

    def _told(self, figures: GraphFigures) -> dict[str, Any]:
        return {"webnn.graph": figures.label, "webnn.operators": figures.operators, "webnn.backend": self._backend}

    def _run(self, task: int, graph: int, times: tuple[int, int | None, int], facts: dict[str, Any]) -> None:
        queued, began, ended = times
        figures = self._graphs.get(graph) or GraphFigures()
        record, caller = self._queued.pop(task, (None, None))
        called = queued if record is None else record[1] or record[2]
        attributes = self._told(figures)
        attributes |= {f"webnn.{name}": value for name, value in (facts | self._notes.pop(task, {})).items()}
        if record is not None and record[1]:
            attributes["webnn.bytes_copied"] = figures.input_bytes
        error = facts["reason"] if facts["outcome"] == "failed" else ""
        self._span(f"run {figures.label}", caller, (called, began, ended), attributes, error)

    def _span(
        self,
        name: str,
        caller: Context | None,
        times: tuple[int, int | None, int],
        attributes: dict[str, Any],
        error: str,
    ) -> None:
        began, running_since, ended = times
        parent = None if caller is None else caller.run(self._current)
        span = self._tracer.start_span(name, context=parent, attributes=attributes, start_time=self._epoch + began)
        if running_since is not None:
            span.add_event("running", timestamp=self._epoch + running_since)
        if error:
            span.set_status(self._api.StatusCode.ERROR, error)
        span.end(end_time=self._epoch + ended)
