"""Stand-ins for the CUDA runtime and for TensorRT, on the memory and the processor of the host.

They queue what the real ones queue: nothing happens before somebody waits. TensorRT's names and arguments are those of
its Python bindings 11.4. Its parser takes the data types that TensorRT takes, and onnxruntime computes. Whether the
real ones do the same, `tests/gpu/` shows on a machine that has a device.
"""

from __future__ import annotations

import ctypes
import pickle
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import Any, Final

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, numpy_helper, shape_inference

from webnn.backends.cuda import library, stream
from webnn.backends.tensorrt import engines
from webnn.forking import reentrant_lock

__all__ = ["CudaRuntime", "TensorRt", "install"]


class CudaRuntime:
    """Functions of the CUDA runtime on host memory: a stream is a list of what is still to be done."""

    def __init__(self) -> None:
        self.queued: list[Callable[[], object]] = []
        self.happened: set[int] = set()
        self.alive: set[int] = set()
        self.calls: list[str] = []
        self.waits: list[int] = []
        """The streams that wait for an event, in order."""
        self.code = 0
        self._memory: dict[int, Any] = {}
        self._handles = iter(range(1, 10**9))
        self._lock = reentrant_lock()

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("cuda"):
            raise AttributeError(name)

        def call(*arguments: Any) -> int:
            self.calls.append(name)
            if self.code and name != "cudaSetDevice":
                return self.code
            values = [each if isinstance(each, ctypes.Array) else getattr(each, "value", each) for each in arguments]
            getattr(self, f"do_{name.removeprefix('cuda')}", lambda *_: None)(*values)
            return 0

        return call

    def _handle(self, place: Any) -> None:
        place._obj.value = handle = next(self._handles)
        self.alive.add(handle)

    def do_StreamCreateWithFlags(self, place: Any, *_: Any) -> None:
        self._handle(place)

    def do_EventCreateWithFlags(self, place: Any, *_: Any) -> None:
        self._handle(place)

    def do_StreamDestroy(self, handle: int) -> None:
        self.alive.discard(handle)

    def do_EventDestroy(self, handle: int) -> None:
        self.alive.discard(handle)

    def do_FreeHost(self, address: int) -> None:
        self.alive.discard(address)
        self._memory.pop(address, None)

    def do_GetDeviceCount(self, place: Any) -> None:
        place._obj.value = 1

    def do_GetDeviceProperties(self, place: Any, _: int) -> None:
        ctypes.memmove(place, b"NVIDIA Stand-in", 16)

    def do_Malloc(self, place: Any, size: int) -> None:
        self.do_HostAlloc(place, size, 0)

    def do_Free(self, address: int) -> None:
        while self.queued:  # as it waits for all that runs
            self.queued.pop(0)()
        self.do_FreeHost(address)

    def do_HostAlloc(self, place: Any, size: int, _: int) -> None:
        memory = ctypes.create_string_buffer(size)
        place._obj.value = ctypes.addressof(memory)
        self._memory[ctypes.addressof(memory)] = memory
        self.alive.add(ctypes.addressof(memory))

    def do_EventRecord(self, event: int, _: int) -> None:
        self.happened.discard(event)
        self.queued.append(lambda: self.happened.add(event))

    def do_EventSynchronize(self, event: int) -> None:
        with self._lock:
            while event not in self.happened:
                self.queued.pop(0)()

    def do_StreamWaitEvent(self, stream: int, event: int, _: int) -> None:
        self.waits.append(stream)

    def do_EventElapsedTime(self, place: Any, first: int, second: int) -> None:
        assert {first, second} <= self.happened
        place._obj.value = 0.25

    def do_MemcpyAsync(self, target: int, source: int, size: int, _kind: int, _stream: int) -> None:
        self.queued.append(lambda: ctypes.memmove(target, source, size))

    def do_MemsetAsync(self, target: int, value: int, size: int, _stream: int) -> None:
        self.queued.append(lambda: ctypes.memset(target, value, size))


_COMPUTED: Final = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT32, TensorProto.INT64, TensorProto.BOOL}
_FLAGS: Final = ("REFIT", "REFIT_IDENTICAL", "STRIP_PLAN", "STRICT_NANS", "TF32")


class _ILogger:
    INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)

    def log(self, severity: int, msg: str) -> None:
        raise NotImplementedError


class _IProgressMonitor:
    pass


