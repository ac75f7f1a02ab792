"""The device of a process: sessions on onnxruntime's WebGPU execution provider, and copies to and from its memory.

Seen of onnxruntime-webgpu 1.27, and answered here:
- Options that are given with the provider are ignored in silence. Only session entries named
  `ep.webgpuexecutionprovider.NAME` work.
- Without an adapter it prints a line and takes the CPU, unless `enable_fallback=0` says that this is an error.
- The device ends with the last session. Values that are alive then end the process when they are freed, and another
  session cannot use them. `preserveDevice` keeps the device until the process ends.
- Memory cannot be allocated directly. A session of one `Identity` with an output on the device makes a value there, of
  any data type, and one with an output on the CPU fetches it. It gives up the interpreter meanwhile, as neither
  `OrtValue.numpy` nor `copy_tensors` does.
- Values that are taken from a binding are views of its slots, which its next run overwrites: a binding serves one run.
- A run whose outputs stay on the device is queued, and has not ended when the call returns. Fetching a value waits.
- `get_provider_graph_assignment_info` lists the nodes that are left to the CPU, and none that WebGPU has taken.
- Sessions share the device and its command buffers, which two threads must not use at once: one lock guards them all.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

import numpy as np

from webnn.backends.base import Cancellation
from webnn.backends.onnx import messages
from webnn.backends.onnx.messages import ModelProto, TypeProto, ValueInfoProto
from webnn.backends.onnx.model import IR_VERSION, onnx_type
from webnn.backends.providers import sessions
from webnn.backends.providers.placement import assigned_nodes
from webnn.errors import DeviceLostError, NotSupportedError, OperationError
from webnn.forking import reentrant_lock
from webnn.graph.arguments import described

__all__ = [
    "PROVIDER",
    "Session",
    "check_owner",
    "device_lock",
    "download",
    "has_float16",
    "missing",
    "open_session",
    "upload",
]

PROVIDER: Final = "WebGpuExecutionProvider"
_ENTRY: Final = "ep.webgpuexecutionprovider."
_OPSET: Final = 18

_owner: Final[list[int]] = []
"""The process that has opened the device, once one has."""
device_lock: Final = reentrant_lock()
"""Around every call that uses the device."""
_copiers: Final[dict[str, Session]] = {}


def missing() -> str | None:
    """Why the installed onnxruntime has no such provider; None if it has."""
    return sessions.provider_missing(PROVIDER, "install onnxruntime-webgpu in its place, in an environment of its own")


def check_owner() -> None:
    """Raise `NotSupportedError` in a process that was forked from one with an open device, which cannot use it."""
    if _owner and _owner[0] != os.getpid():
        raise NotSupportedError(
            f"the process {_owner[0]} opened the device before this one was forked from it; start processes with"
            ' multiprocessing.get_context("spawn"), or make the first context after the fork'
        )


class Session:
    """A session on the device. Its runs take values on the device and make new ones.

    Args:
        session: the session of onnxruntime.
        inputs: the names of its inputs.
        outputs: the names of its outputs.
    """

    def __init__(self, session: Any, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        self._session = session
        self._inputs = inputs
        self._outputs = outputs
        self.left_to_the_cpu = frozenset(name for name, provider in assigned_nodes(session) if provider != PROVIDER)
        """The names of the nodes that run on the CPU."""

    def run(self, inputs: Sequence[Any], to: str = "gpu") -> list[Any]:
        """Queue a run on `inputs`, which are values on the device or arrays; the outputs are values there.

        With `to="cpu"` they are in host memory, and the run has ended.

        Raises:
            DeviceLostError: the device is gone.
            OperationError: with onnxruntime's message.
        """
        with device_lock:
            binding = self._session.io_binding()
            for name, value in zip(self._inputs, inputs, strict=True):
                if isinstance(value, np.ndarray):
                    binding.bind_cpu_input(name, value)
                else:
                    binding.bind_ortvalue_input(name, value)
            for name in self._outputs:
                binding.bind_output(name, to)
            try:
                self._session.run_with_iobinding(binding)
            except Exception as error:  # onnxruntime's exceptions have no common base
                raise _explained(error) from error
            outputs: list[Any] = binding.get_outputs()
        return outputs


def _explained(error: Exception) -> OperationError | DeviceLostError:
    message = f"webgpu: {described(error)}"
    is_lost = "device" in message.lower() and "lost" in message.lower()  # Dawn's words for it
    return DeviceLostError(message) if is_lost else OperationError(message)


def open_session(
    model: ModelProto,
    inputs: Sequence[str],
    outputs: Sequence[str],
    *,
    options: Mapping[str, str],
    weights: Mapping[str, np.ndarray[Any, Any]] | None = None,
    cancellation: Cancellation | None = None,
    optimized: bool = True,
) -> Session:
    """A session on the device.

    Args:
        model: its outputs may lack data types and shapes.
        inputs: the names of its inputs, in the order in which runs take them.
        outputs: the names of its outputs.
        options: the options of the execution provider, by name.
        weights: the values of initializers that are declared as external.
        cancellation: stops the compilation.
        optimized: whether onnxruntime may change the model.

    Raises:
        NotSupportedError: there is no adapter, or it was opened before a fork.
        OperationError: onnxruntime refuses the model.
    """
    check_owner()
    runtime = sessions.onnxruntime()
    settings = runtime.SessionOptions()
    for name, value in {"preserveDevice": "1", "enableInt64": "1", **options}.items():
        settings.add_session_config_entry(_ENTRY + name, value)
    if not optimized:
        settings.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    values = [runtime.OrtValue.ortvalue_from_numpy(array) for array in (weights or {}).values()]
    if values:
        settings.add_external_initializers(list(weights or ()), values)
    try:
        with device_lock:
            session = sessions.session(
                model.SerializeToString(), PROVIDER, {}, settings=settings, cancellation=cancellation
            )
    except OperationError as error:
        if "adapter" not in str(error):
            raise OperationError(f"webgpu: {error}") from error
        reason = str(error).rpartition("false. ")[2].strip()  # behind the name of a function of onnxruntime
        raise NotSupportedError(
            "there is no WebGPU adapter: onnxruntime found no GPU with a driver that it can use"
            f" (Vulkan on Linux, Direct3D 12 on Windows, Metal on macOS): {reason}"
        ) from error
    _owner[:] = [os.getpid()]
    return Session(session, inputs, outputs)


def upload(array: np.ndarray[Any, Any]) -> Any:
    """A copy of `array` as a value on the device."""
    (value,) = _copier(array.dtype.name).run([np.ascontiguousarray(array)])
    return value


def download(value: Any, data_type: str) -> np.ndarray[Any, Any]:
    """A copy of a value on the device as an array; waits for the runs that compute it."""
    (fetched,) = _copier(data_type).run([value], "cpu")
    array: np.ndarray[Any, Any] = fetched.numpy()
    return array


@cache
def has_float16() -> bool:
    """Whether the device computes in float16, which is optional in WebGPU; onnxruntime takes the operators anyway."""
    half = onnx_type("float16")
    infos = [messages.value_info(name, half, [4]) for name in "xy"]
    graph = messages.graph([messages.node("Add", ["x", "x"], ["y"], name="sum")], "float16", infos[:1], infos[1:])
    session = open_session(messages.model(graph, {"": _OPSET}, IR_VERSION), ["x"], ["y"], options={})
    try:
        (found,) = session.run([np.ones(4, np.float16)], "cpu")
    except Exception:  # onnxruntime's exceptions have no common base
        return False
    return bool((found.numpy() == 2).all())


def _copier(data_type: str) -> Session:
    """The session that copies values of a data type."""
    with device_lock:
        session = _copiers.get(data_type)
        if session is None:
            x, y = (ValueInfoProto(name=name) for name in "xy")
            for info in (x, y):  # of any shape
                info.type.CopyFrom(TypeProto(tensor_type=TypeProto.Tensor(elem_type=onnx_type(data_type))))
            graph = messages.graph([messages.node("Identity", ["x"], ["y"], name="copy")], "copy", [x], [y])
            model = messages.model(graph, {"": _OPSET}, IR_VERSION)
            session = _copiers[data_type] = open_session(model, ["x"], ["y"], options={})
    return session
