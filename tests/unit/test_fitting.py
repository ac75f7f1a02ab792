"""Graphs in a form that a target builds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import webnn
from tests.direct import direct_builder
from webnn.errors import NotSupportedError, ValidationError
from webnn.graph.builder import MLGraphBuilder
from webnn.graph.ir import Graph
from webnn.graph.limits import SPEC_LIMITS, Limits
from webnn.graph.operand import MLOperand
from webnn.targets.checking import check
from webnn.targets.decompositions import DECOMPOSITIONS
from webnn.targets.fitting import Difference, fit
from webnn.targets.notes import NOTES
from webnn.targets.ranks import with_other_rank
from webnn.targets.remedies import REMEDIES
from webnn.targets.rules import RULES, Example, Rule
from webnn.targets.target import Target


def single(example: Example) -> tuple[Graph, dict[str, Any]]:
    """The graph of an example, and the arrays that it gives to its inputs."""
    builder = direct_builder()
    feeds: dict[str, Any] = {}

    def given(array: np.ndarray[Any, Any]) -> MLOperand:
        name = f"x{len(feeds)}"
        feeds[name] = array
        return builder.input(name, array.shape, array.dtype.name)

    return builder.build({"y": example(builder, given)}), feeds


def narrowed(operator: str, **rows: Limits) -> Target:
    """The specification's limits but for some operands of one operator."""
    return Target("narrow", "", {**SPEC_LIMITS, operator: {**SPEC_LIMITS[operator], **rows}})


def built(make: Callable[[MLGraphBuilder[Graph]], MLOperand]) -> Graph:
    builder = direct_builder()
    return builder.build({"y": make(builder)})


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_what_a_rule_refuses_is_replaced_and_gives_the_same(rule: Rule) -> None:
    target = Target("strict", "", SPEC_LIMITS, rules={rule.name: "no"})
    for example in rule.refused:
        graph, feeds = single(example)
        result = fit(graph, target, inputs=feeds)
        assert not result.before.builds
        assert result.builds
        assert result.equal
        assert list(result.graph.inputs) == list(graph.inputs)
        (change, *_) = result.changes
        assert change.operator in rule.operators
        assert change.done == REMEDIES[rule.name].done
        assert change.operators


@pytest.mark.parametrize("name", sorted(NOTES.keys() & REMEDIES.keys()))
def test_what_a_note_is_about_is_replaced_and_gives_the_same(name: str) -> None:
    graph, feeds = single(NOTES[name].example)
    target = Target("odd", "", SPEC_LIMITS, notes=[name])
    result = fit(graph, target, inputs=feeds)
    assert result.before.notes
    assert result.after.notes == ()
    assert result.equal
    assert fit(graph, target, notes=False).graph is graph


@pytest.mark.parametrize(
    "make",
    [
        lambda b, x, u: b.scatter_elements(x, b.constant(np.array([[0, -1, 0], [0, 1, 2]], np.int32)), u, axis=0),
        lambda b, x, u: b.scatter_nd(x, b.constant(np.array([[2], [-1]], np.int32)), u),
    ],
)
def test_updates_that_later_ones_replace_are_left_out(make: Callable[..., MLOperand]) -> None:
    graph = built(lambda b: make(b, b.input("x", [3, 3], "float32"), b.input("u", [2, 3], "float32")))
    result = fit(graph, Target("odd", "", SPEC_LIMITS, notes=["scatter-repeats"]))
    assert result.after.notes == ()
    assert result.equal
    assert [change.done for change in result.changes] == ["the last update of each place alone"]


def test_a_scatter_to_computed_places_is_left_as_it_is() -> None:
    graph = built(
        lambda b: b.scatter_nd(
            b.input("x", [3], "float32"), b.input("at", [2, 1], "int32"), b.input("u", [2], "float32")
        )
    )
    result = fit(graph, Target("odd", "", SPEC_LIMITS, notes=["scatter-repeats"]))
    assert result.graph is graph
    assert len(result.after.notes) == 1