class _Config:
    def __init__(self, trt: TensorRt) -> None:
        self.flags = {"TF32"}
        self.builder_optimization_level = 3
        self.progress_monitor: Any = None
        self._trt = trt
        self._times: _Times | None = None

    def set_flag(self, flag: str) -> None:
        assert flag in _FLAGS
        self.flags.add(flag)

    def clear_flag(self, flag: str) -> None:
        self.flags.discard(flag)

    def create_timing_cache(self, serialized_timing_cache: bytes) -> _Times:
        return _Times(set(serialized_timing_cache.split()))

    def set_timing_cache(self, cache: _Times, ignore_mismatch: bool) -> bool:
        self._times = cache
        return not ignore_mismatch

    def get_timing_cache(self) -> _Times | None:
        return self._times


class _Times:
    def __init__(self, operators: set[bytes]) -> None:
        self.operators = operators

    def combine(self, input_cache: _Times, ignore_mismatch: bool) -> bool:
        self.operators |= input_cache.operators
        return not ignore_mismatch

    def serialize(self) -> bytes:
        return b"\n".join(sorted(self.operators))


class _Parser:
    def __init__(self, network: SimpleNamespace, logger: _ILogger) -> None:
        self._network = network
        self._errors: list[Any] = []

    def parse_from_file(self, model: str) -> bool:
        self._network.model = loaded = onnx.load(model)
        self._errors = [
            SimpleNamespace(node_name=lambda name=name: name, desc=lambda text=text: text)
            for name, text in _refused(loaded)
        ]
        return not self._errors

    @property
    def num_errors(self) -> int:
        return len(self._errors)

    def get_error(self, index: int) -> Any:
        return self._errors[index]


def _refused(model: onnx.ModelProto) -> list[tuple[str, str]]:
    """The nodes with data types that a strongly typed network does not have."""
    inferred = shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True).graph
    types = {info.name: info.type.tensor_type.elem_type for info in (*inferred.value_info, *inferred.output)}
    types.update({info.name: info.type.tensor_type.elem_type for info in inferred.input})
    types.update({tensor.name: tensor.data_type for tensor in inferred.initializer})
    ends = {info.name for info in (*inferred.input, *inferred.output)}
    refused = []
    for node in inferred.node:
        for name in (*node.input, *node.output):
            if not name or types.get(name, TensorProto.FLOAT) in _COMPUTED:
                continue
            others = {types[each] for each in (*node.input, *node.output)} - {types[name]}
            is_byte = types[name] == TensorProto.UINT8 and name in ends
            if not (is_byte and node.op_type == "Cast" and others == {TensorProto.FLOAT}):
                refused.append((node.name, f"{node.op_type} does not take {TensorProto.DataType.Name(types[name])}"))
    return refused


class _Engine:
    def __init__(self, trt: TensorRt, plan: dict[str, Any]) -> None:
        self.trt, self.plan = trt, plan
        self.refittable = bool({"REFIT", "REFIT_IDENTICAL"} & plan["flags"])
        self.weights: dict[str, Any] = plan["weights"]
        self._session: Any = None

    def create_execution_context(self) -> _ExecutionContext:
        return _ExecutionContext(self)

    def session(self) -> Any:
        if self._session is None:
            model = onnx.load_from_string(self.plan["model"])
            for tensor in model.graph.initializer:
                tensor.CopyFrom(numpy_helper.from_array(self.weights[tensor.name], tensor.name))
            settings = onnxruntime.SessionOptions()
            settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
            self._session = onnxruntime.InferenceSession(model.SerializeToString(), settings)
        return self._session


class _ExecutionContext:
    def __init__(self, engine: _Engine) -> None:
        self._engine = engine
        self._addresses: dict[str, int] = {}

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self._addresses[name] = memory
        return memory != 0

    def execute_async_v3(self, stream_handle: int) -> bool:
        addresses, session = dict(self._addresses), self._engine.session()

        def array(info: Any) -> np.ndarray[Any, Any]:
            kind = info.type.removeprefix("tensor(").removesuffix(")").replace("float", "float32")
            dtype = np.dtype(kind.replace("float3216", "float16").replace("double", "float64"))
            size = int(np.prod(info.shape, dtype=np.int64)) * dtype.itemsize
            memory = (ctypes.c_uint8 * size).from_address(addresses[info.name])
            found: np.ndarray[Any, Any] = np.frombuffer(memory, dtype).reshape(info.shape)
            return found

        def compute() -> None:
            results = session.run(None, {info.name: array(info) for info in session.get_inputs()})
            for info, result in zip(session.get_outputs(), results, strict=True):
                array(info)[...] = result

        self._engine.trt.cuda.queued.append(compute)
        return stream_handle != 0


