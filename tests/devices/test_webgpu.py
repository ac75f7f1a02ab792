"""The WebGPU backend, where onnxruntime-webgpu and an adapter are there, be it SwiftShader's: `make webgpu`."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pytest

import webnn
from tests.conformance import wpt
from tests.conformance.test_wpt_conformance import outputs_of
from tests.devices.operators import EXAMPLES, Draft
from webnn.backends.base import Cancellation, CompileOptions, Executable
from webnn.errors import ValidationError
from webnn.graph.ir import Graph
from webnn.graph.limits import SPEC_LIMITS

(WEBGPU,) = [info for info in webnn.available_backends() if info.name == "webgpu"]
if not WEBGPU.available:
    pytest.skip(WEBGPU.reason, allow_module_level=True)

from webnn.backends.webgpu.backend import WebGpuBackend  # noqa: E402  (only where onnxruntime has the provider)

KNOWN: Final = {
    f"tan float32 {rank}D tensor": "SwiftShader's sine and cosine: 0.0017 at -23.7, 0.001 is allowed"
    for rank in (1, 2, 3, 4, 5)
}
"""Cases that fail on onnxruntime-webgpu 1.27 with SwiftShader, and why."""
ON_THE_CPU: Final[frozenset[str]] = frozenset()
"""Operators whose example leaves a node to the CPU."""

NO_ADAPTER: Final = """
import webnn, webnn.errors
(info,) = [info for info in webnn.available_backends() if info.name == "webgpu"]
print(info.available, info.reason)
try:
    webnn.create_context(backend="webgpu")
except webnn.errors.NotSupportedError as error:
    print("refused:", error)
"""


@pytest.fixture(scope="module")
def context() -> Iterator[webnn.MLContext]:
    with webnn.create_context(backend="webgpu") as context:
        yield context


@pytest.fixture
def left(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The nodes that compiled graphs leave to the CPU."""
    found: list[str] = []
    compile = WebGpuBackend.compile

    def recorded(self: WebGpuBackend, graph: Graph, options: CompileOptions, cancellation: Cancellation) -> Executable:
        executable: Any = compile(self, graph, options, cancellation)
        found.extend(executable.session.left_to_the_cpu)
        return executable  # type: ignore[no-any-return]

    monkeypatch.setattr(WebGpuBackend, "compile", recorded)
    return found


@pytest.mark.parametrize("case", wpt.parameters(wpt.conformance_cases()))
def test_conformance(case: wpt.Case, context: webnn.MLContext) -> None:
    if case.stale is not None:
        pytest.skip(f"older than the specification: {case.stale}")
    try:
        outputs = outputs_of(case, context)
    except ValidationError as error:  # data types that the device does not have are refused at the call
        pytest.skip(str(error))
    problems = [
        wpt.problem(outputs[name], spec, case.data["tolerance"]) for name, spec in case.data["expectedOutputs"].items()
    ]
    if any(problems) and case.name in KNOWN:
        pytest.xfail(KNOWN[case.name])
    assert not any(problems), problems


def test_there_is_an_example_of_each_operator() -> None:
    assert EXAMPLES.keys() == SPEC_LIMITS.keys()


@pytest.mark.parametrize("op", EXAMPLES)
def test_an_operator_stays_on_the_device(op: str, context: webnn.MLContext, left: list[str]) -> None:
    given = []
    for one in (context, webnn.create_context(backend="arrays")):
        draft = Draft(one.create_graph_builder())
        outputs = EXAMPLES[op](draft)
        outputs = outputs if isinstance(outputs, list) else [outputs]
        graph = draft.builder.build({f"output {i}": output for i, output in enumerate(outputs)})
        given.append(one.compute(graph, draft.feeds))
    for name, expected in given[1].items():
        np.testing.assert_allclose(given[0][name], expected, rtol=1e-3, atol=5e-4)  # WebGPU asks no more of sines
    assert bool(left) == (op in ON_THE_CPU), left


def test_at_least_85_operators_stay_on_the_device() -> None:
    assert len(SPEC_LIMITS.keys() - ON_THE_CPU) >= 85


def _halving(context: webnn.MLContext, size: int) -> webnn.MLGraph:
    builder = context.create_graph_builder()
    return builder.build({"y": builder.mul(builder.input("x", [size], "float32"), builder.constant("float32", 0.5))})


def test_ten_dispatches_in_a_row_copy_nothing_to_the_host(context: webnn.MLContext) -> None:
    graph = _halving(context, 4096)
    x, y = (context.create_tensor([4096], "float32", readable=True, writable=True) for _ in "xy")
    context.write_tensor(x, np.full(4096, 1024, np.float32))
    before = context.memory_info()
    for _ in range(5):
        context.dispatch(graph, {"x": x}, {"y": y})
        context.dispatch(graph, {"x": y}, {"y": x})
    context.dispatch(graph, {"x": x}, {"y": y}).finished().result()
    after = context.memory_info()
    assert (after.uploaded - before.uploaded, after.downloaded - before.downloaded) == (4096 * 4, 0)
    assert context.read_tensor(y).result()[0] == 0.5
    assert context.memory_info().downloaded - before.downloaded == 4096 * 4


def test_an_event_loop_is_on_time_beside_a_slow_read(context: webnn.MLContext) -> None:
    builder = context.create_graph_builder()
    x = h = builder.input("x", [192, 192], "float32")
    for _ in range(20):
        h = builder.matmul(h, x)
    graph = builder.build({"y": h})
    late: list[float] = []

    async def main() -> float:
        source, target = (context.create_tensor([192, 192], "float32", readable=True, writable=True) for _ in "xy")
        await graph
        context.write_tensor(source, np.eye(192, dtype=np.float32))
        context.dispatch(graph, {"x": source}, {"y": target})
        await context.read_tensor(target)  # its shaders are compiled now
        context.dispatch(graph, {"x": source}, {"y": target})
        await asyncio.sleep(0.05)  # the run is queued, so that the value is there, and the device at work
        reading = context.read_tensor(target)
        began = time.perf_counter()

        async def wait() -> None:
            np.testing.assert_array_equal(await reading, np.eye(192))

        waiter = asyncio.create_task(wait())
        while not waiter.done():
            then = time.perf_counter()
            await asyncio.sleep(0.001)
            late.append(time.perf_counter() - then - 0.001)
        await waiter
        return time.perf_counter() - began

    took = asyncio.run(main())
    assert took > 0.1, "the read was not slow"
    # SwiftShader takes the cores that the loop needs, too: a few turns may be late.
    assert np.quantile(late, 0.9) < 0.010, sorted(late)[-10:]
    assert max(late) < took / 2


def test_without_an_adapter_a_context_is_refused() -> None:
    environment = {**os.environ, "VK_DRIVER_FILES": "/nowhere"}
    if not sys.platform.startswith("linux"):
        pytest.skip("the environment hides the driver on Linux only")
    found = subprocess.run(
        [sys.executable, "-c", NO_ADAPTER], env=environment, capture_output=True, text=True, timeout=50, check=True
    )
    assert found.stdout.startswith("False there is no WebGPU adapter")
    assert "refused: " in found.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [({"bogus": "1"}, "has preferredLayout, and no 'bogus'"), ({"preferredLayout": "NCWH"}, "must be one of NCHW")],
)
def test_an_unknown_option_is_refused(options: dict[str, str], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        webnn.create_context(backend="webgpu", backend_options=options)