def test_a_graph_that_builds_is_left_as_it_is() -> None:
    graph = built(lambda b: b.relu(b.input("x", [2], "float32")))
    result = fit(graph, Target("spec", "", SPEC_LIMITS))
    assert result.graph is graph
    assert (result.changes, result.differences) == ((), ())
    assert str(result) == "spec: builds"


def test_a_compiled_graph_becomes_one_of_the_same_context_that_runs() -> None:
    with webnn.create_context(backend="arrays") as context:
        builder = context.create_graph_builder()
        x = builder.input("x", [1, 3], "float32")
        graph = builder.build({"y": builder.pad(x, [0, 2], [0, 1], mode="edge", label="border")})
        result = webnn.fit(graph, "chromium-153")
        assert isinstance(result, webnn.Fit)
        assert isinstance(result.graph, webnn.MLGraph)
        assert webnn.check(result.graph, "chromium-153").builds
        given = np.array([[1, 2, 3]], np.float32)
        assert context.compute(result.graph, {"x": given})["y"].tolist() == [[1, 1, 1, 2, 3, 3]]
    assert str(result).splitlines()[:2] == [
        "chromium-153-linux-litert: builds",
        '[border] pad has the mode "edge"; the target takes "constant" and "reflection": edges put in place by concat',
    ]


# Data types.


def test_an_operator_is_computed_in_the_nearest_type_that_is_taken() -> None:
    graph = built(lambda b: b.not_equal(b.input("x", [4], "uint8"), b.input("z", [4], "uint8"), label="differ"))
    integers = Limits(("float32", "int32"))
    result = fit(graph, narrowed("not_equal", a=integers, b=integers))
    assert (result.builds, result.equal) == (True, True)
    assert [str(change) for change in result.changes] == [
        "[differ] not_equal a is uint8; the target takes float32 or int32: computed as int32"
    ]
    assert [node.op for node in result.graph.nodes] == ["cast", "cast", "not_equal"]


def test_four_bit_constants_become_wider_ones() -> None:
    builder = direct_builder()
    packed = builder.constant(np.array([[1, 2], [3, 15]]).astype("uint4"))
    zero = builder.constant(np.array([[1], [2]]).astype("uint4"))
    scale = builder.constant(np.array([[0.5], [2]], np.float32))
    weights = builder.dequantize_linear(packed, scale, zero)
    graph = builder.build({"y": builder.mul(weights, builder.input("x", [2, 2], "float32"))})
    members = {name: Limits(("float32", "uint8")) for name in ("input", "constant", "output")}
    result = fit(graph, Target("wide", "", SPEC_LIMITS, members))
    assert (result.builds, result.equal) == (True, True)
    assert {constant.data_type for constant in result.graph.constants} == {"uint8", "float32"}


def test_integers_are_clamped_without_floats() -> None:
    graph = built(lambda b: b.clamp(b.input("x", [8], "int64"), min_value=1.5, max_value=2**60))
    result = fit(graph, narrowed("clamp", input=Limits(("float32",))), inputs={"x": np.arange(8) * 2**58})
    assert (result.builds, result.equal) == (True, True)
    assert [node.op for node in result.graph.nodes] == ["max", "min"]


def test_a_type_that_cannot_be_cast_is_left() -> None:
    graph = built(lambda b: b.neg(b.input("x", [2], "int64"), label="minus"))
    limits = {**SPEC_LIMITS, "neg": {"input": Limits(("float32",)), "output": Limits(("float32",))}}
    limits["cast"] = {"input": Limits(("float32", "int32")), "output": Limits(("float32", "int32"))}
    result = fit(graph, Target("narrow", "", limits))
    assert not result.builds
    assert (result.graph, result.changes) == (graph, ())
    assert "left: [minus] neg: input is int64; narrow takes float32" in str(result)


