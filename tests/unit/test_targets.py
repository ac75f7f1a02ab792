"""Targets: what is recorded of browsers, and what of a graph they would refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import webnn
from tests.direct import direct_builder
from webnn.backends.base import Backend
from webnn.errors import DataError, NotSupportedError, ValidationError
from webnn.graph.ir import Graph
from webnn.graph.limits import SPEC_LIMITS, Limits
from webnn.graph.naming import snake
from webnn.graph.operand import MLOperand
from webnn.runtime.limits import op_support_limits
from webnn.targets.checking import Problem, check, problems
from webnn.targets.notes import NOTES, NoteRule
from webnn.targets.rules import ALLOWANCES, RULES, Allowance, Example, Rule
from webnn.targets.target import Target, recorded_targets, target_named


def wide_graph() -> Graph:
    builder = direct_builder()
    x = builder.input("x", [2, 1, 1, 1, 1], "float16")
    y = builder.input("y", [2, 2], "int64")
    parts = builder.split(builder.concat([y, y], 0), 2)
    packed = builder.constant(np.ones((2, 2), np.uint8))
    looked_up = builder.gather(packed, builder.cast(parts[1], "int32"))
    return builder.build({"x": builder.neg(x, label="stem"), "y": looked_up})


def found(graph: Graph, target: Target) -> list[Problem]:
    return list(problems(graph, target))


@pytest.mark.parametrize("name", recorded_targets())
def test_recorded_operators_have_the_operands_of_the_specification(name: str) -> None:
    """A browser may be older than an operator, which it then does not support."""
    target = target_named(name)
    assert len(target.limits) >= 95
    assert {op: set(rows) for op, rows in target.limits.items()} == {op: set(SPEC_LIMITS[op]) for op in target.limits}
    assert target.largest > 0


@pytest.mark.parametrize("name", recorded_targets())
def test_recorded_types_are_all_known_and_ranks_are_ranges(name: str) -> None:
    for rows in target_named(name).limits.values():
        for row in rows.values():
            assert row.types
            assert 0 <= row.ranks[0] <= row.ranks[1] <= 8


def test_what_was_recorded_of_chromium_is_what_it_answered() -> None:
    limits = target_named("chromium-147").limits
    assert limits["add"]["a"].types == ("float32", "float16", "int32", "int64")
    assert limits["add"]["a"].ranks == (0, 6)
    assert limits["equal"]["a"].ranks == (0, 4)
    assert limits["prelu"]["input"].ranks[1] == 4
    members = target_named("chromium-147").members
    assert "int4" in members["constant"].types
    assert "uint4" not in members["constant"].types


def test_the_specification_itself_refuses_nothing() -> None:
    assert found(wide_graph(), Target("spec", "", SPEC_LIMITS)) == []


def test_backends_are_targets_that_build_what_they_support(backend: Backend) -> None:
    assert found(wide_graph(), target_named(backend.name)) == []


def test_every_kind_of_problem_is_found_with_the_node_and_the_operand() -> None:
    limits = {op: dict(rows) for op, rows in SPEC_LIMITS.items()}
    del limits["cast"]
    limits["neg"]["input"] = Limits(("float32", "int8"), rank=(1, 4))
    limits["concat"]["inputs"] = Limits(("int32", "uint64"), rank=2)
    limits["split"]["outputs"] = Limits(("int64",), rank=3)
    members = {"input": Limits(("float16",)), "constant": Limits(("uint8",)), "output": Limits(("uint8",), rank=2)}
    target = Target("narrow", "", limits, members, largest=20)
    lines = {(p.node, p.where, p.operand, p.kind, p.given, p.proposal) for p in found(wide_graph(), target)}
    assert lines == {
        (None, "input 'y'", "", "type", "is int64", ""),
        (None, "input 'y'", "", "size", "has 32 bytes", "divide it into parts, and concatenate their results"),
        (0, "[stem] neg", "input", "type", "is float16", "cast to float32, and back after it"),
        (0, "[stem] neg", "input", "rank", "[2, 1, 1, 1, 1] has rank 5", "reshape to rank 4, and back after it"),
        (1, "concat (node 1)", "inputs[0]", "type", "is int64", "cast to int32, and back after it"),
        (1, "concat (node 1)", "inputs[1]", "type", "is int64", "cast to int32, and back after it"),
        (2, "split (node 2)", "outputs[0]", "rank", "[2, 2] has rank 2", "reshape to rank 3, and back after it"),
        (2, "split (node 2)", "outputs[1]", "rank", "[2, 2] has rank 2", "reshape to rank 3, and back after it"),
        (3, "cast (node 3)", "", "operator", "is missing", ""),
        (None, "output 'x'", "", "type", "is float16", ""),
        (None, "output 'x'", "", "rank", "[2, 1, 1, 1, 1] has rank 5", "reshape to rank 2, and back after it"),
        (None, "output 'y'", "", "rank", "[2, 2, 2] has rank 3", "reshape to rank 2, and back after it"),
    }


def test_a_constant_is_refused_once_however_often_it_is_read() -> None:
    builder = direct_builder()
    weight = builder.constant(np.ones((2, 2), np.float32))
    x = builder.input("x", [2, 2], "float32")
    graph = builder.build({"y": builder.matmul(builder.matmul(x, weight), weight)})
    target = Target("t", "", SPEC_LIMITS, {**target_named("arrays").members, "constant": Limits(("float16",))})
    (problem,) = found(graph, target)
    assert problem.message("t") == "matmul (node 0): constant b is float32; t takes float16"


@pytest.mark.parametrize("wrapped", [True, False])
def test_limits_that_a_browser_answered_are_read_from_a_file(tmp_path: Path, wrapped: bool) -> None:
    limits = op_support_limits(SPEC_LIMITS, "nchw")
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"opSupportLimits": limits} if wrapped else limits), encoding="utf-8")
    target = target_named(str(path))
    assert target.name == "mine"
    assert set(target.limits) == set(SPEC_LIMITS)
    assert found(wide_graph(), target) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "mine.json:1:1: not JSON"),
        ("[]", "expected an object of limits, got list"),
        ("{}", "it has no operators"),
        ('{"add": {"a": {}}}', "it does not hold opSupportLimits()"),
        ('{"add": {"a": {"dataTypes": 3}}}', "it does not hold opSupportLimits()"),
        ('{"opSupportLimits": 3}', "it does not hold opSupportLimits()"),
        ("[" * 100_000, "nested too deeply"),
        ('{"rules": {"gravity": ""}, "opSupportLimits": {"add": {}}}', "unknown 'gravity' in rules; known are gather"),
        ('{"notes": ["music"], "opSupportLimits": {"add": {}}}', "unknown 'music' in notes; known are"),
    ],
)
def test_a_file_that_holds_no_limits_is_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "mine.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match="mine") as caught:
        target_named(str(path))
    assert message in str(caught.value)


def test_a_name_that_several_begin_with_is_refused() -> None:
    with pytest.raises(
        NotSupportedError, match="'' may be any of chromium-147-linux-litert, chromium-153-linux-litert, onnx"
    ):
        target_named("")


def test_names_of_operators_come_from_the_specification() -> None:
    assert snake("gatherND") in target_named("chromium-147").limits


# Rules and notes.


def single(example: Example) -> Graph:
    """The graph of an example."""
    builder = direct_builder()
    feeds: list[str] = []

    def given(array: np.ndarray[Any, Any]) -> MLOperand:
        feeds.append(f"x{len(feeds)}")
        return builder.input(feeds[-1], array.shape, array.dtype.name)

    return builder.build({"y": example(builder, given)})


def following(rule: str) -> Target:
    return Target("strict", "", SPEC_LIMITS, rules={rule: "TypeError: no"})


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_a_rule_refuses_its_examples_and_takes_those_beside_them(rule: Rule) -> None:
    target = following(rule.name)
    for example in rule.refused:
        (problem,) = found(single(example), target)
        assert (problem.kind, problem.rule) == ("rule", rule.name)
        assert problem.operator == single(example).nodes[problem.node or 0].op
        assert problem.operator in rule.operators
        assert problem.answer == "TypeError: no"
        assert problem.proposal == rule.proposal != ""
    for example in rule.accepted:
        assert found(single(example), target) == []


@pytest.mark.parametrize("note", NOTES.values(), ids=NOTES)
def test_a_note_is_made_of_its_example_only_where_it_holds(note: NoteRule) -> None:
    graph = single(note.example)
    (made,) = check(graph, Target("odd", "", SPEC_LIMITS, notes=[note.name])).notes
    assert (made.name, made.operator in note.operators, made.proposal) == (note.name, True, note.proposal)
    assert made.message("odd") == f"{made.where} {made.given}; odd {note.difference}"
    assert check(graph, Target("even", "", SPEC_LIMITS)).notes == ()


@pytest.mark.parametrize(
    ("note", "example"),
    [
        ("triangular-infinity", lambda b, x: b.triangular(x(np.ones((2, 2), np.float32)))),
        ("triangular-infinity", lambda b, x: b.triangular(b.constant(np.full((2, 2), -1e9, np.float32)))),
        (
            "quantize-halves",
            lambda b, x: b.quantize_linear(
                x(np.ones(2, np.float32)), b.constant(np.ones(1, np.float32)), b.constant(np.zeros(1, np.int8))
            ),
        ),
        (
            "scatter-repeats",
            lambda b, x: b.scatter_nd(
                x(np.ones(2, np.float32)), b.constant(np.array([[0], [-1]], np.int32)), x(np.ones(2, np.float32))
            ),
        ),
        (
            "average-pool-padding",
            lambda b, x: b.average_pool2d(
                x(np.ones((1, 1, 2, 2), np.float32)), window_dimensions=[2, 2], padding=[0, 1, 0, 1]
            ),
        ),
        ("integer-division-by-zero", lambda b, x: b.div(x(np.ones(1, np.int32)), b.constant(np.ones(1, np.int32)))),
        ("resample-halves", lambda b, x: b.resample2d(x(np.ones((1, 1, 2, 2), np.float32)), sizes=[4, 4])),
    ],
)
def test_a_note_is_not_made_where_results_are_the_same(note: str, example: Example) -> None:
    assert check(single(example), Target("odd", "", SPEC_LIMITS, notes=[note])).notes == ()


def test_infinities_are_found_behind_operators_that_move_them() -> None:
    builder = direct_builder()
    mask = builder.expand(builder.constant("float32", -np.inf), [4, 4])
    graph = builder.build({"y": builder.triangular(builder.reshape(mask, [1, 4, 4]), upper=True, label="mask")})
    (note,) = check(graph, "chromium-153").notes
    assert note.message("chromium-153") == (
        "[mask] triangular has infinities in its input; chromium-153 gives NaN outside the triangle; the "
        "specification says 0"
    )


@pytest.mark.parametrize("allowance", ALLOWANCES.values(), ids=ALLOWANCES)
def test_an_allowance_widens_the_limits_that_were_recorded(allowance: Allowance, tmp_path: Path) -> None:
    limits = {op: dict(rows) for op, rows in op_support_limits(SPEC_LIMITS, "nchw").items() if isinstance(rows, dict)}
    limits["gatherND"]["output"] = {"dataTypes": ["float32"], "rankRange": {"min": 1, "max": 8}}
    path = tmp_path / "narrow.json"
    for names, count in (([], 1), ([allowance.name], 0)):
        path.write_text(json.dumps({"opSupportLimits": limits, "allowances": names}), encoding="utf-8")
        for example in allowance.examples:
            assert len(found(single(example), target_named(str(path)))) == count


def test_recorded_browsers_list_the_rules_with_their_own_errors() -> None:
    older, newer = (target_named(name) for name in ("chromium-147", "chromium-153"))
    assert newer.rules["edge-padding"].endswith("The edge padding mode is not supported in tflite schema.")
    assert "slice-strides" in newer.rules.keys() - older.rules.keys()
    assert "pool-rounding" in set(older.notes) - set(newer.notes)


# The public function.


def test_check_gives_typed_problems_of_a_compiled_graph() -> None:
    with webnn.create_context(backend="arrays") as context:
        builder = context.create_graph_builder()
        x, at = builder.input("x", [4], "float32"), builder.input("at", [2], "int32")
        graph = builder.build({"y": builder.gather_elements(x, at, label="pick")})
        verdict = webnn.check(graph, "chromium-153")
        assert webnn.check(graph, "arrays").builds
    assert isinstance(verdict, webnn.Verdict)
    assert (verdict.target, verdict.builds, verdict.nodes, verdict.nodes_refused) == (
        "chromium-153-linux-litert",
        False,
        1,
        1,
    )
    (problem,) = verdict.problems
    assert (problem.node, problem.label, problem.operator, problem.rule) == (
        0,
        "pick",
        "gather_elements",
        "gather-elements-constant-indices",
    )
    assert problem.reason == "has indices that are not constant; the target takes constant indices"
    assert problem.answer.endswith("gatherElements only supports constant indices.")
    assert str(verdict) == (
        "chromium-153-linux-litert: is refused, 1 of 1 operators\n"
        "[pick] gather_elements has indices that are not constant; chromium-153-linux-litert takes constant indices"
    )


def test_check_refuses_what_is_no_graph() -> None:
    with pytest.raises(ValidationError, match=r"graph: an MLGraph is expected, got .*model\.onnx"):
        check("model.onnx", "chromium-153")  # type: ignore[arg-type]
