"""Memory that was freed: giving back to the system what the C library keeps, or letting it keep more."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from functools import cache
from typing import Any, Final

__all__ = ["give_back_freed_memory", "keep_freed_memory"]

_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
"""Glibc's numbers for `mallopt`."""


def give_back_freed_memory() -> None:
    """Let the system have the pages that are free inside the heap; glibc alone can do that. It takes a millisecond.

    Large parts of the heap are freed at once when something big was made, such as a session of onnxruntime. Without
    this, the process would keep them as long as anything behind them is in use.
    """
    trim = _of_glibc("malloc_trim")
    if trim is not None:
        trim(0)


def keep_freed_memory(most: int) -> None:
    """Let the process keep so many bytes of freed memory, for blocks of up to a quarter of that; with glibc alone.

    Glibc gives blocks of more than some 100 KB back when they are freed, or soon after that. To get them again takes
    longer than to fill them, since the system clears each page. So this is for processes that handle such blocks again
    and again.
    """
    options = _of_glibc("mallopt")
    if options is not None:
        options(_MMAP_THRESHOLD, most // 4)
        options(_TRIM_THRESHOLD, most)


@cache
def _of_glibc(name: str) -> Callable[..., Any] | None:
    if not sys.platform.startswith("linux"):
        return None
    return getattr(ctypes.CDLL(None), name, None)
