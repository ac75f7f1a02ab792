"""`Device`: the backend, the timeline and the memory of one context, and the way they end.

It is below contexts, graphs and tensors and imports none of them. What ends with it registers as `Dependent`.

A device ends once, in one of three ways:
- `lose` is called by `MLContext.destroy`, and by `died` where a backend finds that its device is gone. All dependents
  have ended when it returns.
- `forget` is called by the garbage collector once no context, graph, tensor or pending promise refers to the device, or
  at the program's exit. It waits for nothing, since the collector may have interrupted the very code that it would wait
  for.
- `forked` is called in a forked child: the device and all waiters belong to the parent.

In each case, the pending promises of the timeline are rejected with `ContextLostError`, and `lost` resolves.
"""

from __future__ import annotations

import atexit
import os
import weakref
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from webnn.backends.base import Backend, Cancellation, CompileOptions
from webnn.backends.processors import runnable_threads, usable_cores
from webnn.backends.session_cache import Use, session_cache
from webnn.errors import ContextLostError, DeviceLostError
from webnn.forking import belongs_to, import_lock, on_fork, reentrant_lock
from webnn.graph.ir import Graph
from webnn.graph.quick_dataclass import dataclass
from webnn.memory.pool import BufferPool
from webnn.scheduler.crowd import Crowd
from webnn.scheduler.lane import ThreadLane
from webnn.scheduler.promise import Promise, abandon, resolve
from webnn.scheduler.timeline import Timeline
from webnn.scheduler.width import Width

if TYPE_CHECKING:
    from webnn.backends.disk_cache import DiskCache

__all__ = ["Dependent", "Device", "MLContextLostInfo"]

_FORGOTTEN: Final = (
    "the context was forgotten: nothing referred to it any more; keep it, or one of its graphs or tensors, in a"
    " variable until its results are there"
)


@dataclass(frozen=True, slots=True)
class MLContextLostInfo:
    """The result of `context.lost`: why the context ended."""

    message: str


class Dependent(Protocol):
    """What ends with its device: a graph, a tensor, a pass over a stream, or the compiler of merged chains."""

    def _stop(self) -> None:
        """Called first, while the timeline still runs: cancel work that is not on the timeline."""
        ...

    def _lose(self, error: ContextLostError) -> None:
        """Called after the timeline has ended: reject pending promises with `error` and give all resources back."""
        ...

    def _forked(self, error: ContextLostError) -> None:
        """Called in a forked child, which has no device: abandon pending promises, and refuse every later call."""
        ...


