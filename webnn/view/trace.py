"""The data of the page that shows a trace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from webnn.runtime.events import TraceEvent
from webnn.runtime.trace_format import track_names

__all__ = ["trace_drawing"]


def trace_drawing(events: Sequence[TraceEvent], title: str, summary: Mapping[str, Any]) -> dict[str, Any]:
    """The data for `trace.js`: the tracks, and each event with its depth in its track. Times are in microseconds.

    Args:
        events: the events of one trace.
        title: the name of what was traced.
        summary: the figures of the events, as `webnn.cli.tracing.summary` gives them.
    """
    names = track_names(events)
    place = {name: number for number, name in enumerate(names)}
    rows: list[dict[str, Any]] = []
    for event in events:
        row: dict[str, Any] = {"number": event.number, "kind": event.kind, "name": event.name, "details": event.details}
        for key in ("called", "began", "ended", "call_ended"):
            time = getattr(event, key)
            row[key] = None if time is None else time / 1000
        row["track"] = None if event.track is None else place[event.track]
        row["call_track"] = None if event.call_track is None else place[event.call_track]
        row["after"] = list(event.after)
        rows.append(row)
    _set_depths(rows)
    return {"title": title, "tracks": names, "events": rows, "summary": summary}


def _set_depths(rows: Sequence[dict[str, Any]]) -> None:
    """How many other events of its track are around each event."""
    open_until: dict[int, list[float]] = {}
    placed = [row for row in rows if row["track"] is not None and row["began"] is not None and row["kind"] != "wait"]
    for row in sorted(placed, key=lambda row: (row["began"], -row["ended"])):
        ends = open_until.setdefault(row["track"], [])
        while ends and ends[-1] <= row["began"]:
            ends.pop()
        row["depth"] = len(ends)
        ends.append(row["ended"])
