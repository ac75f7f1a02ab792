"""The CUDA backend's own parts on a stand-in for the CUDA runtime: order, lifetimes, options. No device is run here.

The stand-in has memory of the host, and queues what is queued: nothing happens before somebody waits. Whether CUDA does
the same, `tests/gpu/` shows on a machine that has a device.
"""

from __future__ import annotations

import pickle
import weakref
from math import inf
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import webnn
from tests.nvidia import CudaRuntime
from webnn.backends.base import Cancellation, CompileOptions
from webnn.backends.cuda import backend as cuda_backend
from webnn.backends.cuda import lending
from webnn.backends.cuda.backend import CudaBackend, CudaExecutable
from webnn.backends.cuda.lending import LentArray
from webnn.backends.cuda.library import CudaLibrary
from webnn.backends.cuda.memory import CudaAllocator
from webnn.backends.cuda.options import cuda_options, device_number, engine_folder, tensorrt_options
from webnn.backends.cuda.stream import IN_FLIGHT, STAGES, Stream
from webnn.errors import DeviceLostError, NotSupportedError, OperationError, ValidationError
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.dtypes import DataType

FLOATS = MLOperandDescriptor("float32", (4,))


@pytest.fixture
def runtime() -> CudaRuntime:
    return CudaRuntime()


@pytest.fixture
def stream(runtime: CudaRuntime) -> Stream:
    return Stream(CudaLibrary(0, runtime))


class Memory:
    """An `OrtValue` of bytes."""

    def __init__(self, size: int) -> None:
        self.bytes = np.zeros(size, np.uint8)

    def data_ptr(self) -> int:
        return self.bytes.ctypes.data


# Order, and what the host waits for.


def test_a_write_is_taken_at_the_call_and_a_read_sees_it(stream: Stream, runtime: CudaRuntime) -> None:
    allocator = CudaAllocator(stream, Memory)
    view = allocator.view(FLOATS)
    data = np.arange(4, dtype=np.float32)
    allocator.write(view, data)
    data[:] = -1
    assert len(runtime.queued) == 2  # the copy, and the event behind it
    assert allocator.host_array(view).tolist() == [0, 1, 2, 3]
    allocator.clear(view)
    assert allocator.host_array(view).tolist() == [0, 0, 0, 0]


def test_pinned_memory_is_not_used_again_before_it_is_copied(stream: Stream, runtime: CudaRuntime) -> None:
    allocator = CudaAllocator(stream, Memory)
    views = [allocator.view(FLOATS) for _ in range(3 * STAGES)]
    for i, view in enumerate(views):
        allocator.write(view, np.full(4, i, np.float32))
    assert [allocator.host_array(view)[0] for view in views] == list(range(3 * STAGES))
    assert runtime.calls.count("cudaHostAlloc") == STAGES


def test_a_larger_copy_gets_more_pinned_memory(stream: Stream) -> None:
    allocator = CudaAllocator(stream, Memory)
    for size in (1, 1, 1, 1, 1000, 3):
        view = allocator.view(MLOperandDescriptor("float32", (size,)))
        allocator.write(view, np.full(size, size, np.float32))
        assert np.all(allocator.host_array(view) == size)


def test_short_runs_are_left_in_flight_and_long_ones_are_not(stream: Stream, runtime: CudaRuntime) -> None:
    done: list[object] = []
    kept = SimpleNamespace()
    times: list[float] = []
    stream.run(lambda: runtime.queued.append(lambda: done.append("long")), kept, inf, times.append)
    assert (done, times) == (["long"], [0.25])
    for i in range(IN_FLIGHT + 3):
        stream.run(lambda i=i: runtime.queued.append(lambda: done.append(i)), kept, 0.25, times.append)  # type: ignore[misc]
    assert done[1:] == [0, 1, 2]
    stream.settle()
    assert done[1:] == list(range(IN_FLIGHT + 3))


def test_the_buffers_of_a_run_live_until_it_has_ended(stream: Stream, runtime: CudaRuntime) -> None:
    freed: list[str] = []

    class Kept:
        def __del__(self) -> None:
            freed.append("now")

    stream.run(lambda: None, Kept(), 0.1, lambda _: None)
    assert freed == []
    stream.settle()
    assert freed == ["now"]