def test_results_that_differ_are_reported() -> None:
    graph = built(lambda b: b.sign(b.input("x", [2], "int64")))
    target = narrowed("sign", input=Limits(("int32",)), output=Limits(("int32",)))
    result = fit(graph, target, inputs={"x": np.array([2**31, -1])})
    assert result.builds
    assert not result.equal
    assert str(result).endswith("output 'y': DIFFERENT, at most 2 apart of 1")
    assert fit(graph, target, inputs={"x": np.array([5, -1])}).equal
    assert fit(graph, target, verify=False).differences == ()


@pytest.mark.parametrize(
    ("largest", "magnitude", "tolerance", "equal"),
    [(0.0, 0.0, 0.0, True), (1e-5, 1.0, 1e-4, True), (1e-3, 1.0, 1e-4, False), (float("inf"), 1.0, 1e-4, False)],
)
def test_a_difference_is_judged_by_the_magnitude(
    largest: float, magnitude: float, tolerance: float, equal: bool
) -> None:
    assert Difference("y", largest, magnitude, tolerance).equal == equal


def test_constants_stay_small_where_places_are_computed() -> None:
    graph = built(
        lambda b: b.gather_elements(b.input("x", [100, 7], "float32"), b.input("at", [100, 500], "int32"), axis=1)
    )
    result = fit(graph, "chromium-153")
    assert (result.builds, result.equal) == (True, True)
    assert result.graph.constant_bytes < 1000


# Ranks.

X7 = [2, 1, 3, 1, 2, 2, 1]


@pytest.mark.parametrize(
    "make",
    [
        lambda b, x: b.relu(x),
        lambda b, x: b.add(x, b.input("y", [3, 1, 1, 2, 1], "float32")),
        lambda b, x: b.where(b.greater(x, b.constant("float32", 0)), x, b.constant("float32", 1)),
        lambda b, x: b.expand(b.slice(x, [0] * 7, [1] * 7), X7),
        lambda b, x: b.softmax(x, 4),
        lambda b, x: b.cumulative_sum(x, 2, exclusive=True),
        lambda b, x: b.arg_max(x, 2),
        lambda b, x: b.reduce_sum(x, axes=[0, 4], keep_dimensions=True),
        lambda b, x: b.reduce_mean(x, axes=[1]),
        lambda b, x: b.reverse(x, axes=[2, 5]),
        lambda b, x: b.concat([x, x], 2),
        lambda b, x: b.split(x, [1, 2], axis=2)[1],
        lambda b, x: b.slice(x, [1, 0, 0, 0, 1, 0, 0], [1, 1, 3, 1, 1, 2, 1], strides=[1, 1, 2, 1, 1, 1, 1]),
        lambda b, x: b.tile(x, [2, 1, 1, 1, 1, 3, 1]),
        lambda b, x: b.pad(x, [1, 0, 1, 0, 1, 0, 1], [0] * 7, mode="edge"),
        lambda b, x: b.transpose(x, permutation=[5, 0, 1, 2, 3, 4, 6]),
        lambda b, x: b.gather(x, b.constant(np.array([[2, 0]], np.int32)), axis=2),
        lambda b, x: b.gather_elements(x, b.constant(np.zeros([2, 1, 1, 1, 2, 2, 1], np.int32)), axis=2),
        lambda b, x: b.gather_nd(x, b.constant(np.array([[[1, 0, 2]], [[0, 0, -1]]], np.int32))),
        lambda b, x: b.scatter_nd(
            x, b.constant(np.array([[[1, 0]], [[0, 0]]], np.int32)), b.input("y", [2, 1, 3, 1, 2, 2, 1], "float32")
        ),
        lambda b, x: b.triangular(x, upper=False),
        lambda b, x: b.matmul(x, b.input("y", [1, 1, 2], "float32")),
        lambda b, x: b.layer_normalization(x, axes=[5, 6]),
        lambda b, x: b.batch_normalization(
            x, b.constant(np.ones(3, np.float32)), b.constant(np.ones(3, np.float32)), axis=2
        ),
    ],
)
def test_an_operator_is_computed_with_fewer_dimensions(make: Callable[[Any, MLOperand], MLOperand]) -> None:
    graph = built(lambda b: make(b, b.input("x", X7, "float32")))
    operator = graph.nodes[-1].op
    rows = {name: Limits(row.allowed, rank=(0, 4)) for name, row in SPEC_LIMITS[operator].items()}
    result = fit(graph, narrowed(operator, **rows))
    assert not result.before.builds
    assert (result.builds, result.equal) == (True, True), str(result)


