"""Every conformance case of WPT as a saved package, which the interpreter runs."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

import webnn
from tests.conformance import wpt
from tests.conformance.known_failures import known_failure
from tests.conformance.test_wpt_conformance import graph_of
from tests.coreml.interpreter import ProgramError
from tests.coreml.models import interpreted
from webnn.errors import NotSupportedError

REFUSED: Final = frozenset({"uint32", "uint64", "int64"})
"""Only cases with these data types, or of more than 5 dimensions, may be refused."""

KNOWN: Final[dict[str, str]] = {
    "clamp int64 1D tensor": "elements of its input, up to 4147483647, do not fit in the int32 that holds them",
}
"""Cases that fail, and why. Those in `known_failures` come on top."""


@pytest.mark.parametrize("case", wpt.parameters(wpt.conformance_cases()))
def test_conformance(case: wpt.Case, context: webnn.MLContext, tmp_path: Path) -> None:
    if case.stale is not None:
        pytest.skip(f"older than the specification: {case.stale}")
    graph, feeds = graph_of(case, context)
    operands = [operand for node in graph._graph.nodes for operand in (*node.inputs(), *node.outputs)]
    try:
        outputs = interpreted(graph, feeds, tmp_path / "case.mlpackage")
    except NotSupportedError as error:
        if not any(operand.data_type in REFUSED or operand.rank > 5 for operand in operands):
            raise
        pytest.skip(str(error))
    except ProgramError:
        if case.name in KNOWN:
            pytest.xfail(KNOWN[case.name])
        raise
    finally:
        graph.destroy()
    found = {
        name: wpt.problem(outputs[name], spec, case.data["tolerance"])
        for name, spec in case.data["expectedOutputs"].items()
    }
    if any(found.values()) and (reason := known_failure(case.file, case.name, "coreml")):
        pytest.xfail(reason)
    assert not any(found.values()), found
