"""The memory of the C library: giving back what was freed, letting it keep more, and making room in huge pages."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from functools import cache
from typing import Any, Final

import numpy as np

__all__ = ["give_back_freed_memory", "keep_freed_memory", "make_room"]

_LARGEST: Final = 31 * 1024 * 1024
"""The most bytes to make room for: glibc never has blocks of 32 MB or more in its heap."""
_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
"""Glibc's numbers for `mallopt`."""
_SLACK: Final = 64 * 1024
"""Bytes by which a block must be smaller than one that was freed, to be in the heap."""
_HUGE: Final = 4 * 1024 * 1024 + _SLACK
"""NumPy asks for huge pages for blocks from 4 MB on."""


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


def make_room(size: int) -> None:
    """Let the heap of this thread grow by about `size` bytes in huge pages, which take memory when they are used.

    Onnxruntime allocates and frees the weights of a convolution several times while it makes a session. On Linux, each
    new page of 4 KB costs some 2.5 microseconds on a virtual machine, which was two thirds of the time of MobileNetV2's
    session; a huge page has 2 MB. With glibc alone, where Linux gives huge pages to those who ask, and from 4 MB on.
    """
    if size < _HUGE or _of_glibc("malloc_trim") is None:
        return
    size = min(size, _LARGEST)
    # The first block is no part of the heap. When it is freed, glibc learns to have blocks up to its size in the heap,
    # such as the second one.
    for each in (size, size - _SLACK):
        np.empty(each, np.uint8)


@cache
def _of_glibc(name: str) -> Callable[..., Any] | None:
    if not sys.platform.startswith("linux"):
        return None
    return getattr(ctypes.CDLL(None), name, None)
