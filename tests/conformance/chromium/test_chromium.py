"""A second opinion: the same random graphs, on the same values, in Chromium and on both backends here.

Skipped where Chromium is not: `make chromium` installs it and runs this.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.conformance.chromium.browser import WithLimits, missing, program
from tests.conformance.chromium.differences import DIFFERENCES, Difference
from tests.conformance.chromium.graphs import RecordedDraft, is_known_to_differ, values_of
from tests.conformance.chromium.tolerances import disagreement
from tests.conformance.chromium.verdicts import VERDICTS, Verdict, known_verdict
from tests.direct import direct_builder, run_graph
from tests.property.calls import VALID, valid_call
from tests.property.mutations import hostile_call
from webnn.backends.arrays.backend import ArraysBackend
from webnn.backends.onnxruntime.backend import OnnxRuntimeBackend
from webnn.browsers.chromium import Answer, Array, Chromium
from webnn.browsers.requests import Recorder
from webnn.errors import ValidationError
from webnn.graph.ir import Graph
from webnn.graph.operand import MLOperand

NAME: Final = "chromium-147"
ABSENT: Final = missing(NAME)
pytestmark = pytest.mark.skipif(ABSENT is not None, reason=ABSENT or "")

BACKENDS: Final = {"onnxruntime": OnnxRuntimeBackend(), "arrays": ArraysBackend()}
EXAMPLES: Final = (settings.default or settings()).max_examples // 7
"""Of every operator: two unless another profile is asked for. The first that is drawn is always the smallest."""
DRAWS: Final = 30
"""How often a graph is drawn anew that Chromium is known to treat differently."""
PHASES: Final = (Phase.reuse, Phase.generate)
"""Making a failing graph smaller would take longer than a test may; they are small anyway."""

LOCAL: Final = (
    *("abs", "add", "ceil", "clamp", "concat", "equal", "expand", "floor", "gather", "greater", "identity", "lesser"),
    *("logical_and", "logical_not", "mul", "neg", "not_equal", "relu", "reshape", "reverse", "round_even", "sign"),
    *("slice", "split", "sub", "tile", "transpose", "triangular", "where"),
)
"""Operators that are exact on the values that are drawn, so that they can follow each other in any order."""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    with Chromium(program(NAME)) as browser:
        yield browser


@pytest.fixture(scope="module")
def common(chromium: Chromium) -> WithLimits:
    """What both Chromium and onnxruntime support."""
    return WithLimits(BACKENDS["onnxruntime"].support_limits(), chromium.limits)


def named(operands: list[MLOperand]) -> dict[str, MLOperand]:
    return {f"output {i}": operand for i, operand in enumerate(operands)}


def without_halves_that_are_read(operands: list[MLOperand]) -> list[MLOperand]:
    """`operands` but the float16 ones that others are computed from: if they are results too, Chromium reads zeros."""
    nodes = [operand.node for operand in operands if operand.node is not None]
    read = {id(operand) for node in nodes for operand in node.inputs()}
    return [operand for operand in operands if operand.data_type != "float16" or id(operand) not in read]


def disagreements(graph: Graph, feeds: Mapping[str, Array], answer: Answer, op: str) -> list[str]:
    """What Chromium gave that a backend did not, or that it gave nothing."""
    if answer.outputs is None:
        return [answer.said]
    found = []
    for backend_name, backend in BACKENDS.items():
        ours = run_graph(graph, feeds, backend)
        for name, theirs in answer.outputs.items():
            if (difference := disagreement(op, theirs, ours[name])) is not None:
                found.append(f"Chromium and {backend_name}: {name}: {difference}")
    return found


@pytest.mark.parametrize("op", VALID)
def test_chromium_agrees_on(op: str, chromium: Chromium, common: WithLimits) -> None:
    compared = 0

    @settings(max_examples=EXAMPLES, phases=PHASES)
    @given(data=st.data())
    def check(data: st.DataObject) -> None:
        nonlocal compared
        for _ in range(DRAWS):
            draft = RecordedDraft(data, common)
            try:
                call = valid_call(draft, op)
                graph = draft.builder.build(named(call.on(draft.builder)))
            except ValidationError:  # drawn within the specification's limits
                continue
            if is_known_to_differ(graph, draft.feeds):
                continue
            answer = chromium.run(draft.recorder.request(graph, draft.feeds))
            if (answer.failed or "").startswith("NotSupportedError"):  # Chromium says so itself
                continue
            found = disagreements(graph, draft.feeds, answer, op)
            assert not found, f"{found} of {call!r} on {draft.feeds}"
            compared += 1
            return

    check()
    assert compared > 0


@settings(max_examples=5 * EXAMPLES, phases=PHASES)
@given(data=st.data())
def test_chromium_agrees_on_graphs_of_many_operators(
    data: st.DataObject, chromium: Chromium, common: WithLimits
) -> None:
    draft = RecordedDraft(data, common)
    calls = []
    for _ in range(draft.integer(2, 8)):
        try:
            call = valid_call(draft, draft.pick(LOCAL))
            draft.pool += call.on(draft.builder)
        except ValidationError:
            draft.forget_refused()
            continue
        calls.append(call)
    if not calls:
        return
    graph = draft.builder.build(named(without_halves_that_are_read(draft.pool)))
    if is_known_to_differ(graph, draft.feeds):
        return
    answer = chromium.run(draft.recorder.request(graph, draft.feeds))
    found = disagreements(graph, draft.feeds, answer, "identity")
    assert not found, f"{found} of {calls} on {draft.feeds}"


@pytest.mark.parametrize("op", VALID)
def test_chromium_accepts_and_refuses_the_same_calls_of(op: str, chromium: Chromium, common: WithLimits) -> None:
    @settings(max_examples=5 * EXAMPLES, phases=PHASES)
    @given(data=st.data())
    def check(data: st.DataObject) -> None:
        draft = RecordedDraft(data, common)
        try:
            call = hostile_call(draft, op)
        except ValidationError:  # its operands cannot be made
            return
        ours = None
        try:
            call.on(draft.builder)
        except ValidationError as error:
            ours = str(error)
        answer = chromium.run(draft.recorder.request(None, draft.feeds))
        agree = (ours is None) == (answer.refused is None)
        assert agree or known_verdict(call) is not None, f"{call!r}: here {ours}, in Chromium {answer.said}"

    check()


class Inputs:
    """Makes inputs of arrays, and keeps what goes into them."""

    def __init__(self, builder: Recorder) -> None:
        self._builder = builder
        self.feeds: dict[str, Array] = {}

    def __call__(self, array: Any) -> MLOperand:
        name = f"input {len(self.feeds)}"
        self.feeds[name] = np.asarray(array)
        return self._builder.input(name, array.shape, array.dtype.name)


@pytest.mark.parametrize("known", DIFFERENCES, ids=str)
def test_a_known_difference_is_still_there(known: Difference, chromium: Chromium) -> None:
    recorder = Recorder(direct_builder())
    inputs = Inputs(recorder)
    result = known.example(recorder, inputs)
    graph = recorder.build(named(list(result) if isinstance(result, list) else [result]))
    (node,) = graph.nodes
    assert node.op in known.ops
    assert known.applies(node, values_of(node, inputs.feeds))
    answer = chromium.run(recorder.request(graph, inputs.feeds))
    found = disagreements(graph, inputs.feeds, answer, node.op)
    assert found
    outcome = "refuses" if answer.refused else "fails" if answer.failed else "differs"
    assert outcome == known.theirs, found
    # Our own two agree on it.
    ours = [run_graph(graph, inputs.feeds, backend) for backend in BACKENDS.values()]
    assert all(disagreement(node.op, ours[0][name], ours[1][name]) is None for name in graph.outputs)


def test_chromium_still_reads_zeros_from_float16_results(chromium: Chromium) -> None:
    recorder = Recorder(direct_builder())
    inputs = Inputs(recorder)
    first = recorder.sign(inputs(np.ones(2, np.float16)))
    results = [first, recorder.sign(first)]
    assert without_halves_that_are_read(results) == results[1:]
    graph = recorder.build(named(results))
    answer = chromium.run(recorder.request(graph, inputs.feeds))
    assert answer.outputs is not None
    assert [array.tolist() for array in answer.outputs.values()] == [[1, 1], [0, 0]]


@pytest.mark.parametrize("known", VERDICTS, ids=str)
def test_a_known_difference_of_validation_is_still_there(known: Verdict, chromium: Chromium) -> None:
    recorder = Recorder(direct_builder())
    inputs = Inputs(recorder)
    with nullcontext() if known.ours else pytest.raises(ValidationError):
        known.example(recorder, inputs)
    answer = chromium.run(recorder.request(None, inputs.feeds))
    assert (answer.refused is None) != known.ours


def test_a_wrong_result_would_be_seen(chromium: Chromium) -> None:
    recorder = Recorder(direct_builder())
    inputs = Inputs(recorder)
    x = inputs(np.array([1, -2], np.float32))
    graph = recorder.build({"y": recorder.abs(x)})
    answer = chromium.run(recorder.request(graph, inputs.feeds))
    assert disagreements(graph, inputs.feeds, answer, "abs") == []
    assert disagreements(graph, {name: 2 * array for name, array in inputs.feeds.items()}, answer, "abs") != []
