"""Unfinished files and folders: which ones have a living writer, and which were left by a killed process.

A writer holds a lock on its file or folder (`flock`, which the system releases when the process ends, however it ends).
A free lock therefore tells every process at once that the writer is gone. Where there are no such locks (Windows, some
network drives), files and folders that have not been touched for an hour count as left.

A lock alone is not enough, since a file exists before its writer has locked it: a writer that finds its new file locked
or gone makes another one, and a process that removes a file holds its lock meanwhile.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["HOUR", "claim", "remove_abandoned"]

HOUR: Final = 3600.0
"""Seconds after which something untouched counts as left where locks cannot tell."""


def claim(descriptor: int, path: Path) -> bool:
    """Lock the file or folder at `path`, which this process has just made, until `descriptor` is closed.

    False: another process took it for abandoned before it was locked; make another one.
    """
    return _lock(descriptor) is not False and _is_at(descriptor, path)


def remove_abandoned(path: Path, unless: Callable[[], bool] = lambda: False) -> None:
    """Remove the file or folder at `path` if it has no living writer and `unless()`, called under its lock, denies."""
    with suppress(OSError):
        if os.name == "nt":  # which opens no folders
            _remove_if_old(path, unless)
            return
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            free = _lock(descriptor)
            if free is None:
                _remove_if_old(path, unless)
            elif free and _is_at(descriptor, path) and not unless():
                _remove(path)
        finally:
            os.close(descriptor)


def _lock(descriptor: int) -> bool | None:
    """Whether the lock was free and is held now; None where there are no locks."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except FileNotFoundError:
        return False


def _remove_if_old(path: Path, unless: Callable[[], bool]) -> None:
    if time.time() - path.stat().st_mtime > HOUR and not unless():
        _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
