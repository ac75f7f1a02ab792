"""The events of a trace: what happened on a timeline, when and where, from the records of `webnn.scheduler.trace`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from webnn.scheduler.statistics import GraphFigures
from webnn.scheduler.trace import (
    AWAITED,
    COMPILED,
    ENDED,
    LENGTHS,
    NOTED,
    QUEUED,
    RAN,
    SETTLED,
    SPENT,
    WROTE,
    Record,
)

__all__ = ["Kind", "TraceEvent", "events_of", "records_of"]

Kind = Literal["task", "write", "read", "compile", "wait", "other"]

MERELY_QUEUED: Final = "queued"
"""The outcome of tasks that had not ended when the trace was closed."""


@dataclass(slots=True)
class TraceEvent:
    """Something that happened while a trace was open.

    Attributes:
        kind: "task" (a run of a graph), "write", "read", "compile", "wait" (a task of an event loop has waited, and
            others may have used its thread) or "other".
        name: the label of the graph, or what was done.
        number: the number of the event, from 1 on.
        track: the name of the thread that did it: a lane, the build thread or a thread of the program.
        called: when the program asked for it; None if it is not known, or the same as `began`. Like the other times in
            nanoseconds since the trace was opened: less than 0 if that was before.
        began: when it began; None if it has not.
        ended: when it ended; None if it has not.
        after: the numbers of the events whose results it used: of a task, the tasks and writes that made its inputs;
            of a read, the task or write that made the value.
        call_track: the name of the thread that asked for it, if the call is a separate event.
        call_ended: when the call had queued it.
        details: everything else, as JSON. See `docs/tracing.md`.
    """

    kind: Kind
    name: str
    number: int
    track: str | None = None
    called: int | None = None
    began: int | None = None
    ended: int | None = None
    after: tuple[int, ...] = ()
    call_track: str | None = None
    call_ended: int | None = None
    details: dict[str, Any] = field(default_factory=dict)


def records_of(elements: Sequence[Any]) -> Iterator[Record]:
    """The records in the list of a trace, oldest first."""
    begin = 0
    while begin < len(elements):
        kind = elements[begin]
        end = begin + LENGTHS[kind]
        if kind == QUEUED:
            end += elements[end - 2] + elements[end - 1]
        yield tuple(elements[begin:end])
        begin = end


def events_of(
    records: Iterable[Record], tracks: Sequence[str], graphs: Mapping[int, GraphFigures], origin: int
) -> list[TraceEvent]:
    """The events that `records` tell of, in the order in which they were recorded first.

    Args:
        records: the records of one trace, in the order in which they were appended.
        tracks: the names of the threads.
        graphs: the figures of each graph, by number.
        origin: the time when the trace was opened.
    """
    reading = _Reading(tracks, graphs, origin)
    for record in records:
        reading.take(record)
    reading.explain_waiting()
    return reading.events


class _Reading:
    """The events so far, and the objects that later records may name by their `id`."""

    def __init__(self, tracks: Sequence[str], graphs: Mapping[int, GraphFigures], origin: int) -> None:
        self._graphs = graphs
        self.events: list[TraceEvent] = []
        self._tracks = _told_apart(tracks)
        self._origin = origin
        self._tasks: dict[int, TraceEvent] = {}
        self._values: dict[int, TraceEvent] = {}
        self._compilations: dict[int, TraceEvent] = {}
        self._graph_of: dict[int, int] = {}
        """The graph of each task, by the number of its event."""
        self._takers: Mapping[str, Callable[[Record], None]] = {
            QUEUED: self._queued,
            RAN: self._ran,
            ENDED: self._ended,
            WROTE: self._wrote,
            SETTLED: self._settled,
            COMPILED: self._compiled,
            NOTED: self._noted,
            SPENT: self._spent,
            AWAITED: self._awaited,
        }

    def take(self, record: Record) -> None:
        self._takers[record[0]](record)

    def _event(self, kind: Kind, name: str, track: int | None = None) -> TraceEvent:
        event = TraceEvent(kind, name, len(self.events) + 1, None if track is None else self._tracks[track])
        self.events.append(event)
        return event

    def _since(self, time: int) -> int:
        return time - self._origin

    def _queued(self, record: Record) -> None:
        _, called, queued, track, task, graph, many, _, *values = record
        event = self._tasks[task] = self._task_of(graph)
        event.called, event.call_track = self._since(called or queued), self._tracks[track]
        event.call_ended = self._since(queued)
        if called:
            event.details["bytes copied"] = self._figures(graph).input_bytes
        else:
            made_by = [self._values[value].number for value in values[many:] if value in self._values]
            event.after = tuple(dict.fromkeys(made_by))
        for value in values[:many]:
            self._values[value] = event

    def _task(self, task: int, graph: int, queued: int) -> TraceEvent:
        """The event of a task, which may have been queued before the trace was opened."""
        event = self._tasks.get(task)
        if event is None:
            event = self._tasks[task] = self._task_of(graph)
            event.called = self._since(queued)
        return event

    def _figures(self, graph: int) -> GraphFigures:
        return self._graphs.get(graph) or GraphFigures("a graph")

    def _task_of(self, graph: int) -> TraceEvent:
        figures = self._figures(graph)
        event = self._event("task", figures.label)
        event.details |= {"operators": figures.operators, "outcome": MERELY_QUEUED}
        self._graph_of[event.number] = graph
        return event

    def _ran(self, record: Record) -> None:
        _, began, ended, track, task, graph, queued, on_lane, reused = record
        event = self._task(task, graph, queued)
        event.began, event.ended, event.track = self._since(began), self._since(ended), self._tracks[track]
        event.details |= {"outcome": "done", "where": "lane" if on_lane else "inline", "reused buffers": reused or 0}

    def _ended(self, record: Record) -> None:
        _, at, track, task, graph, queued, state, reason = record
        event = self._task(task, graph, queued)
        event.details |= {"outcome": state, "reason": reason}
        if event.ended is None:
            event.ended, event.track = self._since(at), self._tracks[track]

    def _wrote(self, record: Record) -> None:
        _, began, ended, track, value, copied, how = record
        event = self._values[value] = self._event("write", "write" if how != "zeros" else "zeros", track)
        event.began, event.ended = self._since(began), self._since(ended)
        event.details["bytes copied"] = copied
        if how == "in place":
            event.details["in place"] = True

    def _settled(self, record: Record) -> None:
        _, asked, filled_since, ended, track, source, copied, outcome = record
        is_run = asked == 0
        event = self._event("read", "result" if is_run else "read", track)
        event.began, event.ended = self._since(filled_since or ended), self._since(ended)
        event.details |= {"bytes copied": copied, "outcome": outcome}
        made_by = (self._tasks if is_run else self._values).get(source)
        if made_by is not None:
            event.after = (made_by.number,)
        if not is_run:
            event.called = None if asked is None else self._since(asked)
        elif made_by is not None:
            event.called = made_by.called
            if outcome == "resolved":
                event.details["bytes copied"] = self._figures(self._graph_of[made_by.number]).small_bytes

    def _compiled(self, record: Record) -> None:
        _, began, ended, track, graph, error = record
        figures = self._figures(graph)
        event = self._compilations[graph] = self._event("compile", f"compile {figures.label}", track)
        event.began, event.ended = self._since(began), self._since(ended)
        event.details["operators"] = figures.operators
        if error:
            event.details["error"] = error

    def _noted(self, record: Record) -> None:
        _, task, name, content = record
        if (event := self._tasks.get(task)) is not None:
            event.details[name] = content

    def _spent(self, record: Record) -> None:
        _, began, ended, track, name, content = record
        event = self._event("other", name, track)
        event.began, event.ended = self._since(began), self._since(ended)
        event.details |= content

    def _awaited(self, record: Record) -> None:
        self._spent(record)
        self.events[-1].kind = "wait"

    def explain_waiting(self) -> None:
        """Say of each task that has run what it waited for, and for how many microseconds."""
        for event in self.events:
            if event.kind != "task" or event.began is None or event.called is None:
                continue
            waited: dict[str, float] = {}
            ready = event.called
            needed = [self.events[number - 1] for number in event.after]
            compilation = self._compilations.get(self._graph_of[event.number])
            if compilation is not None:
                needed.append(compilation)
            for each in sorted(needed, key=lambda each: each.ended or 0):
                if each.kind in ("task", "compile") and each.ended is not None and each.ended > ready:
                    what = f"task {each.number}" if each.kind == "task" else "compilation"
                    waited[what] = (min(each.ended, event.began) - ready) / 1000
                    ready = min(each.ended, event.began)
            turn = "a lane" if event.details.get("where") == "lane" else "its turn"
            waited[turn] = (event.began - ready) / 1000
            event.details["waited us"] = waited


def _told_apart(names: Sequence[str]) -> list[str]:
    """Names of threads, with a number where two have the same."""
    seen: dict[str, int] = {}
    result = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        result.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return result
