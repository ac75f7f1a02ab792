"""The WebGPU backend, where onnxruntime-webgpu and an adapter are there, be it SwiftShader's: `make webgpu`."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pytest
from PIL import Image

import webnn
from benchmarks import mobilenet_v2 as mobilenet
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


FORKED: Final = """
import os, webnn, webnn.errors
webnn.create_context(backend="webgpu").destroy()
if os.fork() == 0:
    try:
        webnn.create_context(backend="webgpu")
    except webnn.errors.NotSupportedError as error:
        print("refused:", error, flush=True)
    os._exit(0)
os.wait()
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


LATE: Final = 0.010
"""Seconds that a turn of an event loop may be late."""


class _Turn(NamedTuple):
    """One turn of an event loop, in seconds."""

    late: float
    waited: float
    """For a core, after the turn could have gone on: the operating system let another thread run."""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux says how long a thread waits for a core")
def test_an_event_loop_is_on_time_beside_a_slow_read(context: webnn.MLContext) -> None:
    builder = context.create_graph_builder()
    x = h = builder.input("x", [192, 192], "float32")
    for _ in range(20):
        h = builder.matmul(h, x)
    graph = builder.build({"y": h})
    source, target = (context.create_tensor([192, 192], "float32", readable=True, writable=True) for _ in "xy")
    context.write_tensor(source, np.eye(192, dtype=np.float32))

    statistics = Path(f"/proc/self/task/{threading.get_native_id()}/schedstat")

    def waited() -> float:
        return int(statistics.read_text().split()[1]) / 1e9

    async def turns() -> list[_Turn]:
        context.dispatch(graph, {"x": source}, {"y": target})
        await asyncio.sleep(0.05)  # the run is queued, so that the value is there, and the device at work
        reading, found = context.read_tensor(target), []

        async def wait() -> None:
            await reading

        began = time.perf_counter()
        waiter = asyncio.create_task(wait())
        while not waiter.done():
            before, then = waited(), time.perf_counter()
            await asyncio.sleep(0.001)
            found.append(_Turn(time.perf_counter() - then - 0.001, waited() - before))
        assert time.perf_counter() - began > 0.1, "the read was not slow"
        return found

    async def main() -> list[list[_Turn]]:
        await turns()  # its shaders are compiled now
        reads = [await turns() for _ in range(3)]
        while len(reads) < 20 and not any(_latest(read) < LATE for read in reads):  # beside busy processes
            reads.append(await turns())
        return reads

    reads = asyncio.run(main())
    # Neither the interpreter nor a lock keeps the loop: what it is late by is the wait for a core, ...
    own = [max(turn.late - turn.waited for turn in read) for read in reads]
    assert np.median(own) < LATE, own
    # ... which is short beside the threads of a software driver, while other processes leave the cores alone.
    assert min(map(_latest, reads)) < LATE, [*map(_latest, reads)]


def _latest(read: list[_Turn]) -> float:
    return max(turn.late for turn in read)


