"""Work that blocks, for event loops: on a worker thread, within a limit of time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from webnn.forking import import_lock

__all__ = ["countdown", "on_thread"]

R = TypeVar("R")


def countdown(seconds: float | None) -> Callable[[], float | None]:
    """A function that gives how many of the seconds are left, at least 0; None if there is no limit."""
    if seconds is None:
        return lambda: None
    end = time.monotonic() + seconds
    return lambda: max(0.0, end - time.monotonic())


async def on_thread(function: Callable[..., R], *arguments: Any, seconds: float | None = None) -> R:
    """The result of `function`, computed on a worker thread. A thread that is no longer awaited goes on.

    Raises:
        TimeoutError: it took longer than `seconds`.
    """
    with import_lock:  # here, since most programs have no event loop
        from anyio import fail_after  # noqa: PLC0415
        from anyio.to_thread import run_sync  # noqa: PLC0415

    with fail_after(seconds):
        return await run_sync(function, *arguments, abandon_on_cancel=True)
