"""Large, small and long inputs through saved packages, within the bounds that docs/behaviour.md states.

The interpreter rounds once after each operation, so what is found here is lost by the operations that a program uses.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

from tests.coreml.interpreter import UndocumentedError
from tests.coreml.models import interpreted
from tests.direct import DirectHost
from tests.property.bounds import BOUNDS, excess
from tests.property.trials import TRIALS, Chooser
from webnn.backends.coreml.backend import CoreMLBackend
from webnn.graph.builder import MLGraphBuilder
from webnn.graph.ir import Graph

ROUNDED_THRICE = {"hard_swish": 2.0}
"""How many bounds a result may be off: each of three operations rounds to float16."""

pytestmark = pytest.mark.timeout(300)
COREML = CoreMLBackend()


@pytest.mark.parametrize("op", TRIALS)
@settings(phases=[Phase.explicit, Phase.generate])
@given(data=st.data())
def test_a_result_is_within_the_bound(op: str, data: st.DataObject) -> None:
    trial = TRIALS[op](Chooser(data), op)
    builder: MLGraphBuilder[Graph] = MLGraphBuilder(DirectHost(COREML))
    feeds = {f"x{i}": array for i, array in enumerate(trial.arrays)}
    operands = [builder.input(name, array.shape, array.dtype) for name, array in feeds.items()]
    graph = builder.build({"y": trial.build(builder, *operands)})
    with tempfile.TemporaryDirectory() as folder:
        try:
            result = interpreted(graph, feeds, Path(folder) / "graph.mlpackage")["y"]
        except UndocumentedError as error:  # the difference of two int32 that are far apart
            assume("leaves the range of int32" not in str(error))
            raise
    found = excess(result, trial.exact, trial.size, BOUNDS[op], trial.count)
    assert found <= ROUNDED_THRICE.get(op, 1), (
        f"{found:.3g} times the bound, on {[(a.dtype.name, a.shape) for a in trial.arrays]}"
    )