def test_without_an_adapter_a_context_is_refused() -> None:
    environment = {**os.environ, "VK_DRIVER_FILES": "/nowhere"}
    if not sys.platform.startswith("linux"):
        pytest.skip("the environment hides the driver on Linux only")
    found = subprocess.run(
        [sys.executable, "-c", NO_ADAPTER], env=environment, capture_output=True, text=True, timeout=50, check=True
    )
    assert found.stdout.startswith("False there is no WebGPU adapter")
    assert "refused: " in found.stdout


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_process_is_refused() -> None:
    found = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, text=True, timeout=50, check=True)
    assert "opened the device before this one was forked" in found.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [({"bogus": "1"}, "has preferredLayout, and no 'bogus'"), ({"preferredLayout": "NCWH"}, "must be one of NCHW")],
)
def test_an_unknown_option_is_refused(options: dict[str, str], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        webnn.create_context(backend="webgpu", backend_options=options)


RANDOM: Final = np.random.default_rng(5)


def _numbers(*shape: int, low: float = -2, high: float = 2) -> np.ndarray[Any, Any]:
    return RANDOM.uniform(low, high, shape).astype(np.float32)


def _first(builder: Any, x: Any) -> Any:
    """A normalization with the epsilon that all others of the process would have."""
    return builder.instance_normalization(builder.instance_normalization(x, epsilon=0.5), epsilon=1e-5)


PLACES: Final = RANDOM.integers(0, 8, (3000, 1)).astype(np.int32)
LARGE: Final = np.array([2**40, -(2**40), -4147483648, 5], np.int64)

# What the provider computes wrongly by its own kernels: a graph, and values for its inputs.
WRONG: Final[dict[str, tuple[Callable[..., Any], list[np.ndarray[Any, Any]]]]] = {
    "layer normalization around a large mean": (
        lambda b, x: b.layer_normalization(x, axes=[1]),
        [_numbers(4, 64) + np.float32(3000)],
    ),
    "instance normalization around a large mean": (
        lambda b, x: b.instance_normalization(x),
        [_numbers(1, 3, 8, 8) + np.float32(3000)],
    ),
    "two instance normalizations with different epsilons": (_first, [_numbers(1, 3, 4, 4)]),
    "linear resampling of channels-last images": (
        lambda b, x: b.resample2d(x, mode="linear", scales=[2.5, 1.5], axes=[1, 2]),
        [_numbers(1, 4, 6, 3)],
    ),
    "the logarithm of a sum of exponentials beyond 89": (
        lambda b, x: b.reduce_log_sum_exp(x, axes=[1]),
        [np.array([[100, 99], [-200, -201], [np.inf, 0], [-np.inf, -np.inf]], np.float32)],
    ),
    "batch normalization of rank 2": (
        lambda b, x, mean, variance: b.batch_normalization(x, mean, variance),
        [_numbers(5, 3), _numbers(3), _numbers(3, low=0.5)],
    ),
    "transposed convolution of groups with one output channel": (
        lambda b, x, f: b.conv_transpose2d(x, f, groups=3, input_layout="nhwc", filter_layout="iohw", strides=[2, 2]),
        [_numbers(1, 4, 4, 6), _numbers(6, 1, 3, 3)],
    ),
    "weights in blocks along their only dimension": (
        lambda b, scale: b.dequantize_linear(
            b.constant(np.arange(12, dtype=np.uint8)), scale, b.constant(np.array([1, 2, 3], np.uint8))
        ),
        [_numbers(3)],
    ),
    "floats to integers of 64 bits": (
        lambda b, x: b.cast(x, "int64"),
        [np.array([1e12, -1e12, -1.5, np.nan], np.float32)],
    ),
    "integers of 64 bits to floats": (lambda b, x: b.cast(x, "float32"), [LARGE]),
    "unsigned integers to 64 bits": (lambda b, x: b.cast(x, "int64"), [np.array([2**31, 2**32 - 1], np.uint32)]),
    "bounds of integers of 64 bits": (lambda b, x: b.clamp(x, min_value=-2, max_value=3), [LARGE]),
    "powers of integers": (
        lambda b, x, n: b.pow(x, n),
        [np.array([3, -3, 7, -1, 2, 0], np.int32), np.array([19, 13, 11, -3, -1, -2], np.int32)],
    ),
    "negative numbers to fractional powers": (
        lambda b, x, n: b.pow(x, n),
        [np.array([-2, -2, 2, -0.5, 0], np.float32), np.array([0.5, 3, 0.5, -2, 0.25], np.float32)],
    ),
    "an operand of lower rank before a dimension of 1": (
        lambda b, x, y: [b.add(x, y), b.max(y, x), b.greater(x, y), b.pow(b.abs(x), y)],
        [_numbers(2, 1, 2), _numbers(2, 1, 2, 1, 2)],
    ),
    "a matrix times a vector": (lambda b, a, x: b.matmul(a, x), [_numbers(5, 7), _numbers(7, 1)]),
    "sums of integers that wrap around": (
        lambda b, x: b.reduce_sum(x, axes=[0]),
        [np.full((3, 2), 2**30, np.int32)],
    ),
    "several updates of one place": (
        lambda b, x, at, u: b.scatter_nd(x, at, u),
        [_numbers(8), PLACES, _numbers(3000)],
    ),
    "several updates of one element": (
        lambda b, x, at, u: b.scatter_elements(x, at, u, axis=0),
        [_numbers(8, 1), PLACES, _numbers(3000, 1)],
    ),
    "several updates of constant places": (
        lambda b, x, u: b.scatter_nd(x, b.constant(PLACES), u),
        [_numbers(8, 2), _numbers(3000, 2)],
    ),
    "small integers that wrap around": (
        lambda b, x: [b.cast(x, "int8"), b.cast(x, "uint8")],
        [np.array([-1, 127, 128, 256, 1000], np.int32)],
    ),
    "not-a-numbers": (
        lambda b, x: [b.is_nan(x), b.sign(x), b.max(x, b.constant("float32", 0.0)), b.reduce_max(x, axes=[0])],
        [np.array([np.nan, -np.inf, 2.5], np.float32)],
    ),
    "rounding of halves to even numbers": (
        lambda b, x: b.round_even(x),
        [np.array([0.5, 1.5, 2.5, -0.5, -1.5, 2.4, 1e9, -3.7], np.float32)],
    ),
    "dilated averages with padding": (
        lambda b, x: b.average_pool2d(x, window_dimensions=[2, 3], dilations=[2, 1], padding=[1, 0, 1, 1]),
        [_numbers(1, 2, 6, 6)],
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_is_computed_otherwise(name: str, context: webnn.MLContext) -> None:
    make, arrays = WRONG[name]
    found = []
    with webnn.create_context(backend="arrays") as reference:
        for one in (context, reference):
            builder = one.create_graph_builder()
            inputs = [builder.input(f"input {i}", array.shape, array.dtype.name) for i, array in enumerate(arrays)]
            made = make(builder, *inputs)
            outputs = made if isinstance(made, list) else [made]
            graph = builder.build({f"output {i}": output for i, output in enumerate(outputs)})
            results = one.compute(graph, {f"input {i}": array for i, array in enumerate(arrays)})
            found.append([np.array(results[f"output {i}"]) for i in range(len(outputs))])
    for result, expected in zip(*found, strict=True):
        assert result.dtype == expected.dtype
        if result.dtype.kind == "f":
            np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5)
        else:
            np.testing.assert_array_equal(result, expected)


def test_the_operators_that_fall_to_the_cpu_are_named(context: webnn.MLContext) -> None:
    builder = context.create_graph_builder()
    x = builder.input("x", [4], "float32")
    near = builder.round_even(x, label="near")
    graph = builder.build({"near": near, "wide": builder.cast(near, "int64", label="wide")})
    context.compute(graph, {"x": np.ones(4, np.float32)})
    operators = graph.explain().operators
    assert operators is not None
    by_label = {operator.label: operator for operator in operators}
    assert by_label["near"].providers == ("WebGpuExecutionProvider",)
    assert by_label["near"].realization == "composed"
    assert "CPUExecutionProvider" in by_label["wide"].providers


def test_values_are_freed_and_a_context_can_be_made_anew() -> None:
    for _ in range(3):
        with webnn.create_context(backend="webgpu") as context:
            graph = _halving(context, 1 << 16)
            result = context.compute(graph, {"x": np.full(1 << 16, 3, np.float32)})["y"]
            assert result[0] == 1.5
        assert context.memory_info().in_use == 0
        assert result[-1] == 1.5, "the array outlives its context"


def test_contexts_on_several_threads_share_the_device() -> None:
    wrong: list[tuple[int, int]] = []

    def work(factor: int) -> None:
        with webnn.create_context(backend="webgpu") as context:
            builder = context.create_graph_builder()
            x = builder.input("x", [64], "float32")
            graph = builder.build({"y": builder.mul(x, builder.constant("float32", float(factor)))})
            for number in range(20):
                result = context.compute(graph, np.full(64, number, np.float32))["y"]
                if (result != number * factor).any():
                    wrong.append((factor, number))

    threads = [threading.Thread(target=work, args=(factor,)) for factor in range(2, 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.timeout(300)
@pytest.mark.skipif(not mobilenet.MODEL.is_dir(), reason=f"no model in {mobilenet.MODEL}")
def test_mobilenet_gives_the_expected_output(context: webnn.MLContext, left: list[str]) -> None:
    with Image.open(mobilenet.MODEL / "test.jpg") as image:
        frame = mobilenet.prepare(image)
    graph = mobilenet.build(context.create_graph_builder(), mobilenet.load(mobilenet.MODEL))
    expected = np.load(mobilenet.MODEL / "expected.npz")["probabilities"]
    np.testing.assert_allclose(context.compute(graph, frame)["probabilities"], expected, rtol=0, atol=1e-5)
    assert left == []
