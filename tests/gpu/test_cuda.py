"""The CUDA and TensorRT backends on a device: numbers, tensors that stay there, replays, who runs what, engines."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import webnn
from benchmarks import mobilenet_v2 as mobilenet
from tests.conformance import wpt
from tests.conformance.test_wpt_conformance import outputs_of
from tests.conformance.verdicts import verdict
from webnn.backends.base import Cancellation, CompileOptions
from webnn.errors import NotSupportedError, ValidationError

AVAILABLE = {
    info.name: info for info in webnn.available_backends() if info.name in ("cuda", "onnxruntime-tensorrt", "tensorrt")
}
if not any(info.available for info in AVAILABLE.values()):
    pytest.skip("; ".join(info.reason for info in AVAILABLE.values()), allow_module_level=True)

CASES = wpt.parameters(wpt.conformance_cases())
FEW = [case.id for case in CASES[::120]]
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
    if context.backend != "cuda" and str(case) not in FEW:
        pytest.skip("one case in 120 is compiled")
    with verdict(request, "conformance", context.backend, case):
        try:
            outputs = outputs_of(case, context)
        except ValidationError as error:  # data types that TensorRT lacks
            pytest.skip(str(error))
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


def test_cupy_has_the_same_memory(context: webnn.MLContext) -> None:
    cupy = pytest.importorskip("cupy")
    builder = context.create_graph_builder()
    graph = builder.build({"y": builder.input("x", [1000], "float32") + 1})
    x, y = (context.create_tensor([1000], "float32", readable=True, writable=True) for _ in "xy")
    arrays = []
    for i in range(20):  # the memory of each value is lent while the next ones are computed
        context.write_tensor(x, np.full(1000, i, np.float32))
        context.dispatch(graph, {"x": x}, {"y": y})
        arrays.append(cupy.from_dlpack(context.lend_tensor(y).result()))
    assert [float(array.sum()) for array in arrays] == [1000 * (i + 1) for i in range(20)]
    assert len({array.data.ptr for array in arrays}) == 20


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
    with pytest.raises((NotSupportedError, ValidationError), match="99"):
        webnn.create_context(backend=context.backend, backend_options={"device_id": "99"})


@pytest.fixture
def engines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the engines of TensorRT's own backend."""
    if not AVAILABLE["tensorrt"].available:
        pytest.skip(AVAILABLE["tensorrt"].reason)
    monkeypatch.setenv("WEBNN_CACHE_DIR", str(tmp_path))
    return tmp_path


def test_other_weights_are_put_into_the_engine_of_the_same_structure(engines: Path) -> None:
    generator, ones = np.random.default_rng(0), np.ones((2, 64), np.float32)
    with webnn.create_context(backend="tensorrt", backend_options={"refit": "1"}) as context:
        for _ in range(3):
            builder, weights = context.create_graph_builder(), generator.random((64, 32), np.float32)
            x = builder.input("x", [2, 64], "float32")
            began = time.perf_counter()
            graph = builder.build({"y": builder.matmul(x, builder.constant(weights))})
            np.testing.assert_allclose(context.compute(graph, ones)["y"], ones @ weights, rtol=1e-5)
            print(f"\nan engine in {time.perf_counter() - began:.2f} s")
    assert len(list(engines.glob("tensorrt/*/*.plan"))) == 1
    assert len(list(engines.glob("tensorrt/*/times.cache"))) == 1


def test_a_build_ends_soon_after_it_is_cancelled(engines: Path) -> None:
    from webnn.backends.tensorrt.backend import TensorRtBackend  # noqa: PLC0415 (only where there is a device)

    with webnn.create_context(backend="null") as context:
        builder = context.create_graph_builder()
        h = builder.input("x", [64, 64, 32, 32], "float32")
        for i in range(40):  # layers that are all different
            weights = np.full((64, 64, 3, 3), i, np.float32)
            h = builder.relu(builder.conv2d(h, builder.constant(weights), padding=[1, 1, 1, 1], groups=1))
        graph = builder.build({"y": h})._graph
    cancellation = Cancellation()
    timer = threading.Timer(1, cancellation.cancel)
    timer.start()
    began = time.perf_counter()
    with pytest.raises(CancelledError):
        TensorRtBackend().compile(graph, CompileOptions(), cancellation)
    print(f"\nended {time.perf_counter() - began - 1:.2f} s after it was cancelled")


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
