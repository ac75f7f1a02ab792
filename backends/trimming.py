"""Giving memory back to the system that the C library keeps after it was freed."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from functools import cache
from typing import Any

__all__ = ["give_back_freed_memory"]


def give_back_freed_memory() -> None:
    """Let the system have the pages that are free inside the heap; glibc alone can do that. It takes a millisecond.

    Large parts of the heap are freed at once when something big was made, such as a session of onnxruntime. Without
    this, the process would keep them as long as anything behind them is in use.
    """
    trim = _trim()
    if trim is not None:
        trim(0)


@cache
def _trim() -> Callable[[int], Any] | None:
    if not sys.platform.startswith("linux"):
        return None
    return getattr(ctypes.CDLL(None), "malloc_trim", None)
