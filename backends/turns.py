"""Turns of processes at the same work: one does it, and the others wait to use what it has made.

A turn is a lock on a file (`flock`), which the system releases when the process ends, however it ends. Where there are
no such locks (Windows, some network drives) or the file cannot be made, nothing is waited for, and each does the work.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from webnn.backends.leftovers import claim

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["PATIENCE", "turn"]

PATIENCE: Final = 120.0
"""Seconds after which a process no longer waits: the one whose turn it is may be stopped."""
INTERVAL: Final = 0.01
"""Seconds between two looks at the lock."""


@contextmanager
def turn(path: Path, checkpoint: Callable[[], None], *, patience: float = PATIENCE) -> Iterator[bool]:
    """The turn of this process, for the time of the block; gives whether another one was waited for.

    Args:
        path: the file, which is there only while a process has the turn.
        checkpoint: called from time to time while this waits; what it raises ends the wait.
        patience: the most seconds to wait. After them the block begins without the turn.
    """
    began, waited = time.monotonic(), False
    descriptor = None
    try:
        while fcntl is not None:
            try:
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            except OSError:
                break
            if claim(descriptor, path):
                break
            os.close(descriptor)
            descriptor = None
            waited = True
            checkpoint()
            if time.monotonic() - began > patience:
                break
            time.sleep(INTERVAL)
        yield waited
    finally:
        if descriptor is not None:
            with suppress(OSError):
                path.unlink()
            with suppress(OSError):
                fcntl.flock(
                    descriptor, fcntl.LOCK_UN
                )  # closing is not enough: a child that was forked has it open, too
            os.close(descriptor)