def test_a_launch_that_fails_leaves_nothing_in_flight(stream: Stream) -> None:
    def fail() -> None:
        raise RuntimeError("no kernel image")

    with pytest.raises(RuntimeError, match="no kernel image"):
        stream.run(fail, None, 0.1, lambda _: None)
    stream.settle()
    stream.run(lambda: None, None, inf, lambda _: None)


def test_everything_is_given_back_with_the_stream(runtime: CudaRuntime) -> None:
    stream = Stream(CudaLibrary(0, runtime))
    allocator = CudaAllocator(stream, Memory)
    view = allocator.view(FLOATS)
    allocator.write(view, np.zeros(4, np.float32))
    stream.run(lambda: None, None, 0.1, lambda _: None)
    assert runtime.alive
    del stream, allocator
    assert not runtime.alive


# Lending.


@pytest.fixture
def on_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """The memory of the stand-in is that of the host, which NumPy takes if it is called so."""
    monkeypatch.setattr(LentArray, "device_type", 1)


@pytest.mark.parametrize("shape", [(), (5,), (2, 3, 4), (3, 1)])
@pytest.mark.parametrize("data_type", ["float32", "float16", "int64", "uint8"])
def test_other_libraries_have_the_same_memory(
    stream: Stream, on_host: None, shape: tuple[int, ...], data_type: DataType
) -> None:
    allocator = CudaAllocator(stream, Memory)
    view = allocator.view(MLOperandDescriptor(data_type, shape))
    data = np.arange(np.prod(shape, dtype=int), dtype=data_type).reshape(shape)
    allocator.write(view, data)
    lent = allocator.lent(view)
    array = np.from_dlpack(lent)
    stream.settle()
    allocator.host_array(view)  # waits for the write
    assert np.array_equal(array, data)
    assert (array.dtype, array.shape, lent.nbytes) == (data.dtype, shape, data.nbytes)
    assert array.ctypes.data == view.array.address
    assert not array.flags.writeable
    del lent, array
    assert lending._alive == {}


def test_the_streams_of_both_libraries_wait_for_each_other(stream: Stream, runtime: CudaRuntime, on_host: None) -> None:
    allocator = CudaAllocator(stream, Memory)
    lent = allocator.lent(allocator.view(FLOATS))
    lease = weakref.ref(lent.base)
    for given, waiting in ((None, 1), (2, 2), (77, 77)):
        runtime.waits.clear()
        capsule = lent.__dlpack__(stream=given)
        assert runtime.waits == [waiting], "the consumer waits for the value"
        array = np.from_dlpack(SimpleNamespace(__dlpack__=lambda c=capsule, **_: c, __dlpack_device__=lambda: (1, 0)))
        del capsule, array
        assert runtime.waits == [waiting, stream.handle], "and its work is done before the memory is used again"
    array = np.from_dlpack(lent)
    runtime.waits.clear()
    lent.__dlpack__(stream=-1)  # which nothing takes
    assert runtime.waits == []
    del lent
    assert lease() is not None
    del array
    assert lease() is None
    assert lending._alive == {}


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"copy": True}, "copy it with the other library"),
        ({"dl_device": (1, 0)}, r"the value is on the device \(2, 0\), and \(1, 0\) was asked for"),
    ],
)
def test_a_copy_or_another_device_is_refused(stream: Stream, asked: dict[str, Any], message: str) -> None:
    allocator = CudaAllocator(stream, Memory)
    with pytest.raises(BufferError, match=message):
        allocator.lent(allocator.view(FLOATS)).__dlpack__(**asked)


def test_memory_of_a_device_cannot_be_pickled(stream: Stream) -> None:
    allocator = CudaAllocator(stream, Memory)
    with pytest.raises(
        TypeError, match=r"memory of a device of this process; send the array that context\.read_tensor"
    ):
        pickle.dumps(allocator.lent(allocator.view(FLOATS)))