class Device:
    """The backend of one context, with its timeline and memory.

    Args:
        backend: compiles graphs and runs them.
        options: for every compilation.
        lanes: worker threads that run graphs side by side.
        memory_budget: the most bytes that values may hold together; None for no limit.
        disk: keeps compiled graphs between programs; None keeps none.
        meanwhile: runs graphs that `backend` has not compiled yet; None lets them wait.
        max_batch: the most runs of a graph that are executed together; 1 for no batching.
        max_delay: seconds for which a run waits for others at most.
    """

    def __init__(
        self,
        backend: Backend,
        options: CompileOptions,
        *,
        lanes: int,
        memory_budget: int | None,
        disk: DiskCache | None = None,
        meanwhile: Backend | None = None,
        max_batch: int = 1,
        max_delay: float = 0.0,
    ) -> None:
        self.backend = backend
        self.options = options
        self.disk = disk
        self.meanwhile = meanwhile
        self.max_batch = max_batch
        self.max_delay = max_delay
        self.info = backend.device(dict(options.backend))
        """The device that runs graphs."""
        self.limits = backend.support_limits()
        """The limits that builders validate against."""
        died = _if_alive(self)
        memory = backend.allocator
        if not memory.is_host:
            with import_lock:  # here, since most backends use the memory of the host
                from webnn.memory.guarded import GuardedAllocator  # noqa: PLC0415

            memory = GuardedAllocator(memory, died)
        self.pool = BufferPool(memory, memory_budget)
        cores, count = usable_cores(), runnable_threads()
        width = Width(cores, Crowd(cores, os.cpu_count() or 1, count) if count is not None and cores > 1 else None)
        self.lanes = [ThreadLane(f"webnn-lane-{i}") for i in range(lanes)]
        """The threads that run graphs."""
        self.timeline = Timeline(self.pool, self.lanes, width=width)
        self.timeline.device_lost = died
        self.build_lane = ThreadLane("webnn-build")
        """The thread that compiles graphs and releases compiled ones."""
        self.slow_lane = self.build_lane if meanwhile is None else ThreadLane("webnn-build-meanwhile")
        """The thread on which `backend` compiles graphs that run meanwhile, and further executables of graphs, so that
        others need not wait for theirs to start. Without `meanwhile`, it is the build lane."""
        self.lost: Promise[MLContextLostInfo] = Promise()
        """Resolves when the device has ended."""
        # Around `_dependents` and `_lost_message`: a dependent is registered before the device is lost, or not at all.
        # Reentrant for finalizers, which may run at any allocation.
        self._lock = reentrant_lock()
        self._dependents: weakref.WeakSet[Dependent] = weakref.WeakSet()
        self._on_lost: list[Callable[[ContextLostError], None]] = []
        self._on_forked: list[Callable[[ContextLostError], None]] = []
        self._lost_message: str | None = None
        self.is_dead = False
        """Whether the backend has said that the device is gone."""
        self.has_prepared_threads = False
        """Whether `on_each_thread` was called."""
        _devices[id(self)] = self

    # Its end.

    @property
    def is_lost(self) -> bool:
        """Whether it has ended."""
        return self._lost_message is not None

    def check_not_lost(self) -> None:
        """Raise `ContextLostError` if it has ended."""
        if self._lost_message is not None:
            raise ContextLostError(f"{self._lost_message}; make a new one with webnn.create_context()")

    def register(self, dependent: Dependent) -> None:
        """End `dependent` with the device, which keeps only a weak reference to it.

        Raises:
            ContextLostError: the device has ended already.
        """
        with self._lock:
            self.check_not_lost()
            self._dependents.add(dependent)

    def on_lost(self, callback: Callable[[ContextLostError], None]) -> None:
        """Call `callback(error)` when the device is lost, but not when it is forgotten."""
        self._on_lost.append(callback)

    def on_forked(self, callback: Callable[[ContextLostError], None]) -> None:
        """Call `callback(error)` in a forked child, which has no device."""
        self._on_forked.append(callback)

    def on_each_thread(self, function: Callable[[], object]) -> None:
        """Call `function()` once on each of its threads, before their next work. They start for that if need be.

        Threads that the backend starts for a graph inherit what the system keeps for each thread, such as priorities,
        from the one that compiles the graph, which is one of these.
        """

        def once() -> bool:
            function()
            return False

        self.has_prepared_threads = True
        for lane in {*self.lanes, self.build_lane, self.slow_lane}:
            lane.wake(once, timed=False)

    def compile(self, graph: Graph, options: CompileOptions, cancellation: Cancellation, *, stored: bool = True) -> Use:
        """`graph` on its backend, from the caches if it is there; that on the disk only if `stored`.

        The caller gives the entry back to `session_cache`.

        Raises what the backend's `compile` raises.
        """
        try:
            return session_cache.compile(self.backend, graph, options, cancellation, self.disk if stored else None)
        except DeviceLostError as error:
            self.died(str(error))
            raise

    def died(self, message: str) -> None:
        """The backend says that its device is gone: lose it, and let nothing that was compiled for it be found again.

        Whoever found out may hold locks, so that is done on a thread of its own.
        """
        if self._lost_message is not None or self.is_dead:
            return

        def lose() -> bool:
            session_cache.abandon(self.backend.name)
            self.lose(message)
            return False

        lane = ThreadLane("webnn-lost")
        lane.wake(lose)
        self.is_dead = True
        lane.close(wait=False)

    def lose(self, message: str) -> None:
        """End it and everything that depends on it; `message` is the reason. Calling it again is fine."""
        ending = self._begin_to_end(message)
        if ending is None:
            return
        try:
            self._end(message, *ending)
        except BaseException:  # an interrupt; everything in there can be done again
            self._end(message, *ending)
            raise

    def _end(self, message: str, error: ContextLostError, dependents: list[Dependent]) -> None:
        for dependent in dependents:
            dependent._stop()
        self.timeline.shutdown.destroy(error)
        for dependent in dependents:
            dependent._lose(error)
        for callback in self._on_lost:
            callback(error)
        self.pool.trim()
        self.build_lane.close(wait=False)
        self.slow_lane.close(wait=False)
        resolve(self.lost, MLContextLostInfo(message))

    def forget(self, message: str = "the program ended") -> None:
        """End it without waiting: nothing refers to it any more, or the program exits."""
        ending = self._begin_to_end(message)
        if ending is None:
            return
        error, dependents = ending
        for dependent in dependents:
            dependent._stop()
        self.build_lane.close(wait=False)
        self.slow_lane.close(wait=False)
        self.timeline.shutdown.destroy(error, wait=False)
        resolve(self.lost, MLContextLostInfo(message))

    def forked(self, parent: int) -> None:
        """Lose the device in this process, which was forked from `parent`. The device goes on in the parent.

        No callback is called, since callbacks and event loops belong to the parent. Nothing is given back: the parent's
        threads, which would have to end first, are not in this process.
        """
        if self._lost_message is None:
            self._lost_message = f"the context was lost: {belongs_to(parent)}"
        error = ContextLostError(self._lost_message)
        self.timeline.shutdown.forked(error)
        for dependent in list(self._dependents):
            dependent._forked(error)
        for callback in self._on_forked:
            callback(error)
        abandon(self.lost, error, MLContextLostInfo(belongs_to(parent)))

    def _begin_to_end(self, message: str) -> tuple[ContextLostError, list[Dependent]] | None:
        """The error for pending promises, and the dependents; None if the device has ended already."""
        with self._lock:
            if self._lost_message is not None:
                return None
            self._lost_message = f"the context was lost: {message}"
            return ContextLostError(self._lost_message), list(self._dependents)

    def __del__(self) -> None:
        if getattr(self, "_lost_message", "") is not None:  # set at the end of `__init__`
            return
        observed = self.timeline.shutdown.observed()
        if observed:
            _devices[id(self)] = self  # the garbage collector may have removed it before it called this
            kept = _Kept(self)
            for source in observed:
                source.owner = kept
        else:
            self.forget(_FORGOTTEN)


class _Kept:
    """Keeps a device that only promises refer to. Their sources have it until they have settled or are unreachable."""

    def __init__(self, device: Device) -> None:
        self._device = device

    def __del__(self) -> None:  # Python calls `Device.__del__` only once
        device = self._device
        # On another thread: the last promise may have settled, or been freed, under a lock.
        device.build_lane.wake(partial(_forget, device), timed=False)


def _forget(device: Device) -> bool:
    device.forget(_FORGOTTEN)
    return False


def _if_alive(device: Device) -> Callable[[str], None]:
    """`device.died`, without keeping the device alive."""
    reference = weakref.ref(device)

    def died(message: str) -> None:
        if (alive := reference()) is not None:
            alive.died(message)

    return died


_devices: Final[weakref.WeakValueDictionary[int, Device]] = weakref.WeakValueDictionary()


@on_fork
def _lose_all_in_child(parent: int) -> None:
    for reference in _devices.valuerefs():
        device = reference()
        if device is not None:
            device.forked(parent)


@atexit.register
def _forget_all() -> None:
    for reference in _devices.valuerefs():  # one atomic step, even while another thread makes a device
        device = reference()
        if device is not None:
            device.forget()
