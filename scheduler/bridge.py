"""Bridges to asyncio and trio, and the detection of a thread without an event loop.

The rest of the package is the same in all three cases. They differ only in how to wake a waiter from another thread,
how to wait, how to give the loop a turn, how to be called at the end of a tick, and how to start a task.
"""

from __future__ import annotations

import contextlib
import sys
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future

__all__ = [
    "Bridge",
    "Waiter",
    "asyncio_loop",
    "current_bridge",
    "current_loop",
    "current_task",
    "current_waiter",
    "has_only_this_task",
]


class Bridge(ABC):
    """A running event loop, seen from one of its tasks."""

    loop: Any
    """Identifies the loop."""

    @abstractmethod
    def call_soon(self, callback: Callable[[], object]) -> None:
        """Call `callback` at the end of this tick. May only be called on the loop's thread."""

    @abstractmethod
    def post(self, callback: Callable[[], object]) -> bool:
        """Call `callback` on the loop's thread: now if this is it, otherwise soon. Returns False if the loop ended."""

    @abstractmethod
    def breathe(self) -> Generator[Any, Any, None]:
        """Let the loop's other tasks run once. This is a cancellation point."""

    @abstractmethod
    def spawn(self, function: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
        """Run `function()` as a new task in the caller's context. It must not raise. Returns a function to cancel."""


class Waiter:
    """A task that waits: the callback that wakes it.

    `yield from waiter.suspend()` suspends the task until the waiter is called. It may be called from any thread, at any
    time, and again. It is no `ABC`, for which `isinstance` takes too long here.
    """

    __slots__ = ("loop",)

    loop: Any
    """Identifies the loop of the task."""

    @abstractmethod
    def suspend(self) -> Iterable[Any]:
        """An iterable for the task to yield from."""

    @abstractmethod
    def __call__(self, _: object = None) -> None:
        """Wake the task. A loop that has ended has no tasks."""

    @abstractmethod
    def wake(self) -> None:
        """Wake the task, on the thread of its loop."""

    @abstractmethod
    def post(self, callback: Callable[[], object]) -> bool:
        """As `Bridge.post`, for the loop of the task."""


class _AsyncioBridge(Bridge):
    def __init__(self, loop: AbstractEventLoop) -> None:
        self.loop = loop

    def call_soon(self, callback: Callable[[], object]) -> None:
        self.loop.call_soon(callback)

    def post(self, callback: Callable[[], object]) -> bool:
        return _post(self.loop, callback)

    def breathe(self) -> Generator[Any, Any, None]:
        yield

    def spawn(self, function: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
        loop, task = self.loop, self.loop.create_task(function())

        def cancel() -> None:
            if asyncio_loop() is loop:
                task.cancel()
            else:  # from the garbage collector, on another thread
                with contextlib.suppress(RuntimeError):  # the loop is closed, and its tasks with it
                    loop.call_soon_threadsafe(task.cancel)

        return cancel


def _post(loop: AbstractEventLoop, callback: Callable[[], object]) -> bool:
    """`Bridge.post` for a loop of asyncio."""
    if asyncio_loop() is loop:
        callback()
        return True
    try:
        loop.call_soon_threadsafe(callback)
    except RuntimeError:
        if not loop.is_closed():
            raise
        return False
    return True


class _Finished:
    """A future that has ended."""

    def result(self) -> None:
        """There is none."""


_FINISHED: Final = _Finished()


class _AsyncioWaiter(Waiter):
    __slots__ = ("_future",)

    def __init__(self, loop: AbstractEventLoop) -> None:
        self.loop = loop
        self._future: Future[None] = loop.create_future()

    def suspend(self) -> Iterable[Any]:
        future: Any = self._future
        if future.done():
            return ()
        future._asyncio_future_blocking = True  # as its own iterator does, which does not end before the future
        return (future,)

    def __call__(self, _: object = None) -> None:
        if asyncio_loop() is self.loop:
            self.wake()  # another task of the loop may be running
        else:
            _post(self.loop, self._go_on)

    def _go_on(self) -> None:
        """Resume the task now, rather than in the next turn of the loop, as its future would."""
        try:
            future: Any = self._future
            callbacks = getattr(future, "_callbacks", None)
            if callbacks and not self.loop.get_debug():  # in which the loop names the task whose step has taken long
                resume, context = callbacks[0]
                # In one line, within which nothing interrupts.
                future.remove_done_callback(resume) and context.run(resume, _FINISHED)
                return
        except BaseException:  # an interrupt, or one of the task, which has gone on and is not told again
            self.wake()
            raise
        self.wake()

    def wake(self) -> None:
        try:
            if not self._future.done():
                self._future.set_result(None)
        except BaseException:  # an interrupt: the loop would only log it, and the task would wait for ever
            if not self._future.done():
                self._future.set_result(None)
            raise

    def post(self, callback: Callable[[], object]) -> bool:
        return _post(self.loop, callback)


class _TrioBridge(Bridge):
    def __init__(self) -> None:
        self._trio = sys.modules["trio"]
        self.loop = self._trio.lowlevel.current_trio_token()

    def call_soon(self, callback: Callable[[], object]) -> None:
        self.loop.run_sync_soon(callback)

    def post(self, callback: Callable[[], object]) -> bool:
        if current_loop() is self.loop:
            callback()
            return True
        return self._soon(callback)

    def _soon(self, callback: Callable[[], object]) -> bool:
        try:
            self.loop.run_sync_soon(callback)
        except self._trio.RunFinishedError:
            return False
        return True

    def breathe(self) -> Generator[Any, Any, None]:
        yield from _await(self._trio.lowlevel.checkpoint())

    def spawn(self, function: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
        scope = self._trio.CancelScope()

        async def scoped() -> None:
            with scope:
                await function()

        # A system task, since there is no nursery here. It still gets the caller's context variables.
        self._trio.lowlevel.spawn_system_task(scoped, context=copy_context())

        def cancel() -> None:
            if current_loop() is self.loop:
                scope.cancel()
            else:  # from the garbage collector, on another thread
                self._soon(scope.cancel)

        return cancel


class _TrioWaiter(Waiter):
    __slots__ = ("_bridge", "_event")

    def __init__(self, bridge: _TrioBridge) -> None:
        self.loop = bridge.loop
        self._bridge = bridge
        self._event = bridge._trio.Event()

    def suspend(self) -> Iterable[Any]:
        return _await(self._event.wait())

    def __call__(self, _: object = None) -> None:
        self._bridge._soon(self._event.set)

    def wake(self) -> None:
        self._event.set()

    def post(self, callback: Callable[[], object]) -> bool:
        return self._bridge.post(callback)


def _await(awaitable: Awaitable[Any]) -> Generator[Any, Any, Any]:
    return awaitable.__await__()


def _running_trio() -> Any:
    """The module `trio` if it runs the caller, possibly as a guest inside another loop; otherwise None."""
    trio = sys.modules.get("trio")
    in_trio_task = getattr(getattr(trio, "lowlevel", None), "in_trio_task", None)  # not there yet during an import
    return trio if in_trio_task is not None and in_trio_task() else None


def asyncio_loop() -> AbstractEventLoop | None:
    """The loop of asyncio that runs the caller.

    asyncio is never imported here, which takes as long as all of the scheduler: a program that has a loop has imported
    it. From then on, asyncio's own function stands in the place of this one.
    """
    # The package has the function once its module is complete, even while another thread imports the rest.
    running_loop = getattr(sys.modules.get("asyncio"), "_get_running_loop", None)
    if running_loop is None:
        return None
    globals()["asyncio_loop"] = running_loop
    found: AbstractEventLoop | None = running_loop()
    return found


def current_loop() -> object:
    """The event loop that runs the caller, as in `Bridge.loop`; None in a plain thread."""
    trio = _running_trio()
    return asyncio_loop() if trio is None else trio.lowlevel.current_trio_token()


def current_task() -> object:
    """The task of an event loop that the caller runs in; None outside of one, also in callbacks of a loop."""
    trio = _running_trio()
    if trio is not None:
        return trio.lowlevel.current_task()
    loop = asyncio_loop()
    return None if loop is None else sys.modules["asyncio"].current_task(loop)


def current_bridge() -> Bridge | None:
    """The event loop that runs the caller; None in a plain thread."""
    if _running_trio() is not None:
        return _TrioBridge()
    loop = asyncio_loop()
    return None if loop is None else _AsyncioBridge(loop)


def current_waiter() -> Waiter | None:
    """A waiter for the task that runs the caller; None in a plain thread."""
    if "trio" in sys.modules and _running_trio() is not None:
        return _TrioWaiter(_TrioBridge())
    loop = asyncio_loop()
    return None if loop is None else _AsyncioWaiter(loop)


def has_only_this_task(seconds: float, expected: type) -> bool:
    """Whether the calling task is all that its event loop has to do within so many seconds.

    Then nobody notices if the task blocks the loop. There is no other task, no callback but those of class `expected`,
    no timer that is due before, and nothing that the loop watches, such as a socket, but the pipe that wakes it. Only
    loops of asyncio itself tell that.
    """
    loop: Any = asyncio_loop()
    ready = getattr(loop, "_ready", None)
    timers = getattr(loop, "_scheduled", None)
    watched = getattr(getattr(loop, "_selector", None), "get_map", None)
    if ready is None or timers is None or watched is None or _running_trio() is not None:
        return False
    own = getattr(loop, "_read_from_self", None)  # empties the pipe
    callbacks = [getattr(handle, "_callback", None) for handle in ready]
    if any(not isinstance(callback, expected) and callback != own for callback in callbacks):
        return False
    if timers and timers[0].when() < loop.time() + seconds:
        return False
    return len(watched()) == 1 and len(sys.modules["asyncio"].all_tasks(loop)) == 1
