"""`Device`: a backend at work for one context, with its timeline, its memory and its end.

It stands below contexts, graphs and tensors, and knows none of them: those that end with it register as `Dependent`.

How it ends:
- `lose`, which `MLContext.destroy` calls: everything that depends on it ends, too, before `lose` returns.
- `forget`, by the garbage collector once no context, graph or tensor refers to it, or at the program's exit: nothing
  is waited for.

Either way it ends once, `lost` resolves, and what is pending on the timeline is rejected with `ContextLostError`.
"""

from __future__ import annotations

import atexit
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from webnn.backends.base import Backend, CompileOptions
from webnn.backends.disk_cache import DiskCache
from webnn.errors import ContextLostError
from webnn.memory.pool import BufferPool
from webnn.scheduler.lane import ThreadLane
from webnn.scheduler.promise import Promise
from webnn.scheduler.timeline import Timeline

__all__ = ["Dependent", "Device", "MLContextLostInfo"]


@dataclass(frozen=True, slots=True)
class MLContextLostInfo:
    """What `context.lost` resolves to."""

    message: str


class Dependent(Protocol):
    """A graph or a tensor, which ends with its device."""

    def _stop(self) -> None:
        """First, before the timeline ends: give up work that is under way elsewhere."""
        ...

    def _lose(self, error: ContextLostError) -> None:
        """The timeline has ended: reject with `error` what is pending, and give everything back."""
        ...


class Device:
    """A backend at work for one context.

    Args:
        backend: what compiles and runs graphs.
        options: for every compilation.
        lanes: worker threads that run graphs side by side.
        memory_budget: the most bytes that values may hold together; None for no limit.
        disk: where compiled graphs are kept between programs; None to keep none.
    """

    def __init__(
        self,
        backend: Backend,
        options: CompileOptions,
        *,
        lanes: int,
        memory_budget: int | None,
        disk: DiskCache | None = None,
    ) -> None:
        self.backend = backend
        self.options = options
        self.disk = disk
        self.limits = backend.support_limits()
        """What builders validate against."""
        self.pool = BufferPool(backend.allocator, memory_budget)
        self.timeline = Timeline(self.pool, [ThreadLane(f"webnn-lane-{i}") for i in range(lanes)])
        self.build_lane = ThreadLane("webnn-build")
        """The thread that compiles graphs and lets go of compiled ones."""
        self.lost: Promise[MLContextLostInfo] = Promise()
        """Resolves when the device has ended."""
        # Either a dependent is registered before the device is lost, or whoever registers it finds the device lost.
        # Reentrant for finalizers, which may run at any allocation.
        self._lock = threading.RLock()
        self._dependents: weakref.WeakSet[Dependent] = weakref.WeakSet()
        self._on_lost: list[Callable[[ContextLostError], None]] = []
        self._lost_message: str | None = None
        with _devices_lock:
            _devices.add(self)

    # Its end.

    @property
    def is_lost(self) -> bool:
        """Whether it has ended."""
        return self._lost_message is not None

    def check_not_lost(self) -> None:
        """Raise `ContextLostError` if it has ended."""
        if self._lost_message is not None:
            raise ContextLostError(self._lost_message)

    def register(self, dependent: Dependent) -> None:
        """End `dependent` with the device, which keeps no reference to it.

        Raises:
            ContextLostError: the device has ended already.
        """
        with self._lock:
            self.check_not_lost()
            self._dependents.add(dependent)

    def on_lost(self, callback: Callable[[ContextLostError], None]) -> None:
        """Call `callback(error)` when the device is lost, but not when it is forgotten."""
        self._on_lost.append(callback)

    def lose(self, message: str) -> None:
        """End it, and everything that depends on it, because of `message`. Calling again is fine."""
        ending = self._begin_to_end(message)
        if ending is None:
            return
        error, dependents = ending
        for dependent in dependents:
            dependent._stop()
        self.timeline.destroy(error)
        for dependent in dependents:
            dependent._lose(error)
        for callback in self._on_lost:
            callback(error)
        self.pool.trim()
        self.build_lane.close(wait=False)
        self.lost.resolve(MLContextLostInfo(message))

    def forget(self) -> None:
        """End it without waiting for anything: nothing refers to it any more, or the program exits."""
        message = "the context was forgotten"
        ending = self._begin_to_end(message)
        if ending is None:
            return
        error, dependents = ending
        for dependent in dependents:
            dependent._stop()
        self.build_lane.close(wait=False)
        self.timeline.destroy(error, wait=False)
        self.lost.resolve(MLContextLostInfo(message))

    def _begin_to_end(self, message: str) -> tuple[ContextLostError, list[Dependent]] | None:
        """The error for everything that is pending, and what depends on the device; None if it has ended already."""
        with self._lock:
            if self._lost_message is not None:
                return None
            self._lost_message = f"the context was lost: {message}"
            return ContextLostError(self._lost_message), list(self._dependents)

    def __del__(self) -> None:
        if getattr(self, "_lost_message", "") is None:  # set last, so that all the rest is there
            self.forget()


_devices: Final[weakref.WeakSet[Device]] = weakref.WeakSet()
_devices_lock: Final = threading.RLock()  # around `_devices`; reentrant for finalizers


@atexit.register
def _forget_all() -> None:
    with _devices_lock:
        devices = list(_devices)
    for device in devices:
        device.forget()
