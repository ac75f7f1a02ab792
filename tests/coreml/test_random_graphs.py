"""Random graphs of every operator as saved packages: the interpreter and the `arrays` backend give the same."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

from tests.coreml.interpreter import ProgramError
from tests.coreml.interpreter.datatypes import Array
from tests.coreml.models import interpreted
from tests.direct import run_graph
from tests.property.calls import VALID, valid_call
from tests.property.draft import Draft, returnable
from tests.property.test_operators import LOCAL
from tests.property.tolerances import EXACT, TOLERANCES, Tolerance, difference
from webnn.backends.arrays.backend import ArraysBackend
from webnn.backends.coreml.backend import CoreMLBackend
from webnn.errors import NotSupportedError, ValidationError
from webnn.graph.operand import MLOperand

COREML, ARRAYS = CoreMLBackend(), ArraysBackend()
pytestmark = pytest.mark.timeout(300)

unshrunk = settings(phases=[Phase.explicit, Phase.generate])
"""Making a failure small would save thousands of packages."""

OURS: Final = {
    **dict.fromkeys(("hard_sigmoid", "linear"), Tolerance(1, "float16 is rounded after each operation", floor=1.0)),
    "average_pool2d": Tolerance(2, "composed averages are divided along one axis after the other"),
}
"""Where programs differ more than `TOLERANCES` allows."""

UNDEFINED: Final = (
    "leaves the range of int32",  # Core ML does not say what sums do that int32 does not hold
    "which update wins where an index is there twice",
)
"""Neither the documentation of Core ML nor WebNN says what these give."""


def check(draft: Draft, outputs: Mapping[str, MLOperand], tolerance: Tolerance, said: str) -> None:
    """`outputs` are the same through a saved package and on `arrays`, unless nothing says what they are."""
    graph = draft.builder.build(dict(outputs))
    feeds = {name: _in_32_bits(array) for name, array in draft.feeds.items()}
    expected = run_graph(graph, feeds, ARRAYS)
    with tempfile.TemporaryDirectory() as folder:
        try:
            actual = interpreted(graph, feeds, Path(folder) / "graph.mlpackage")
        except NotSupportedError as error:
            assume("and a constant has" not in str(error))
            raise
        except ProgramError as error:
            assume(not any(reason in str(error) for reason in UNDEFINED))
            raise AssertionError(f"{said}: {error}") from error
    for name in graph.outputs:
        found = difference(actual[name], expected[name], tolerance)
        assert found is None, f"{said}: {name}: {found}"


def _in_32_bits(array: Array) -> Array:
    """Inputs of int64 are held in 32 bits; on a Mac, others are refused when they are bound."""
    limits = np.iinfo(np.int32)
    return array.clip(limits.min, limits.max) if array.dtype == np.int64 else array


def followed(draft: Draft, output: MLOperand) -> MLOperand:
    """`output` with an operator behind it that may be fused with it, within the limits."""
    try:
        return draft.followed(returnable(draft, output))
    except ValidationError:
        return returnable(draft, output)


@pytest.mark.parametrize("op", VALID)
@unshrunk
@given(data=st.data())
def test_a_package_gives_what_numpy_gives_for(op: str, data: st.DataObject) -> None:
    draft = Draft(data, COREML)
    try:
        call = valid_call(draft, op)
        outputs = call.on(draft.builder)
    except ValidationError as error:  # what is drawn heeds limits of operands, and not all of results
        assume(not re.search("but must (be|have)", str(error)))
        raise
    named = {f"output {i}": followed(draft, output) for i, output in enumerate(outputs)}
    check(draft, named, OURS.get(op, TOLERANCES.get(op, EXACT)), repr(call))


@unshrunk
@given(data=st.data())
def test_a_package_gives_what_numpy_gives_for_graphs_of_many_operators(data: st.DataObject) -> None:
    draft = Draft(data, COREML)
    calls = []
    for _ in range(draft.integer(2, 8)):
        try:
            calls.append(valid_call(draft, draft.pick(LOCAL)))
            draft.pool += calls[-1].on(draft.builder)
        except ValidationError as error:
            assume(not re.search("but must (be|have)", str(error)))
            raise
    check(draft, {f"output {i}": operand for i, operand in enumerate(draft.pool)}, EXACT, repr(calls))
