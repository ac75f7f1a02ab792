"""The workers of a stream whose consumer is on an event loop: worker threads of anyio.

One task owns the workers: they run in its task group, and it ends when they have ended. The task of an async source
stands beside that group and not in it. anyio cancels what is in a group again at each `await`, which would cut off the
clean-up of the source on asyncio.

Cancelling a task does not end its thread. So workers are told to end by `Iteration.leave`, and are waited for.
"""

from __future__ import annotations

from collections.abc import AsyncIterable
from functools import partial
from importlib import import_module

from webnn.errors import ContextLostError
from webnn.forking import import_lock, reentrant_lock
from webnn.runtime.streaming.iteration import Iteration
from webnn.scheduler.bridge import Bridge
from webnn.scheduler.promise import Promise, abandon, resolve

__all__ = ["begin_in_loop"]


def begin_in_loop(iteration: Iteration, source: object, bridge: Bridge, width: int) -> None:
    """Start the tasks of the stream, and the source's thread if the source is not async."""
    with import_lock:  # late, since few programs need it; but before the source's thread wants the interpreter, too
        import_module("anyio.lowlevel").current_token()  # also imports what anyio needs for this kind of loop
    crew = _LoopCrew(iteration, width)
    iteration.hire, iteration.forked = crew.hire, crew.forked
    if isinstance(source, AsyncIterable):
        cancel_source = bridge.spawn(iteration.pump)

        def cancel() -> None:
            crew.dismiss()
            cancel_source()

        iteration.cancel = cancel
    else:
        iteration.cancel = crew.dismiss
        iteration.start_source()
    bridge.spawn(crew.run)


class _LoopCrew:
    """The task that owns a stream's workers."""

    def __init__(self, iteration: Iteration, width: int) -> None:
        self._iteration = iteration
        self._width = width
        self._lock = reentrant_lock()
        self._hired = 0  # and not started
        self._dismissed = False
        self._change: Promise[None] | None = None  # set while the task waits for it

    def hire(self) -> None:
        """Let the task start a worker."""
        with self._lock:
            self._hired += 1
        self._wake()

    def dismiss(self) -> None:
        """Let the task end when the workers have ended."""
        self._dismissed = True
        self._wake()

    async def run(self) -> None:
        """Start workers until they are dismissed, and wait until they have ended."""
        with import_lock:  # see `begin_in_loop`
            from anyio import CapacityLimiter, create_task_group, to_thread  # noqa: PLC0415

        iteration, limiter = self._iteration, CapacityLimiter(self._width)
        start = partial(to_thread.run_sync, iteration.work, limiter=limiter)
        async with create_task_group() as group:
            try:
                while not self._dismissed:
                    with self._lock:
                        hired, self._hired = self._hired, 0
                    for _ in range(hired):
                        group.start_soon(start)
                    if not hired:
                        await self._changed()
            finally:
                iteration.leave()  # before the group waits for the workers, for a loop that ends in the middle

    def _changed(self) -> Promise[None]:
        with self._lock:
            change: Promise[None] = Promise()
            if not self._hired and not self._dismissed:
                self._change = change
                return change
        resolve(change, None)
        return change

    def _wake(self) -> None:
        with self._lock:
            change, self._change = self._change, None
        if change is not None:
            resolve(change, None)

    def forked(self, error: ContextLostError) -> None:
        """This is a forked child, which does not have the task."""
        if self._change is not None:
            abandon(self._change, error)
