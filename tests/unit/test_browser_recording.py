"""Browsers as recorded targets, with a scripted browser."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from tests.direct import direct_builder
from tests.specification import idl, snake
from webnn.browsers.chromium import Answer, Chromium
from webnn.browsers.recording import record_of, record_text, steps
from webnn.browsers.requests import BIG_INTEGERS, Recorder
from webnn.targets.notes import NOTES
from webnn.targets.rules import ALLOWANCES, RULES
from webnn.targets.target import target_named

ROW = {"dataTypes": ["float32"], "rankRange": {"min": 0, "max": 5}}
LIMITS = {"abs": {"input": ROW, "output": ROW}}


class ScriptedBrowser:
    """Answers every request by a function."""

    version = "HeadlessChrome/1.2.3"
    limits = LIMITS

    def __init__(self, answer: Callable[[Mapping[str, Any]], Answer]) -> None:
        self.run = answer


def recorded(answer: Callable[[Mapping[str, Any]], Answer]) -> dict[str, Any]:
    return record_of(cast(Chromium, ScriptedBrowser(answer)), "scripted")


def refuses(request: Mapping[str, Any]) -> Answer:
    return Answer(refused=(0, f"TypeError: {request['calls'][0]['op']}"))


def test_a_browser_that_refuses_everything_has_no_rule_since_it_refuses_what_a_rule_allows() -> None:
    record = recorded(refuses)
    without_counterpart = [name for name, rule in RULES.items() if not rule.accepted]
    assert list(record["rules"]) == without_counterpart
    assert (record["allowances"], record["notes"]) == ([], [])


def test_a_browser_that_gives_something_else_has_every_note_and_no_rule() -> None:
    record = recorded(lambda request: Answer(outputs={"y": np.full((1,), 12345, np.float32)}))
    assert record["rules"] == {}
    assert record["allowances"] == list(ALLOWANCES)
    assert record["notes"] == list(NOTES)


def test_a_rule_holds_with_the_error_of_its_example_where_only_that_is_refused() -> None:
    def refuses_edges(request: Mapping[str, Any]) -> Answer:
        if any(call["options"].get("mode") == "edge" for call in request["calls"]):
            return Answer(failed="NotSupportedError: no edges")
        return Answer(outputs={"y": np.zeros(())})

    assert recorded(refuses_edges)["rules"] == {"edge-padding": "NotSupportedError: no edges"}


def test_every_step_is_told() -> None:
    told: list[int] = []
    record_of(cast(Chromium, ScriptedBrowser(refuses)), "scripted", told.append)
    assert sum(told) == steps()


def test_a_record_is_read_as_a_target(tmp_path: Path) -> None:
    record = recorded(refuses)
    record["rules"] = {"edge-padding": 'no "edges"'}
    path = tmp_path / "mine.json"
    path.write_text(record_text(record), encoding="utf-8")
    assert json.loads(path.read_text(encoding="utf-8")) == record
    target = target_named(str(path))
    assert (target.description, target.rules) == ("scripted", record["rules"])
    assert target.limits["abs"]["input"].ranks == (0, 5)


def test_a_record_without_findings_is_json_all_the_same() -> None:
    empty: dict[str, Any] = {"rules": {}, "notes": [], "description": "x"}
    assert json.loads(record_text(empty)) == empty


# Requests.


def test_a_request_has_calls_as_javascript_makes_them() -> None:
    recorder = Recorder(direct_builder())
    x = recorder.input("x", (2, 2), "float32")
    recorder.softmax(x, axis=1, label="scores")
    recorder.clamp(recorder.input("n", (1,), "int64"), max_value=2**60, min_value=None)
    recorder.clamp(x, max_value=np.inf)
    assert [(call["op"], call["args"], call["options"]) for call in recorder.calls] == [
        ("softmax", [{"$operand": "x"}, 1], {"label": "scores"}),
        ("clamp", [{"$operand": "n"}], {"maxValue": {"$bigint": str(2**60)}}),
        ("clamp", [{"$operand": "x"}], {"maxValue": {"$number": "Infinity"}}),
    ]


def test_a_value_without_a_counterpart_in_javascript_is_refused() -> None:
    recorder = Recorder(direct_builder())
    with pytest.raises(TypeError, match=r"abs: .*object at .* has no counterpart in JavaScript"):
        recorder.abs(object())


def test_big_integers_are_where_the_specification_takes_them() -> None:
    names = idl()
    assert sorted(BIG_INTEGERS) == sorted(
        (snake(op), snake(name))
        for op, method in names["methods"].items()
        for name, (idl_type, _) in names["options"][method["options"]].items()
        if idl_type == "MLNumber"
    )
