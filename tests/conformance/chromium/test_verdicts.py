"""The verdicts of `webnn.check` are those of the recorded browsers, and what `webnn.fit` makes builds in them.

Skipped where the browsers are not: `make chromium` installs them and runs this.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.conformance.chromium.graphs import RecordedDraft
from tests.conformance.chromium.targeted import TARGETED
from tests.direct import direct_builder, run_graph
from tests.property.calls import VALID, valid_call
from webnn.backends.arrays.backend import ArraysBackend
from webnn.browsers.chromium import Array, Chromium
from webnn.browsers.requests import Recorder
from webnn.errors import ValidationError
from webnn.graph.ir import Graph
from webnn.graph.limits import SPEC_LIMITS, LimitsTable
from webnn.graph.operand import MLOperand
from webnn.targets.checking import check
from webnn.targets.fitting import fit
from webnn.targets.rules import Example
from webnn.targets.target import target_named

EXAMPLES: Final = max(1, (settings.default or settings()).max_examples // 7)
AGREEMENT: Final = 0.995


class Unlimited(ArraysBackend):
    """A backend whose limits are the specification's."""

    def support_limits(self) -> LimitsTable:
        return SPEC_LIMITS


def replayed(graph: Graph) -> tuple[Recorder, Graph]:
    """The graph made anew on a recorder."""
    recorder = Recorder(direct_builder())
    made: dict[MLOperand, MLOperand] = {}
    for name, operand in graph.inputs.items():
        made[operand] = recorder.input(name, operand.shape, operand.data_type)
    for operand in graph.constants:
        made[operand] = recorder.constant(np.asarray(operand.constant))
    for node in graph.nodes:
        operands = {
            name: made[o] if isinstance(o, MLOperand) else [made[i] for i in o] for name, o in node.operands.items()
        }
        result = getattr(recorder, node.op)(**operands, **node.attributes)
        made.update(zip(node.outputs, result if isinstance(result, list | tuple) else [result], strict=True))
    return recorder, recorder.build({name: made[operand] for name, operand in graph.outputs.items()})


def answered(chromium: Chromium, graph: Graph, feeds: Mapping[str, Array]) -> tuple[str, Mapping[str, Array]]:
    """The browser's error, or else its outputs."""
    recorder, again = replayed(graph)
    answer = chromium.run(recorder.request(again, feeds))
    return answer.said, answer.outputs or {}


def graph_of(example: Example) -> tuple[Graph, dict[str, Array]]:
    """The graph of an example and the values of its inputs."""
    builder = direct_builder()
    feeds: dict[str, Any] = {}

    def given_array(array: Any) -> MLOperand:
        name = f"x{len(feeds)}"
        feeds[name] = np.asarray(array)
        return builder.input(name, array.shape, array.dtype.name)

    return builder.build({"y": example(builder, given_array)}), feeds


def test_there_are_enough_targeted_graphs() -> None:
    assert len(TARGETED) >= 140


def test_verdicts_on_targeted_graphs_are_those_of_the_browser(chromium: Chromium, name: str) -> None:
    false: dict[bool, list[str]] = {True: [], False: []}
    for about, example in TARGETED.items():
        graph, feeds = graph_of(example)
        verdict, (said, _) = check(graph, name), answered(chromium, graph, feeds)
        if verdict.builds != (not said):
            false[verdict.builds].append(f"{about}: check says {verdict}, the browser {said or 'nothing'}")
    assert false[True] == []
    assert len(false[False]) <= (1 - AGREEMENT) * len(TARGETED), "\n".join(false[False])


def test_fitted_targeted_graphs_build_in_the_browser_and_give_the_same(chromium: Chromium, name: str) -> None:
    wrong, left = [], []
    for about, example in TARGETED.items():
        graph, feeds = graph_of(example)
        fitted = fit(graph, name, inputs=feeds)
        if fitted.before.builds and not fitted.changes:
            continue
        if not fitted.builds:
            left.append(about)
            continue
        said, outputs = answered(chromium, fitted.graph, feeds)
        ours = run_graph(graph, feeds, ArraysBackend())["y"]
        if said or not np.allclose(outputs["y"], ours, rtol=1e-3, atol=1e-3, equal_nan=True):
            wrong.append(f"{about}: {fitted}, the browser {said or outputs['y'].tolist()} for {ours.tolist()}")
    assert wrong == []
    assert all("uint64" in about for about in left), left


def verdicts(op: str, chromium: Chromium, name: str) -> list[str | None]:
    """For each random graph of `op`, how the verdict differs from the browser's; None if it does not."""
    found: list[str | None] = []

    @settings(max_examples=EXAMPLES, phases=(Phase.generate,))
    @given(data=st.data())
    def draw(data: st.DataObject) -> None:
        draft = RecordedDraft(data, Unlimited())
        try:
            call = valid_call(draft, op)
            results = call.on(draft.builder)
            graph = draft.builder.build({f"y{i}": result for i, result in enumerate(results)})
        except ValidationError:  # drawn within limits of its own
            return
        verdict, answer = check(graph, name), chromium.run(draft.recorder.request(graph, draft.feeds))
        differs = verdict.builds == bool(answer.said)
        found.append(f"{call!r}: check says {verdict}, the browser {answer.said or 'nothing'}" if differs else None)

    draw()
    return found


def test_verdicts_on_random_graphs_are_those_of_the_browser(chromium: Chromium, name: str) -> None:
    found = [verdict for op in VALID for verdict in verdicts(op, chromium, name)]
    false = [verdict for verdict in found if verdict is not None]
    assert len(false) <= (1 - AGREEMENT) * len(found), "\n".join(false)


def test_a_wrong_verdict_would_be_seen(chromium: Chromium, name: str) -> None:
    """Without its rules the target says yes to what the browser refuses."""
    graph, feeds = graph_of(TARGETED["pad by 1 in mode edge"])
    assert check(graph, replace(target_named(name), rules={})).builds
    assert "edge padding mode is not supported" in answered(chromium, graph, feeds)[0]
