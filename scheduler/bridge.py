"""Bridges to asyncio and trio, and the detection of a thread without an event loop.

The rest of the package is the same in all three cases. They differ only in how to wake a waiter from another thread,
how to wait, how to give the loop a turn, how to be called at the end of a tick, and how to start a task.
"""

from __future__ import annotations

import contextlib
import sys
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future

__all__ = ["Bridge", "asyncio_loop", "current_bridge", "current_loop", "current_task"]


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
    def wait(self, subscribe: Callable[[Callable[[], object]], Callable[[], None]]) -> Generator[Any, Any, None]:
        """Suspend the task until it is woken.

        `subscribe(wake)` is called once. `wake()` may be called from any thread, at any time from then on. `subscribe`
        returns a function that is called if the task stops waiting because it was cancelled.
        """

    @abstractmethod
    def breathe(self) -> Generator[Any, Any, None]:
        """Let the loop's other tasks run once. This is a cancellation point."""

    @abstractmethod
    def spawn(self, function: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
        """Run `function()` as a new task in the caller's context. It must not raise. Returns a function to cancel."""


class _AsyncioBridge(Bridge):
    def __init__(self, loop: AbstractEventLoop) -> None:
        self.loop = loop

    def call_soon(self, callback: Callable[[], object]) -> None:
        self.loop.call_soon(callback)

    def post(self, callback: Callable[[], object]) -> bool:
        loop = self.loop
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

    def wait(self, subscribe: Callable[[Callable[[], object]], Callable[[], None]]) -> Generator[Any, Any, None]:
        loop = self.loop
        future: Future[None] = loop.create_future()

        def set_result() -> None:
            try:
                if not future.done():
                    future.set_result(None)
            except BaseException:  # an interrupt: the loop would only log it, and the waiter would wait for ever
                if not future.done():
                    future.set_result(None)
                raise

        unsubscribe = subscribe(lambda: self.post(set_result))  # a loop that has ended has no waiters
        try:
            yield from future
        except BaseException:
            unsubscribe()
            del subscribe, unsubscribe  # the exception keeps this frame alive
            raise

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

    def wait(self, subscribe: Callable[[Callable[[], object]], Callable[[], None]]) -> Generator[Any, Any, None]:
        event = self._trio.Event()
        unsubscribe = subscribe(lambda: self._soon(event.set))  # a run that has ended has no waiters
        try:
            yield from _await(event.wait())
        except BaseException:
            unsubscribe()
            del subscribe, unsubscribe  # the exception keeps this frame alive
            raise

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