class _Refitter:
    def __init__(self, engine: _Engine, logger: _ILogger) -> None:
        self.engine = engine
        self.given: dict[str, Any] = {}

    def get_missing_weights(self) -> list[str]:
        return [name for name in self.engine.weights if name not in self.given]

    def refit_cuda_engine(self) -> bool:
        if self.get_missing_weights():
            return False
        self.engine.weights = self.given
        return True


class _ParserRefitter:
    num_errors = 0

    def __init__(self, refitter: _Refitter, logger: _ILogger) -> None:
        self._refitter = refitter

    def refit_from_file(self, model: str) -> bool:
        engine = self._refitter.engine
        given = {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(model).graph.initializer}
        if "REFIT_IDENTICAL" in engine.plan["flags"]:
            assert _digests(given) == engine.plan["digests"], "other weights than those of the build"
        self._refitter.given = {name: given[name] for name in engine.weights if name in given}
        engine.trt.refits += 1
        return True


def _digests(weights: dict[str, Any]) -> dict[str, int]:
    return {name: hash(array.tobytes()) for name, array in weights.items()}


class TensorRt:
    """What is in the module `tensorrt`.

    Args:
        cuda: whose streams the runs go to.
    """

    ILogger, IProgressMonitor, OnnxParser = _ILogger, _IProgressMonitor, _Parser
    Refitter, OnnxParserRefitter = _Refitter, _ParserRefitter
    BuilderFlag = SimpleNamespace(**{flag: flag for flag in _FLAGS})
    NetworkDefinitionCreationFlag = SimpleNamespace(STRONGLY_TYPED=1)

    def __init__(self, cuda: CudaRuntime) -> None:
        self.cuda = cuda
        self.builds: list[_Config] = []
        self.refits = 0
        self.at_step: Callable[[int], object] = lambda step: None
        """Called before each of the ten steps of a build."""

    def Builder(self, logger: _ILogger) -> Any:
        def build(network: SimpleNamespace, config: _Config) -> bytes | None:
            self.builds.append(config)
            monitor = config.progress_monitor
            monitor.phase_start("Building", None, 10)
            for step in range(10):
                self.at_step(step)
                if not monitor.step_complete("Building", step):
                    return None
            monitor.phase_finish("Building")
            times = config.get_timing_cache()
            assert times is not None
            times.operators |= {node.op_type.encode() for node in network.model.graph.node}
            weights: dict[str, Any] = {
                tensor.name: numpy_helper.to_array(tensor) for tensor in network.model.graph.initializer
            }
            digests = _digests(weights)
            if "STRIP_PLAN" in config.flags:
                weights = dict.fromkeys(weights)
                for tensor in network.model.graph.initializer:
                    tensor.ClearField("raw_data")
            plan = {
                "model": network.model.SerializeToString(), "flags": config.flags, "weights": weights,
                "digests": digests,
            }  # fmt: skip
            return pickle.dumps(plan)

        return SimpleNamespace(
            create_network=lambda flags: SimpleNamespace(flags=flags),
            create_builder_config=lambda: _Config(self),
            build_serialized_network=build,
        )

    def Runtime(self, logger: _ILogger) -> Any:
        def deserialize(serialized_engine: bytes) -> _Engine | None:
            try:
                return _Engine(self, pickle.loads(serialized_engine))
            except pickle.UnpicklingError:
                logger.log(_ILogger.ERROR, "the plan is damaged")
                return None

        return SimpleNamespace(deserialize_cuda_engine=deserialize)


def install(monkeypatch: pytest.MonkeyPatch) -> TensorRt:
    """Put the stand-ins in the places of the CUDA runtime and TensorRT."""
    cuda = CudaRuntime()
    stand_in = TensorRt(cuda)
    module = ModuleType("tensorrt")
    module.__spec__ = ModuleSpec("tensorrt", None)
    for name in ("Builder", "Runtime", *(name for name in vars(TensorRt) if not name.startswith("_"))):
        setattr(module, name, getattr(stand_in, name))
    module.__dict__["__version__"] = "11.4.0"
    monkeypatch.setitem(sys.modules, "tensorrt", module)
    monkeypatch.setattr(library, "_found", lambda: cuda)
    monkeypatch.setattr(stream, "_streams", type(stream._streams)())
    engines._logger.cache_clear()
    return stand_in
