"""Memory that was freed inside the heap goes back to the system, or stays; and room for sessions in huge pages."""

from __future__ import annotations

import ctypes
import mmap
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import webnn
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


@pytest.mark.skipif(trimming._of_glibc("malloc_trim") is None, reason="only the heap of glibc grows by freed blocks")
@pytest.mark.skipif(not Path("/sys/kernel/mm/transparent_hugepage").exists(), reason="this system has no huge pages")
def test_room_in_the_heap_is_in_huge_pages_and_takes_no_memory_yet() -> None:
    program = """
from pathlib import Path
from webnn.backends.trimming import make_room

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

before = resident()
make_room(24 << 20)
grown = resident() - before
size, is_heap = 0, False
for line in Path("/proc/self/smaps").read_text().splitlines():
    words = line.split()
    if "-" in words[0]:
        is_heap, (start, end) = words[-1] == "[heap]", words[0].split("-")
    elif words[0] == "VmFlags:" and is_heap and "hg" in words:
        size += int(end, 16) - int(start, 16)
print(grown, size)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    grown, size = map(int, done.stdout.split())
    assert grown < 2 << 20
    assert size > 20 << 20


@pytest.mark.parametrize(("width", "makes"), [(32, False), (1024, True)])
def test_a_session_with_large_weights_gets_room(width: int, makes: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    monkeypatch.setattr(trimming, "make_room", sizes.append)
    with webnn.ML().create_context(backend="onnxruntime") as context:
        builder = webnn.MLGraphBuilder(context)
        x = builder.input("x", (1, width), "float32")
        weight = builder.constant(np.eye(width, dtype=np.float32))
        graph = builder.build({"y": builder.matmul(x, weight)})
        ones = np.ones((1, width), np.float32)
        np.testing.assert_array_equal(context.compute(graph, {"x": ones})["y"], ones)
    assert sizes == [2 * width * width * 4] * makes
