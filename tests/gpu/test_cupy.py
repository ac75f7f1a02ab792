"""The CuPy backend on a CUDA device: every conformance case, and tensors that stay there."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import webnn
from tests.conformance import wpt
from tests.conformance.test_wpt_conformance import outputs_of
from tests.conformance.verdicts import verdict

FOUR_BITS = ("int4", "uint4")

(CUPY,) = [info for info in webnn.available_backends() if info.name == "cupy"]
if not CUPY.available:
    pytest.skip(CUPY.reason, allow_module_level=True)


@pytest.fixture(scope="module")
def context() -> Iterator[webnn.MLContext]:
    with webnn.ML().create_context(backend="cupy") as context:
        yield context


@pytest.mark.parametrize("case", wpt.parameters(wpt.conformance_cases()))
def test_conformance(case: wpt.Case, context: webnn.MLContext, request: pytest.FixtureRequest) -> None:
    if any(spec["dataType"] in FOUR_BITS for spec in case.data["inputs"].values()):
        pytest.skip("CuPy has no 4-bit integers")
    with verdict(request, "conformance", "cupy", case):
        outputs = outputs_of(case, context)
        for name, spec in case.data["expectedOutputs"].items():
            assert not wpt.problem(outputs[name], spec, case.data["tolerance"])


def test_a_state_stays_on_the_device(context: webnn.MLContext) -> None:
    builder = context.create_graph_builder()
    x = builder.input("x", [1000], "float32")
    graph = builder.build({"y": x * 0.5 + 1})
    state = [context.create_tensor([1000], "float32", readable=True, writable=True) for _ in range(2)]
    context.write_tensor(state[0], np.zeros(1000, np.float32))
    for i in range(40):
        context.dispatch(graph, {"x": state[i % 2]}, {"y": state[(i + 1) % 2]})
    np.testing.assert_allclose(context.read_tensor(state[0]).result(), 2.0, rtol=1e-6)
