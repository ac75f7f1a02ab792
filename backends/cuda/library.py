"""The functions of the CUDA runtime that the backend calls itself: streams, events, copies and pinned memory.

onnxruntime and TensorRT run the graphs. Neither has functions in Python for events, and for copies that go on beside
the program, so these few come from the library that they have loaded too.
"""

from __future__ import annotations

import ctypes
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from webnn.errors import DeviceLostError, OperationError

__all__ = ["CudaLibrary"]

_NAMES: Final = ("libcudart.so.13", "libcudart.so.12", "cudart64_13.dll", "cudart64_12.dll")
_OUT_OF_MEMORY: Final = 2
_OLD_DRIVER: Final = 35
_LOST: Final = frozenset({46, 214, 220, 700, 702, 710, 714, 715, 716, 717, 718, 719, 999})
"""Errors after which every later call fails: ECC, NVLink, illegal addresses and instructions, time-outs, assertions."""
_TO_DEVICE, _TO_HOST = 1, 2
_NON_BLOCKING, _SLEEP_WAITING = 1, 1


class CudaLibrary:
    """The CUDA runtime on one device. Calls raise `OperationError`; `DeviceLostError` where the device is lost.

    Args:
        device: its number.
        runtime: the library, with the functions of the CUDA runtime; None finds the one that is installed.
    """

    def __init__(self, device: int = 0, runtime: Any = None) -> None:
        self.device = device
        self._runtime = runtime if runtime is not None else _found()

    def count(self) -> int:
        """The number of devices. Raises `OperationError` if there is no driver."""
        number = ctypes.c_int()
        code = self._runtime.cudaGetDeviceCount(ctypes.byref(number))
        if code == _OLD_DRIVER:
            raise OperationError("cuda: there is no NVIDIA driver, or one that is too old for the CUDA runtime")
        return 0 if code else number.value

    def name(self) -> str:
        """What NVIDIA calls the device."""
        properties = ctypes.create_string_buffer(8192)  # a structure that begins with its name, in every version
        self._call("cudaGetDeviceProperties", properties, self.device)
        return properties.value.decode(errors="replace")

    def capability(self) -> str:
        """Its compute capability, such as "9.0"."""
        return ".".join(str(self._number("cudaDeviceGetAttribute", which, self.device)) for which in (75, 76))

    def versions(self) -> tuple[int, int]:
        """The versions of the driver and of the runtime, such as 12080."""
        return self._number("cudaDriverGetVersion"), self._number("cudaRuntimeGetVersion")

    def use(self) -> None:
        """Make it the current device of the calling thread, for libraries that take that one."""
        self._call("cudaSetDevice", ctypes.c_int(self.device), anywhere=True)

    def stream(self) -> int:
        """A new stream, which does not wait for the default one."""
        return self._made("cudaStreamCreateWithFlags", ctypes.c_uint(_NON_BLOCKING))

    def event(self) -> int:
        """A new event. A thread that waits for it sleeps."""
        return self._made("cudaEventCreateWithFlags", ctypes.c_uint(_SLEEP_WAITING))

    def record(self, event: int, stream: int) -> None:
        """Let `event` happen when all that is queued on `stream` is done."""
        self._call("cudaEventRecord", ctypes.c_void_p(event), ctypes.c_void_p(stream))

    def wait_on(self, stream: int, event: int) -> None:
        """Let what is queued on `stream` from now on wait until `event` has happened."""
        self._call("cudaStreamWaitEvent", ctypes.c_void_p(stream), ctypes.c_void_p(event), ctypes.c_uint(0))

    def wait(self, event: int) -> None:
        """Wait until `event` has happened."""
        self._call("cudaEventSynchronize", ctypes.c_void_p(event))

    def milliseconds(self, first: int, second: int) -> float:
        """The time between two events that have happened."""
        time = ctypes.c_float()
        self._call("cudaEventElapsedTime", ctypes.byref(time), ctypes.c_void_p(first), ctypes.c_void_p(second))
        return time.value

    def check(self, stream: int) -> None:
        """Raise `DeviceLostError` if the device is lost; work that goes on is fine."""
        with suppress(OperationError):
            self._call("cudaStreamQuery", ctypes.c_void_p(stream))

    def memory(self, size: int) -> int:
        """The address of `size` bytes of the device's memory."""
        return self._made("cudaMalloc", ctypes.c_size_t(size))

    def pinned(self, size: int) -> int:
        """The address of `size` bytes of host memory that the device can read and write by itself."""
        return self._made("cudaHostAlloc", ctypes.c_size_t(size), ctypes.c_uint(0))

    def copy_in(self, target: int, source: int, size: int, stream: int) -> None:
        """Queue a copy from pinned memory to the device."""
        self._copy(target, source, size, _TO_DEVICE, stream)

    def copy_out(self, target: int, source: int, size: int, stream: int) -> None:
        """Queue a copy from the device to pinned memory."""
        self._copy(target, source, size, _TO_HOST, stream)

    def clear(self, target: int, size: int, stream: int) -> None:
        """Queue filling memory of the device with zeros."""
        address, length = ctypes.c_void_p(target), ctypes.c_size_t(size)
        self._call("cudaMemsetAsync", address, ctypes.c_int(0), length, ctypes.c_void_p(stream))

    def free(
        self,
        *,
        stream: int | None = None,
        event: int | None = None,
        pinned: int | None = None,
        memory: int | None = None,
    ) -> None:
        """Give something back. It fails only on a device that is lost, which has given back everything.

        Giving memory of the device back waits until nothing runs there.
        """
        for function, what in (
            ("cudaStreamDestroy", stream),
            ("cudaEventDestroy", event),
            ("cudaFreeHost", pinned),
            ("cudaFree", memory),
        ):
            if what is not None:
                with suppress(OperationError, DeviceLostError):
                    self._call(function, ctypes.c_void_p(what))

    def _copy(self, target: int, source: int, size: int, kind: int, stream: int) -> None:
        to, of, length = ctypes.c_void_p(target), ctypes.c_void_p(source), ctypes.c_size_t(size)
        self._call("cudaMemcpyAsync", to, of, length, ctypes.c_int(kind), ctypes.c_void_p(stream))

    def _made(self, function: str, *arguments: Any) -> int:
        made = ctypes.c_void_p()
        self._call(function, ctypes.byref(made), *arguments)
        return made.value or 0

    def _number(self, function: str, *arguments: Any) -> int:
        number = ctypes.c_int()
        self._call(function, ctypes.byref(number), *arguments)
        return number.value

    def _call(self, function: str, *arguments: Any, anywhere: bool = False) -> None:
        if not anywhere:
            self._runtime.cudaSetDevice(ctypes.c_int(self.device))  # each thread has its own current device
        code = getattr(self._runtime, function)(*arguments)
        if code == 0:
            return
        message = f"{function} failed with error {code}"
        if code == _OUT_OF_MEMORY:
            raise MemoryError(message)
        if code in _LOST:
            raise DeviceLostError(f"the CUDA device {self.device} is lost: {message}")
        raise OperationError(f"cuda: {message}")


def _found() -> Any:
    for name in (*_NAMES, *_installed()):
        with suppress(OSError):
            return ctypes.CDLL(name)
    raise OperationError(f"cuda: there is no CUDA runtime: none of {', '.join(_NAMES)} can be loaded")


def _installed() -> list[str]:
    """The CUDA runtimes in NVIDIA's Python packages, which the loader does not search: the newest one first."""
    spec = find_spec("nvidia")
    folders = [Path(folder) for folder in (spec.submodule_search_locations or ())] if spec is not None else []
    found = [path for folder in folders for name in _NAMES for path in folder.glob(f"cu*/**/{name}")]
    return [str(path) for path in sorted(found, key=lambda path: _NAMES.index(path.name))]
