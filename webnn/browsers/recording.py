"""A browser as a recorded target: its limits, and the rules and notes of `webnn.targets` that hold in it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from webnn.backends.arrays.backend import ArraysBackend
from webnn.backends.base import Cancellation, CompileOptions
from webnn.browsers.chromium import Answer, Array, Chromium
from webnn.browsers.requests import Recorder
from webnn.graph.builder import MLGraphBuilder
from webnn.graph.ir import Graph
from webnn.graph.limits import SPEC_LIMITS
from webnn.graph.operand import MLOperand
from webnn.runtime.draft import Draft
from webnn.runtime.suspects import Side, difference
from webnn.targets.notes import NOTES
from webnn.targets.rules import ALLOWANCES, RULES, Example

__all__ = ["record_of", "record_text", "steps"]

DIFFERS = 1e-3
"""From here on, the result of a note's example is another one."""


def steps() -> int:
    """How many rules, allowances and notes are tried."""
    return len(RULES) + len(ALLOWANCES) + len(NOTES)


def record_of(chromium: Chromium, description: str, advance: Callable[[int], None] = lambda _: None) -> dict[str, Any]:
    """The record of a browser, as `webnn.targets` reads it.

    Args:
        chromium: the browser. Examples that end its process end with a new one in its place.
        description: the description of the target, in words.
        advance: is told of each step.
    """
    rules, allowances, notes = {}, [], []
    for name, rule in RULES.items():
        answers = [_answer(chromium, example).said for example in rule.refused]
        if all(answers) and not any(_answer(chromium, example).said for example in rule.accepted):
            rules[name] = answers[0]
        advance(1)
    for name, allowance in ALLOWANCES.items():
        if not any(_answer(chromium, example).said for example in allowance.examples):
            allowances.append(name)
        advance(1)
    for name, note in NOTES.items():
        if _differs(chromium, note.example):
            notes.append(name)
        advance(1)
    return {
        "description": description,
        "version": chromium.version.rpartition("/")[2],
        "recorded": datetime.now(UTC).date().isoformat(),
        "rules": rules,
        "allowances": allowances,
        "notes": notes,
        "opSupportLimits": chromium.limits,
    }


def _answer(chromium: Chromium, example: Example) -> Answer:
    """The browser's answer to an example."""
    _, request, _ = _tried(example)
    return chromium.run(request)


def _differs(chromium: Chromium, example: Example) -> bool:
    """Whether the browser builds an example and gives another result than the reference backend."""
    graph, request, feeds = _tried(example)
    outputs = chromium.run(request).outputs
    if outputs is None:
        return False
    (theirs,) = outputs.values()
    (ours,) = Side(ArraysBackend(), CompileOptions()).compiled(graph, Cancellation())(feeds)
    if theirs.shape != ours.shape or ours.dtype.kind != "f":
        return not np.array_equal(theirs, ours)
    return difference(theirs, ours) > DIFFERS


def _tried(example: Example) -> tuple[Graph, dict[str, Any], dict[str, Array]]:
    """The graph of an example, the request for it, and the values of its inputs."""
    recorder = Recorder(MLGraphBuilder(Draft(SPEC_LIMITS)))
    feeds: dict[str, Array] = {}

    def given(array: Any) -> MLOperand:
        name = f"x{len(feeds)}"
        feeds[name] = np.asarray(array)
        return recorder.input(name, feeds[name].shape, feeds[name].dtype.name)

    graph = recorder.build({"y": example(recorder, given)})  # type: ignore[arg-type]  # it has a builder's methods
    return graph, recorder.request(graph, feeds), feeds


def record_text(record: Mapping[str, Any]) -> str:
    """A record as JSON, with a line for each rule and each operator."""
    lines = []
    for key, value in record.items():
        if isinstance(value, Mapping):
            rows = [f"  {json.dumps(name)}: {json.dumps(row, sort_keys=True)}" for name, row in sorted(value.items())]
            lines.append(_block(key, rows, "{}"))
        elif isinstance(value, Sequence) and not isinstance(value, str):
            lines.append(_block(key, [f"  {json.dumps(item)}" for item in value], "[]"))
        else:
            lines.append(f" {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _block(key: str, rows: Sequence[str], brackets: str) -> str:
    inner = "\n" + ",\n".join(rows) + "\n " if rows else ""
    return f" {json.dumps(key)}: {brackets[0]}{inner}{brackets[1]}"
