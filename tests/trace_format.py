"""Checks that JSON is a sound trace in the Trace Event Format, as strictly as a viewer could wish."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from typing import Any, Final

__all__ = ["problems"]

REQUIRED: Final = {
    "X": {"name", "cat", "ts", "dur", "pid", "tid"},
    "i": {"name", "cat", "ts", "pid", "tid", "s"},
    "s": {"name", "cat", "id", "ts", "pid", "tid"},
    "f": {"name", "cat", "id", "ts", "pid", "tid", "bp"},
    "b": {"name", "cat", "id", "ts", "pid", "tid"},
    "e": {"name", "cat", "id", "ts", "pid", "tid"},
    "C": {"name", "ts", "pid", "args"},
    "M": {"name", "pid", "args"},
}
"""The keys that an event of each phase must have."""


def problems(trace: dict[str, Any]) -> list[str]:
    """What is wrong with a trace; nothing if it is sound."""
    found: list[str] = []
    events = trace.get("traceEvents")
    if not isinstance(events, list) or not events:
        return ["there are no traceEvents"]
    for event in events:
        missing = REQUIRED.get(event.get("ph"), {"a known ph"}) - set(event)
        if missing:
            found.append(f"{event} lacks {sorted(missing)}")
        if not isinstance(event.get("ts", 0), int | float) or event.get("ts", 0) < 0 or event.get("dur", 0) < 0:
            found.append(f"{event} has no proper time")
    if found:
        return found
    named = {event["tid"] for event in events if event["ph"] == "M" and event["name"] == "thread_name"}
    tracks: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    for event in events:
        if event["ph"] in "Xisfbe":
            tracks[event["tid"]].append(event)
    for tid, track in tracks.items():
        if tid not in named:
            found.append(f"track {tid} has no name")
        if any(after["ts"] < before["ts"] for before, after in pairwise(track)):
            found.append(f"track {tid} goes back in time")
        found += _not_nested(track)
    found += _loose_arrows(events, tracks)
    for begin, end in (("b", "e"),):
        opened = [(event["cat"], event["id"]) for event in events if event["ph"] == begin]
        closed = [(event["cat"], event["id"]) for event in events if event["ph"] == end]
        if sorted(opened) != sorted(closed) or len(set(opened)) != len(opened):
            found.append(f"{begin} and {end} do not match")
    for event in events:
        if event["ph"] == "C" and any(value < 0 for value in event["args"].values()):
            found.append(f"the counter {event['name']} is negative")
    return found


def _not_nested(track: list[dict[str, Any]]) -> list[str]:
    open_slices: list[float] = []
    for event in track:
        if event["ph"] != "X":
            continue
        end = round(event["ts"] + event["dur"], 3)
        while open_slices and open_slices[-1] <= event["ts"]:
            open_slices.pop()
        if open_slices and end > open_slices[-1]:
            return [f"{event['name']} at {event['ts']} overlaps another slice of its track"]
        open_slices.append(end)
    return []


def _loose_arrows(events: list[dict[str, Any]], tracks: dict[Any, list[dict[str, Any]]]) -> list[str]:
    found = []
    ends: dict[Any, dict[str, list[dict[str, Any]]]] = defaultdict(lambda: {"s": [], "f": []})
    for event in events:
        if event["ph"] in ("s", "f"):
            ends[event["id"]][event["ph"]].append(event)
            if not any(
                slice["ph"] == "X" and slice["ts"] <= event["ts"] <= slice["ts"] + slice["dur"] + 1e-3
                for slice in tracks[event["tid"]]
            ):
                found.append(f"arrow {event['id']} hangs in the air at {event['ts']}")
    for number, both in ends.items():
        if len(both["s"]) != 1 or len(both["f"]) != 1:
            found.append(f"arrow {number} has {len(both['s'])} beginnings and {len(both['f'])} ends")
        elif both["f"][0]["ts"] < both["s"][0]["ts"]:
            found.append(f"arrow {number} goes back in time")
    return found