def test_dlpack_has_no_4_bit_integers(stream: Stream) -> None:
    allocator = CudaAllocator(stream, Memory)
    with pytest.raises(BufferError, match="DLPack has no int4"):
        allocator.lent(allocator.view(MLOperandDescriptor("int4", (2,)))).__dlpack__()


# Errors.


@pytest.mark.parametrize(
    ("code", "kind"), [(2, MemoryError), (700, DeviceLostError), (719, DeviceLostError), (1, OperationError)]
)
def test_an_error_of_the_library_has_its_kind_and_names_its_call(
    stream: Stream, runtime: CudaRuntime, code: int, kind: type[Exception]
) -> None:
    runtime.code = code
    with pytest.raises(kind, match=f"cudaEventRecord failed with error {code}"):
        stream.cuda.record(1, stream.handle)
    runtime.code = 0


def test_work_that_goes_on_is_no_lost_device(stream: Stream, runtime: CudaRuntime) -> None:
    runtime.code = 600  # not ready
    stream.cuda.check(stream.handle)
    runtime.code = 700
    with pytest.raises(DeviceLostError, match="the CUDA device 0 is lost"):
        stream.cuda.check(stream.handle)
    runtime.code = 0


# Bindings.


class Binding:
    def __init__(self) -> None:
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []

    def bind_input(self, *arguments: Any) -> None:
        self.inputs.append(arguments)

    def bind_output(self, *arguments: Any) -> None:
        self.outputs.append(arguments)


class Session:
    def __init__(self) -> None:
        self.bindings: list[Binding] = []
        self.runs: list[tuple[Binding, dict[str, str]]] = []

    def io_binding(self) -> Binding:
        self.bindings.append(Binding())
        return self.bindings[-1]

    def run_with_iobinding(self, binding: Binding, options: Any) -> None:
        self.runs.append((binding, options.entries))


class RunOptions:
    def __init__(self) -> None:
        self.entries: dict[str, str] = {}

    def add_run_config_entry(self, name: str, value: str) -> None:
        self.entries[name] = value


@pytest.mark.parametrize("captures", [False, True])
def test_a_combination_of_buffers_is_bound_once_and_captured_under_a_number_of_its_own(
    stream: Stream, captures: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cuda_backend, "onnxruntime", lambda: SimpleNamespace(RunOptions=RunOptions))
    session, allocator = Session(), CudaAllocator(stream, Memory)
    executable = CudaExecutable(
        [("x", FLOATS)],
        [("y", FLOATS)],
        session=session,
        stream=stream,
        input_names=["x"],
        output_names=["y"],
        captures=captures,
    )
    a, b, c = (allocator.view(FLOATS) for _ in range(3))
    for x, y in ((a, b), (a, c), (a, b), (a, b)):
        executable.run([x], [y])
    assert len(session.bindings) == 2
    assert session.bindings[0].inputs == [("x", "cuda", 0, np.dtype("float32"), (4,), a.array.address)]
    assert [entries.get("gpu_graph_id") for _, entries in session.runs] == (
        ["1", "2", "1", "1"] if captures else [None] * 4
    )
    assert all(entries["disable_synchronize_execution_providers"] == "1" for _, entries in session.runs)
    assert executable.milliseconds == 0.25


# Options and keys.


def test_the_options_of_the_program_are_handed_on_and_the_stream_is_ours() -> None:
    given = {"device_id": "1", "cudnn_conv_algo_search": "HEURISTIC", "trt_fp16_enable": "1"}
    assert cuda_options(given, 77, capture=True) == {
        "device_id": "1",
        "use_tf32": "0",
        "cudnn_conv_algo_search": "HEURISTIC",
        "user_compute_stream": "77",
        "enable_cuda_graph": "1",
    }
    options = tensorrt_options(given, 77, Path("engines"), capture=False)
    assert options["trt_fp16_enable"] == "1"
    assert options["trt_engine_cache_path"] == options["trt_timing_cache_path"] == "engines"
    assert "cudnn_conv_algo_search" not in options
    assert (
        tensorrt_options({"trt_engine_cache_path": "x"}, 1, Path("engines"), capture=False)["trt_engine_cache_path"]
        == "x"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device_id": "first"}, "device_id must be the number of a device, got 'first'"),
        (
            {"user_compute_stream": "1", "enable_cuda_graph": "1"},
            "enable_cuda_graph, user_compute_stream cannot be set",
        ),
    ],
)
def test_options_that_would_break_the_order_are_refused(options: dict[str, str], message: str) -> None:
    assert device_number({}) == 0
    with pytest.raises(ValidationError, match=message):
        device_number(options)


