"""The stream of a device: everything that contexts do on it, in order, and what the host must wait for.

A run only queues its kernels. It is *in flight* until the event behind it has happened. Its buffers are kept until
then, so that no memory is given back that the device still uses. Since all copies are queued on the same stream, the
next run and a read need not wait for that on the host.

Short runs are left in flight, up to `IN_FLIGHT` of them. A run whose graph takes long is waited for, on the lane that
has queued it: whoever reads a result waits for all that is in flight, and that may be the thread of an event loop.

Copies go through pinned memory of the host, so that the program's arrays are free when the call returns.
"""

from __future__ import annotations

import ctypes
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from webnn.backends.cuda.library import CudaLibrary
from webnn.forking import on_fork, reentrant_lock

__all__ = ["IN_FLIGHT", "SHORT", "Stream", "stream_of"]

IN_FLIGHT: Final = 8
"""The most short runs that are in flight."""
SHORT: Final = 1.0
"""Milliseconds on the device. Runs that take less are not waited for."""
STAGES: Final = 4
"""Copies to the device that are queued at most; the next one waits for the first of them."""


@dataclass(slots=True)
class _Flight:
    began: int
    ended: int
    kept: object
    measured: Callable[[float], object]


@dataclass(slots=True)
class _Stage:
    """Pinned memory, and the event behind the copy from it."""

    address: int
    size: int
    copied: int


class Stream:
    """One CUDA stream. Thread-safe."""

    def __init__(self, cuda: CudaLibrary) -> None:
        self.cuda = cuda
        self.handle = cuda.stream()
        """The `cudaStream_t`, for onnxruntime."""
        self._lock = reentrant_lock()
        self._flights: deque[_Flight] = deque()
        self._events: list[int] = []
        self._stages: deque[_Stage] = deque()

    def run(
        self, launch: Callable[[], object], kept: object, expected: float, measured: Callable[[float], object]
    ) -> None:
        """Queue the kernels of a run by `launch`, and wait for its end if it is long.

        Args:
            launch: queues them on this stream.
            kept: lives until the run has ended on the device.
            expected: milliseconds that it takes on the device; infinite if that is not known.
            measured: called with that time, later.
        """
        with self._lock:
            began = self._mark()
        try:
            launch()  # without the lock: parts of it may run on the CPU
        except BaseException:
            self._events.append(began)
            raise
        with self._lock:
            self._flights.append(_Flight(began, self._mark(), kept, measured))
        self.settle(IN_FLIGHT if expected < SHORT else 0)

    def settle(self, left: int = 0) -> None:
        """Wait until at most `left` runs are in flight, oldest first."""
        while True:
            with self._lock:
                if len(self._flights) <= left:
                    return
                flight = self._flights[0]
            self.cuda.wait(flight.ended)  # without the lock: others may queue more
            with self._lock:
                if self._flights and self._flights[0] is flight:
                    flight.measured(self.cuda.milliseconds(flight.began, flight.ended))
                    self._flights.popleft()
                    self._events += (flight.began, flight.ended)

    def write(self, target: int, data: np.ndarray[Any, Any]) -> None:
        """Queue a copy of `data`, which may change afterwards."""
        stage = self._stage(data.nbytes)
        np.copyto(_pinned(stage.address, data), data)
        with self._lock:
            self.cuda.copy_in(target, stage.address, data.nbytes, self.handle)
            self.cuda.record(stage.copied, self.handle)
            self._stages.append(stage)

    def read(self, source: int, result: np.ndarray[Any, Any]) -> None:
        """Fill `result`, when everything before is done."""
        stage = self._stage(result.nbytes)
        with self._lock:
            self.cuda.copy_out(stage.address, source, result.nbytes, self.handle)
            self.cuda.record(stage.copied, self.handle)
        self.cuda.wait(stage.copied)
        np.copyto(result, _pinned(stage.address, result))
        with self._lock:
            self._stages.append(stage)
        self.settle()  # all that was in flight has ended before the copy

    def clear(self, target: int, size: int) -> None:
        """Queue filling memory with zeros."""
        self.cuda.clear(target, size, self.handle)

    def mark(self) -> int:
        """An event that happens when all that is queued now is done; `unmark` gives it back."""
        with self._lock:
            return self._mark()

    def unmark(self, event: int) -> None:
        """Give an event back, which may not have happened yet."""
        self._events.append(event)

    def follow(self, other: int) -> None:
        """Let what is queued from now on wait for all that is queued on the stream `other` now."""
        with self._lock:
            event = self._events.pop() if self._events else self.cuda.event()
            self.cuda.record(event, other)
            self.cuda.wait_on(self.handle, event)
            self._events.append(event)

    def _mark(self) -> int:
        event = self._events.pop() if self._events else self.cuda.event()
        self.cuda.record(event, self.handle)
        return event

    def _stage(self, size: int) -> _Stage:
        """Pinned memory whose last copy is done."""
        with self._lock:
            stage = self._stages.popleft() if len(self._stages) >= STAGES else None
        if stage is None:
            return _Stage(self.cuda.pinned(size), size, self.cuda.event())
        self.cuda.wait(stage.copied)
        if stage.size < size:
            self.cuda.free(pinned=stage.address)
            stage.address, stage.size = self.cuda.pinned(size), size
        return stage

    def __del__(self) -> None:
        cuda = getattr(self, "cuda", None)
        if cuda is not None and hasattr(self, "_stages"):
            for event in (
                *self._events,
                *(event for flight in self._flights for event in (flight.began, flight.ended)),
            ):
                cuda.free(event=event)
            for stage in self._stages:
                cuda.free(pinned=stage.address, event=stage.copied)
            cuda.free(stream=self.handle)


_streams: Final[weakref.WeakValueDictionary[int, Stream]] = weakref.WeakValueDictionary()
_lock: Final = reentrant_lock()


def stream_of(device: int) -> Stream:
    """The stream of a device. Contexts share it, since they share the sessions that queue their kernels on it."""
    with _lock:
        stream = _streams.get(device)
        if stream is None:
            stream = _streams[device] = Stream(CudaLibrary(device))
        return stream


@on_fork
def _forget_streams(_: int) -> None:
    _streams.clear()


def _pinned(address: int, like: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The memory at `address`, as an array of the type and shape of `like`."""
    memory = memoryview((ctypes.c_uint8 * like.nbytes).from_address(address))
    array: np.ndarray[Any, Any] = np.frombuffer(memory, like.dtype).reshape(like.shape)
    return array
