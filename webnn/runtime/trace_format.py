"""The events of a trace as JSON for https://ui.perfetto.dev and chrome://tracing.

The Trace Event Format: https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU

A slice (`X`) takes a thread's time, so the slices of one thread lie beside or inside each other. Arrows (`s`, `f`) go
from slice to slice. What an event loop awaits may overlap with anything (`b`, `e`). A counter (`C`) shows the length of
the queue.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

from webnn.runtime.events import TraceEvent

__all__ = ["trace_json", "track_names"]

JSON = dict[str, Any]


def trace_json(events: Sequence[TraceEvent], *, process: int, title: str) -> JSON:
    """The whole file.

    Args:
        events: the events of one trace.
        process: the process id.
        title: what the process is called.
    """
    tracks = track_names(events)
    numbers = {name: number for number, name in enumerate(tracks, 1)}
    timed = [
        *_slices(events, numbers),
        *_arrows(events, numbers),
        *_waits(events, numbers),
        *_queue(events),
    ]
    timed.sort(key=lambda each: (each["ts"], -each.get("dur", 0)))  # an outer slice comes before those inside of it
    names: list[JSON] = [{"ph": "M", "name": "process_name", "args": {"name": title}}]
    for name, number in numbers.items():
        names.append({"ph": "M", "name": "thread_name", "tid": number, "args": {"name": name}})
        names.append({"ph": "M", "name": "thread_sort_index", "tid": number, "args": {"sort_index": number}})
    rows = [{"pid": process, **each} for each in (*names, *timed)]
    return {"traceEvents": rows, "displayTimeUnit": "ms"}


def track_names(events: Sequence[TraceEvent]) -> list[str]:
    """The names of the threads: those of the program as they come up, then the lanes, then the build thread."""
    found = dict.fromkeys(name for event in events for name in (event.call_track, event.track) if name is not None)

    def place(name: str) -> int:
        return 1 if name.startswith("webnn-lane") else 2 if name.startswith("webnn-") else 0

    return sorted(found, key=lambda name: (place(name), name if place(name) else ""))


def _slices(events: Sequence[TraceEvent], numbers: dict[str, int]) -> Iterator[JSON]:
    for event in events:
        details = {"number": event.number, **event.details}
        if event.kind == "task":
            if event.called is not None and event.called >= 0 and event.call_ended is not None:
                yield {
                    **_slice(f"queue {event.name}", "call", event.called, event.call_ended),
                    "tid": numbers[event.call_track or ""],
                    "args": {"task": event.number},
                }
            if event.called is not None and event.began is not None:
                details["queued us"] = (event.began - event.called) / 1000
        if event.kind == "wait" or event.track is None or event.ended is None:
            continue
        if event.began is None:  # it ended without having run
            yield {
                "ph": "i",
                "name": f"{event.details['outcome']}: {event.name}",
                "cat": event.kind,
                "s": "t",
                "ts": event.ended / 1000,
                "tid": numbers[event.track],
                "args": details,
            }
        else:
            yield {
                **_slice(event.name, event.kind, event.began, event.ended),
                "tid": numbers[event.track],
                "args": details,
            }


def _slice(name: str, category: str, began: int, ended: int) -> JSON:
    length = max(ended - began, 1)  # an arrow cannot begin or end at a slice without a length
    return {"ph": "X", "name": name, "cat": category, "ts": began / 1000, "dur": length / 1000}


def _arrows(events: Sequence[TraceEvent], numbers: dict[str, int]) -> Iterator[JSON]:
    """From each call to its task, and from each event to those that use its result."""
    by_number = {event.number: event for event in events}
    ids = count(1)

    def arrow(name: str, leaves: int, source: str, arrives: int, target: str) -> Iterator[JSON]:
        common = {"name": name, "cat": "flow", "id": next(ids)}
        yield {"ph": "s", **common, "ts": leaves / 1000, "tid": numbers[source]}
        yield {"ph": "f", "bp": "e", **common, "ts": arrives / 1000, "tid": numbers[target]}

    for event in events:
        if event.kind == "wait" or event.began is None or event.track is None:
            continue
        if event.kind == "task" and event.called is not None and event.called >= 0 and event.call_track is not None:
            yield from arrow("queued", event.called, event.call_track, event.began, event.track)
        for number in event.after:
            source = by_number[number]
            if source.track is not None and source.began is not None and source.ended is not None:
                leaves = max(source.began, source.ended - 1)
                if leaves <= event.began:  # else the read was given up before there was a value
                    yield from arrow("value", leaves, source.track, event.began, event.track)


def _waits(events: Sequence[TraceEvent], numbers: dict[str, int]) -> Iterator[JSON]:
    for event in events:
        if event.kind == "wait" and event.began is not None and event.ended is not None:
            common = {"name": event.name, "cat": "wait", "id": event.number, "tid": numbers[event.track or ""]}
            yield {"ph": "b", **common, "ts": event.began / 1000, "args": event.details}
            yield {"ph": "e", **common, "ts": event.ended / 1000}


def _queue(events: Sequence[TraceEvent]) -> Iterator[JSON]:
    """How many tasks were queued, each time that the number changed."""
    changes: list[tuple[int, int]] = []
    for event in events:
        if event.kind == "task" and event.called is not None:
            changes.append((event.called, 1))
            left = event.began if event.began is not None else event.ended
            if left is not None:
                changes.append((left, -1))
    lengths: dict[int, int] = {}
    queued = 0
    for time, change in sorted(changes):
        queued += change
        lengths[max(time, 0)] = queued  # the last one of each moment
    for time, length in lengths.items():
        yield {"ph": "C", "name": "queued", "ts": time / 1000, "tid": 0, "args": {"tasks": length}}