def test_engines_are_kept_apart_by_gpu_driver_and_versions(tmp_path: Path) -> None:
    base = ("NVIDIA H200", "9.0", {"driver": "12080", "runtime": "12080", "onnxruntime": "1.31.1"})
    folders = {
        engine_folder(tmp_path, *base),
        engine_folder(tmp_path, "NVIDIA A100", *base[1:]),
        engine_folder(tmp_path, base[0], "8.0", base[2]),
        *(engine_folder(tmp_path, *base[:2], {**base[2], name: "0"}) for name in base[2]),
    }
    assert len(folders) == 6
    assert engine_folder(tmp_path, *base).parent == tmp_path / "tensorrt"
    assert engine_folder(tmp_path, *base).name.startswith("nvidia-h200-")


@pytest.fixture
def no_provider() -> None:
    if not CudaBackend.unavailable():
        pytest.skip("there is a CUDA device")


@pytest.mark.parametrize("name", ["cuda", "onnxruntime-tensorrt"])
def test_without_the_provider_the_reason_says_what_to_install(no_provider: None, name: str) -> None:
    (info,) = [info for info in webnn.available_backends() if info.name == name]
    assert not info.available
    assert info.accelerated
    assert "onnxruntime-gpu" in info.reason


# Compiling, with onnxruntime's CPU provider in the place of that for CUDA.


class OnCpu(CudaBackend):
    provider = "CPUExecutionProvider"

    def _providers(self, options: Any, stream: Stream, *, capture: bool) -> Any:
        self.captured = [*getattr(self, "captured", []), capture]
        return [(self.provider, {})]


@pytest.mark.parametrize("repeated", [False, True])
def test_a_graph_is_compiled_with_its_weights_and_explained(
    stream: Stream, repeated: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cuda_backend, "stream_of", lambda device: stream)
    backend, weights = OnCpu(), np.random.default_rng(0).random((64, 8), np.float32)
    backend.check_options({})
    with webnn.create_context(backend="null") as context:
        builder = context.create_graph_builder()
        x = builder.input("x", [2, 64], "float32")
        graph = builder.build({"y": builder.matmul(x, builder.constant(weights), label="mm")})._graph
    options = CompileOptions(repeated=repeated)
    executable = backend.compile(graph, options, Cancellation())
    assert isinstance(executable, CudaExecutable)
    assert (executable.captures, backend.captured) == (repeated, [False, repeated])
    (result,) = executable.session.run(None, {"x": np.ones((2, 64), np.float32)})
    np.testing.assert_allclose(result, np.ones((2, 64)) @ weights, rtol=1e-5)
    (row,) = backend.placements(graph, executable, options)
    assert str(row) == "[mm] matmul: CPUExecutionProvider, float32, native"


def test_a_graph_that_runs_in_parts_is_not_captured(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda_backend, "stream_of", lambda device: stream)
    monkeypatch.setattr(
        cuda_backend, "assigned_nodes", lambda session: [("a#0", "CPUExecutionProvider"), ("b#1", "Other")]
    )
    backend = OnCpu()
    with webnn.create_context(backend="null") as context:
        builder = context.create_graph_builder()
        graph = builder.build({"y": builder.relu(builder.input("x", [4], "float32"))})._graph
    executable = backend.compile(graph, CompileOptions(repeated=True), Cancellation())
    assert isinstance(executable, CudaExecutable)
    assert (executable.captures, backend.captured) == (False, [True, False])


def test_a_provider_that_drops_out_is_refused_with_the_name_of_the_backend(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cuda_backend, "stream_of", lambda device: stream)
    with pytest.raises(NotSupportedError, match=r"create_context: CUDAExecutionProvider refuses \{\}: cuda: "):
        CudaBackend().check_options({})
