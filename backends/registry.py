"""The known backends, and which of them this machine can use.

The backends of this package are listed by name, so that an uninstalled tree has them too; others plug in through the
entry-point group `webnn.backends`. A backend's module is imported on first use.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from webnn.backends.base import Backend, DeviceType
from webnn.backends.plugins import plugins
from webnn.errors import NotSupportedError
from webnn.forking import import_lock, import_whole
from webnn.graph.arguments import described
from webnn.graph.quick_dataclass import dataclass

__all__ = ["ACCELERATORS", "BackendInfo", "available_backends", "backend_named", "preference", "preferred_backend"]

BUILT_IN: Final[dict[str, str]] = {
    "onnxruntime": "webnn.backends.onnxruntime.backend:OnnxRuntimeBackend",
    "arrays": "webnn.backends.arrays.backend:ArraysBackend",
    "cuda": "webnn.backends.cuda.backend:CudaBackend",
    "tensorrt": "webnn.backends.tensorrt.backend:TensorRtBackend",
    "onnxruntime-tensorrt": "webnn.backends.cuda.backend:OnnxRuntimeTensorRtBackend",
    "cupy": "webnn.backends.cupy.backend:CuPyBackend",
    "openvino": "webnn.backends.openvino.backend:OpenVinoBackend",
    "coreml": "webnn.backends.coreml.backend:CoreMLBackend",
    "webgpu": "webnn.backends.webgpu.backend:WebGpuBackend",
    "null": "webnn.backends.null:NullBackend",
}
PREFERENCE: Final = ("onnxruntime", "arrays")
"""The order in which backends are tried when none is named; entry points come after these, by name."""
ON_REQUEST: Final = ("cuda", "cupy", "coreml", "webgpu")
"""Backends of this package for accelerators, in the order in which they are tried where a program asks for one. It does
not get one of them otherwise, since they have not been tested on as many devices."""
ACCELERATORS: Final[tuple[DeviceType, ...]] = ("gpu", "npu")
"""The devices that are preferred to all others by default."""


@dataclass(frozen=True, slots=True)
class BackendInfo:
    """One row of `webnn.available_backends()`."""

    name: str
    available: bool
    reason: str
    """Why it is not available; empty if it is."""
    device_type: DeviceType | None
    """The kind of device that runs its graphs; None if its module could not be imported."""

    @property
    def accelerated(self) -> bool:
        """Whether it runs graphs on a GPU or NPU. `create_context(accelerated=True)` prefers such a backend."""
        return self.device_type in ACCELERATORS


def _load(name: str) -> type[Backend]:
    """The backend class called `name`.

    Raises:
        NotSupportedError: no backend has that name, or its module cannot be imported.
    """
    try:
        if name in BUILT_IN:
            module, _, attribute = BUILT_IN[name].partition(":")
            loaded = getattr(import_whole(module), attribute)
        else:
            points = plugins(BUILT_IN)
            if name not in points:
                known = sorted({*BUILT_IN, *points})
                raise NotSupportedError(
                    f"no backend is called {name!r}{_meant(name, known)}; the backends are: {', '.join(known)}"
                )
            with import_lock:
                loaded = points[name].load()
    except NotSupportedError:
        raise
    except Exception as error:  # a plugin may fail in any way; the others must stay usable
        raise NotSupportedError(f"the {name} backend cannot be imported: {described(error)}") from error
    if not (isinstance(loaded, type) and issubclass(loaded, Backend)):
        raise NotSupportedError(f"the entry point {name!r} is {loaded!r}, which is not a subclass of Backend")
    return loaded


def _meant(name: str, known: Sequence[str]) -> str:
    """What to write in place of a backend that does not exist, if that can be guessed."""
    if name.lower() in ("cpu", "gpu", "npu"):
        return f", which is a kind of device: write device_type={name.lower()!r}"
    close = import_whole("difflib").get_close_matches(name.lower(), known, 1)
    return f": write {close[0]!r}" if close else ""


def _unavailable(backend: type[Backend]) -> str | None:
    """Why this machine cannot use `backend`; None if it can."""
    try:
        return backend.unavailable()
    except Exception as error:
        return f"checking it failed: {described(error)}"


def backend_named(name: str) -> Backend:
    """The backend called `name`; raises `NotSupportedError`, with the reason, if this machine cannot use it."""
    backend = _load(name)
    reason = _unavailable(backend)
    if reason is not None:
        raise NotSupportedError(f"the {name} backend is not available: {reason}")
    return backend()


def preference(device_types: Sequence[DeviceType] = ACCELERATORS, *, asked: bool = False) -> list[str]:
    """The names of the backends in the order to try them: those of `device_types`, in that order, before all others.

    Args:
        device_types: the devices to prefer.
        asked: whether the program has asked for them, so that `ON_REQUEST` is tried too.
    """

    def place(name: str) -> int:
        try:
            return device_types.index(_load(name).device_type)
        except (NotSupportedError, ValueError):
            return len(device_types)

    names = [*PREFERENCE, *sorted(plugins(BUILT_IN).keys() - set(PREFERENCE))]
    if asked:
        names += [name for name in ON_REQUEST if place(name) < len(device_types)]
    if len(names) > len(PREFERENCE):  # those all run on the CPU, so they need not be imported to find out
        names.sort(key=place)
    return names


def preferred_backend(device_types: Sequence[DeviceType] = ACCELERATORS, *, asked: bool = False) -> Backend:
    """The first backend in the order of `preference` that this machine can use, with its default options."""
    reasons = []
    for name in preference(device_types, asked=asked):
        try:
            backend = backend_named(name)
            if name in ON_REQUEST:
                backend.check_options({})
        except NotSupportedError as error:
            reasons.append(str(error))
        else:
            return backend
    raise NotSupportedError("no backend is available: " + "; ".join(reasons))


def available_backends() -> list[BackendInfo]:
    """Every known backend with its device, and with the reason if this machine cannot use it.

    This package's own backends run on the CPU. An accelerator can be used if a row is `available` and `accelerated`.

    >>> [info.name for info in available_backends() if info.available][:2]
    ['onnxruntime', 'arrays']
    """
    rows = []
    for name in (*BUILT_IN, *sorted(plugins(BUILT_IN))):
        try:
            backend = _load(name)
            reason = _unavailable(backend)
            rows.append(BackendInfo(name, reason is None, reason or "", backend.device_type))
        except NotSupportedError as error:
            rows.append(BackendInfo(name, False, str(error), None))
    return rows
