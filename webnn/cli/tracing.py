"""The figures of a trace: what took how long, and where the time of the runs went."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np

from webnn.runtime.events import TraceEvent

__all__ = ["summary"]

PERCENTILES: Final = (("median", 50), ("p90", 90), ("p99", 99))


def summary(events: Sequence[TraceEvent]) -> dict[str, Any]:
    """The figures of `events`, as JSON: of each graph, of each thread, and of everything together.

    Times are in milliseconds. `shares` says where the time from the calls to the ends of the runs went.
    """
    done = [event for event in events if event.kind == "task" and event.details["outcome"] == "done"]
    times = [time for event in events for time in (event.called, event.began, event.ended) if time is not None]
    length = max(times, default=0) - min([*times, 0])
    copied = sum(event.details.get("bytes copied", 0) for event in events)
    outcomes: dict[str, int] = {}
    for event in events:
        if event.kind == "task":
            outcome = event.details["outcome"]
            reason = f" ({event.details['reason']})" if outcome == "dropped" else ""
            outcomes[outcome + reason] = outcomes.get(outcome + reason, 0) + 1
    return {
        "milliseconds": length / 1e6,
        "tasks": outcomes,
        "bytes_copied": copied,
        "buffers": {
            "reused": sum(event.details["reused buffers"] for event in done),
            "donated": sum(event.details.get("donated", 0) for event in done),
        },
        "graphs": [_graph(name, done, events) for name in dict.fromkeys(event.name for event in done)],
        "threads": _threads(events, length),
        "shares": _shares(done),
    }


def _graph(name: str, done: Iterable[TraceEvent], events: Iterable[TraceEvent]) -> dict[str, Any]:
    runs = [event for event in done if event.name == name]
    compiled = [
        (event.ended or 0) - (event.began or 0)
        for event in events
        if event.kind == "compile" and event.name == f"compile {name}"
    ]
    return {
        "name": name,
        "operators": runs[0].details["operators"],
        "runs": len(runs),
        "compile_ms": compiled[0] / 1e6 if compiled else None,
        "queued_ms": _spread([_between(run.called, run.began) for run in runs]),
        "run_ms": _spread([_between(run.began, run.ended) for run in runs]),
        "whole_ms": _spread([_between(run.called, run.ended) for run in runs]),
    }


def _between(first: int | None, last: int | None) -> int:
    return 0 if first is None or last is None else last - first


def _spread(nanoseconds: Sequence[int]) -> dict[str, float]:
    values = np.percentile(np.asarray(nanoseconds, np.float64), [percent for _, percent in PERCENTILES]) / 1e6
    return {name: float(value) for (name, _), value in zip(PERCENTILES, values, strict=True)}


def _threads(events: Iterable[TraceEvent], length: int) -> list[dict[str, Any]]:
    busy: dict[str, dict[str, int]] = {}
    for event in events:
        if event.track is not None and event.began is not None and event.kind != "wait":
            kinds = busy.setdefault(event.track, {})
            kinds[event.kind] = kinds.get(event.kind, 0) + _between(event.began, event.ended)
    return [
        {
            "name": name,
            "busy": sum(kinds.values()) / max(length, 1),
            "kinds_ms": {kind: time / 1e6 for kind, time in kinds.items()},
        }
        for name, kinds in busy.items()
    ]


def _shares(done: Iterable[TraceEvent]) -> dict[str, float]:
    """The shares of everything that the runs took from call to end, largest first; 1 together."""
    spent: dict[str, float] = {}
    for event in done:
        for what, microseconds in event.details.get("waited us", {}).items():
            reason = "waiting for other tasks" if what.startswith("task ") else f"waiting for {what}"
            spent[reason] = spent.get(reason, 0) + microseconds
        spent["running"] = spent.get("running", 0) + _between(event.began, event.ended) / 1000
    total = sum(spent.values())
    return {what: time / total for what, time in sorted(spent.items(), key=lambda item: -item[1]) if time}
