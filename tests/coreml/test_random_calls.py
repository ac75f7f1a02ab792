"""Random valid calls of every operator, within Core ML's limits: coremltools computes what `arrays` does."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.coreml.inference import inferred
from tests.direct import run_graph
from tests.property.calls import VALID, valid_call
from tests.property.draft import Draft, returnable
from tests.property.tolerances import EXACT, TOLERANCES, Tolerance, difference
from webnn.backends.arrays.backend import ArraysBackend
from webnn.backends.coreml.backend import CoreMLBackend
from webnn.backends.coreml.export import MISSING
from webnn.errors import NotSupportedError, ValidationError

if find_spec("coremltools") is None:
    pytest.skip(MISSING, allow_module_level=True)

COREML, ARRAYS = CoreMLBackend(), ArraysBackend()
OURS: Final = {
    "softplus": Tolerance(8, "coremltools takes the logarithm of a number near 1", floor=1.0),
    **dict.fromkeys(("hard_sigmoid", "linear"), Tolerance(1, "float16 is rounded after each operation", floor=1.0)),
    "average_pool2d": Tolerance(2, "composed averages are divided along one axis after the other"),
}
"""Where programs differ more than `TOLERANCES` allows."""


@pytest.mark.parametrize("op", VALID)
@given(data=st.data())
def test_coremltools_computes(op: str, data: st.DataObject) -> None:
    draft = Draft(data, COREML)
    try:
        call = valid_call(draft, op)
        outputs = {f"output {i}": returnable(draft, output) for i, output in enumerate(call.on(draft.builder))}
    except ValidationError as error:  # what is drawn heeds limits of operands, and not all of results
        assume("but must " not in str(error))
        raise
    graph = draft.builder.build(outputs)
    try:
        actual = inferred(graph, draft.feeds)
    except NotSupportedError as error:
        assume("and a constant has" not in str(error))
        raise
    expected = run_graph(graph, draft.feeds, ARRAYS)
    for name, array in actual.items():
        if array is not None:
            found = difference(array, expected[name], OURS.get(op, TOLERANCES.get(op, EXACT)))
            assert found is None, f"{call!r}: {name}: {found}"
