"""Every conformance case of WPT: a graph, its inputs, and what must come out, within WPT's own tolerance."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import webnn
from tests.conformance import wpt
from tests.conformance.verdicts import verdict
from tests.specification import snake


def resolved(value: Any, operands: dict[str, webnn.MLOperand]) -> Any:
    """An argument as it is called with: references become operands, JSON's spellings of numbers become numbers."""
    match value:
        case {"$ref": name}:
            return operands[name]
        case {"$f": _} | {"$i": _}:
            return wpt.number_of(value)
        case list():
            return [resolved(item, operands) for item in value]
        case _:
            return value


def graph_of(case: wpt.Case, context: webnn.MLContext) -> tuple[webnn.MLGraph, dict[str, wpt.Array]]:
    """The case's graph, whose operands are checked, and its inputs."""
    builder = context.create_graph_builder()
    operands: dict[str, webnn.MLOperand] = {}
    feeds = {}
    for name, spec in case.data["inputs"].items():
        array = wpt.array_of(spec)
        if spec.get("constant"):
            operands[name] = builder.constant(array)
        else:
            operands[name], feeds[name] = builder.input(name, spec["shape"], spec["dataType"]), array
    for step in case.data["operators"]:
        method = getattr(builder, snake(step["name"]))
        options = {snake(name): resolved(value, operands) for name, value in step.get("options", {}).items()}
        results = method(*resolved(step["args"], operands), **options)
        if isinstance(step["outputs"], list):
            operands.update(zip(step["outputs"], results, strict=True))
        else:
            operands[step["outputs"]] = results
    wanted = case.data["expectedOutputs"]
    for name, spec in wanted.items():
        operand = operands[name]
        assert (operand.data_type, list(operand.shape)) == (spec["dataType"], spec["shape"]), name
    return builder.build({name: operands[name] for name in wanted}), feeds


def outputs_of(case: wpt.Case, context: webnn.MLContext) -> dict[str, wpt.Array]:
    """Build the case's graph and run it."""
    graph, feeds = graph_of(case, context)
    outputs = context.compute(graph, feeds)
    graph.destroy()
    return {name: np.asarray(array) for name, array in outputs.items()}


@pytest.mark.parametrize("case", wpt.parameters(wpt.conformance_cases()))
def test_conformance(
    case: wpt.Case, backend_name: str, context: webnn.MLContext, request: pytest.FixtureRequest
) -> None:
    with verdict(request, "conformance", backend_name, case):
        outputs = outputs_of(case, context)
        found = {
            name: wpt.problem(outputs[name], spec, case.data["tolerance"])
            for name, spec in case.data["expectedOutputs"].items()
        }
        assert not any(found.values()), found
