"""The CUDA and TensorRT backends on a device: numbers, tensors that stay there, captured replays, who runs what."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

import webnn
from benchmarks import mobilenet_v2 as mobilenet
from tests.conformance import wpt
from tests.conformance.test_wpt_conformance import outputs_of
from tests.conformance.verdicts import verdict
from webnn.errors import NotSupportedError

AVAILABLE = {info.name: info for info in webnn.available_backends() if info.name in ("cuda", "tensorrt")}
if not any(info.available for info in AVAILABLE.values()):
    pytest.skip("; ".join(info.reason for info in AVAILABLE.values()), allow_module_level=True)

CASES = wpt.parameters(wpt.conformance_cases())
FEW = [case.id for case in CASES[::60]]
"""For TensorRT, which takes seconds to compile each."""


@pytest.fixture(scope="module", params=list(AVAILABLE))
def context(request: pytest.FixtureRequest) -> Iterator[webnn.MLContext]:
    info = AVAILABLE[request.param]
    if not info.available:
        pytest.skip(info.reason)
    with webnn.create_context(backend=info.name) as context:
        yield context


@pytest.mark.parametrize("case", CASES)
def test_conformance(case: wpt.Case, context: webnn.MLContext, request: pytest.FixtureRequest) -> None:
    if context.backend == "tensorrt" and str(case) not in FEW:
        pytest.skip("one case in 60 is compiled")
    with verdict(request, "conformance", context.backend, case):
        outputs = outputs_of(case, context)
        for name, spec in case.data["expectedOutputs"].items():
            assert not wpt.problem(outputs[name], spec, case.data["tolerance"])


def test_the_device_is_named(context: webnn.MLContext) -> None:
    assert context.accelerated
    assert "NVIDIA" in context.device.name


def test_a_state_stays_on_the_device_and_its_runs_are_in_order(context: webnn.MLContext) -> None:
    builder = context.create_graph_builder()
    graph = builder.build({"y": builder.input("x", [1000], "float32") * 0.5 + 1})
    state = [context.create_tensor([1000], "float32", readable=True, writable=True) for _ in range(2)]
    context.write_tensor(state[0], np.zeros(1000, np.float32))
    for i in range(40):
        context.dispatch(graph, {"x": state[i % 2]}, {"y": state[(i + 1) % 2]})
    np.testing.assert_allclose(context.read_tensor(state[0]).result(), 2.0, rtol=1e-6)


def test_a_replay_that_is_captured_gives_the_same(context: webnn.MLContext) -> None:
    builder = context.create_graph_builder()
    graph = builder.build({"y": builder.input("x", [64], "float32") * 2 + 1})
    a, b, c = (context.create_tensor([64], "float32", readable=True, writable=True) for _ in range(3))
    with context.record() as program:
        context.dispatch(graph, {"x": a}, {"y": b})
        context.dispatch(graph, {"x": b}, {"y": c})
    for i in range(60):
        context.write_tensor(a, np.full(64, i, np.float32))
        context.replay(program)
        assert np.all(context.read_tensor(c).result() == 4 * i + 3)


def test_the_provider_runs_what_it_can(context: webnn.MLContext) -> None:
    builder = context.create_graph_builder()
    x = builder.input("x", [2, 8], "float32")
    graph = builder.build({"y": builder.matmul(x, builder.constant(np.ones((8, 8), np.float32)), label="mm")})
    context.compute(graph, np.ones((2, 8), np.float32))
    (row,) = graph.explain().operators or ()
    assert row.providers == (context.device.provider,)


def test_an_option_that_does_not_exist_is_refused(context: webnn.MLContext) -> None:
    with pytest.raises(NotSupportedError, match="refuses"):
        webnn.create_context(backend=context.backend, backend_options={"device_id": "99"})


@pytest.mark.skipif(not mobilenet.MODEL.is_dir(), reason=f"no model in {mobilenet.MODEL}")
def test_mobilenet_gives_the_expected_output(context: webnn.MLContext) -> None:
    with Image.open(mobilenet.MODEL / "test.jpg") as image:
        frame = mobilenet.prepare(image)
    graph = mobilenet.build(context.create_graph_builder(), mobilenet.load(mobilenet.MODEL))
    expected = np.load(mobilenet.MODEL / "expected.npz")["probabilities"]
    np.testing.assert_allclose(context.compute(graph, frame)["probabilities"], expected, rtol=0, atol=1e-3)
    began = time.perf_counter()
    for _ in range(100):
        context.compute(graph, frame)
    print(f"\n{context.device.name}, {context.backend}: {10 * (time.perf_counter() - began):.2f} ms for each image")
