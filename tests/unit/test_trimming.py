"""Memory that was freed inside the heap goes back to the system, or stays where a process asks for that."""

from __future__ import annotations

import ctypes
import mmap
import subprocess
import sys

import pytest

from webnn.backends import trimming
from webnn.backends.trimming import give_back_freed_memory

BLOCK, COUNT = 32 * 1024, 2000
"""Blocks that are too small for mappings of their own, 64 MB together."""


def resident() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * 4096


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only glibc can give back parts of the heap")
def test_freed_blocks_before_one_that_is_in_use_are_given_back() -> None:
    library = ctypes.CDLL(None)
    if not hasattr(library, "malloc_trim"):
        pytest.skip("this C library is not glibc")
    library.malloc.restype, library.malloc.argtypes, library.free.argtypes = (
        ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
    )  # fmt: skip
    blocks = [library.malloc(BLOCK) for _ in range(COUNT)]
    for block in blocks:
        ctypes.memset(block, 1, BLOCK)
    for block in blocks[:-1]:
        library.free(block)
    before = resident()
    give_back_freed_memory()
    library.free(blocks[-1])
    assert before - resident() > BLOCK * COUNT // 2


@pytest.mark.skipif(trimming._of_glibc("mallopt") is None, reason="this C library keeps what it likes")
@pytest.mark.parametrize("keeps", [False, True])
def test_a_process_may_keep_what_it_has_freed(keeps: bool) -> None:
    program = f"""
import resource
import numpy as np
from webnn.backends.trimming import keep_freed_memory

def work():
    [np.ones(2_000_000, np.uint8) for _ in range(4)]

if {keeps}:
    keep_freed_memory(64 << 20)
work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    pages = 20 * 4 * 2_000_000 // mmap.PAGESIZE
    assert (int(done.stdout) < pages // 10) == keeps