def test_a_scalar_gets_a_dimension_where_the_operator_needs_one() -> None:
    graph = built(lambda b: b.neg(b.input("x", [], "float32")))
    result = fit(
        graph, narrowed("neg", input=Limits(("float32",), rank=(1, 4)), output=Limits(("float32",), rank=(1, 4)))
    )
    assert (result.builds, result.equal) == (True, True)
    assert [node.op for node in result.graph.nodes] == ["reshape", "neg", "reshape"]


def test_an_operator_whose_rank_is_fixed_has_no_other_rank() -> None:
    graph = built(lambda b: b.average_pool2d(b.input("x", [1, 1, 2, 2], "float32")))
    assert with_other_rank(None, graph.nodes[0], 0) is None  # type: ignore[arg-type]


# Operators that a target lacks.


def test_an_operator_that_a_target_lacks_is_decomposed_until_all_are_there() -> None:
    graph = built(lambda b: b.hard_swish(b.input("x", [5], "float32"), label="gate"))
    lacking = {"hard_swish", "hard_sigmoid", "linear", "clamp"}
    limits = {op: rows for op, rows in SPEC_LIMITS.items() if op not in lacking}
    result = fit(graph, Target("small", "", limits))
    assert (result.builds, result.equal) == (True, True)
    assert [change.operator for change in result.changes] == ["hard_swish", "hard_sigmoid", "linear"]
    assert not {node.op for node in result.graph.nodes} & lacking
    assert {node.label for node in result.graph.nodes} == {"gate"}


def test_an_operator_without_a_decomposition_is_left() -> None:
    graph = built(lambda b: b.exp(b.input("x", [5], "float32")))
    assert "exp" not in DECOMPOSITIONS
    limits = {op: rows for op, rows in SPEC_LIMITS.items() if op != "exp"}
    result = fit(graph, Target("small", "", limits))
    assert not result.builds
    assert result.graph is graph


# Real targets and bad input.


def test_several_problems_of_one_graph_are_solved_together() -> None:
    builder = direct_builder()
    x, at = builder.input("x", [2, 3], "float32"), builder.input("at", [2, 1], "int64")
    picked = builder.gather_elements(x, at, axis=1, label="pick")
    bordered = builder.pad(picked, [1, 1], [0, 0], mode="edge", label="border")
    graph = builder.build({"y": builder.not_equal(bordered, builder.constant("float32", 0)), "z": picked})
    for name in ("chromium-147", "chromium-153"):
        result = fit(graph, name)
        assert (result.builds, result.equal) == (True, True), str(result)
        assert check(result.graph, name).builds
        assert {change.label for change in result.changes} == {"pick", "border"}


def test_bad_arguments_are_refused_before_anything_is_done() -> None:
    graph = built(lambda b: b.pad(b.input("x", [2], "float32"), [1], [1], mode="edge"))
    with pytest.raises(NotSupportedError, match="unknown target 'netscape'"):
        fit(graph, "netscape")
    with pytest.raises(ValidationError, match="MLGraph is expected"):
        fit("graph", "chromium-153")  # type: ignore[type-var]
    with pytest.raises(ValidationError, match="x"):
        fit(graph, "chromium-153", inputs={})
