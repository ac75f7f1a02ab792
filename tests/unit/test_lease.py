"""Lent arrays are read-only, and their memory is given back exactly once, when the last view is freed."""

from __future__ import annotations

import gc
import threading
from typing import Any

import numpy as np
import pytest

from webnn.memory.lease import SMALL, lend

LENT = SMALL // 4 + 16
"""A number of float32 elements that is lent instead of copied."""


@pytest.fixture
def memory() -> np.ndarray[Any, Any]:
    # As the allocator makes it: a view of a view of bytes.
    return np.zeros(4 * LENT + 64, np.uint8)[64:].view(np.float32).reshape(-1, 16)


def test_the_array_is_the_memory_itself_and_read_only(memory: np.ndarray[Any, Any]) -> None:
    memory[:] = 7
    array = lend(memory, "value", lambda _: None)
    assert type(array) is np.ndarray
    assert np.shares_memory(array, memory)
    assert (array.shape, array.dtype) == (memory.shape, memory.dtype)
    assert (array == 7).all()
    with pytest.raises(ValueError, match="read-only"):
        array[0, 0] = 1


def test_the_memory_is_given_back_when_the_array_is_freed(memory: np.ndarray[Any, Any]) -> None:
    given: list[object] = []
    array = lend(memory, "value", given.append)
    gc.collect()
    assert given == []
    del array
    assert given == ["value"]


@pytest.mark.parametrize(
    "derive",
    [
        lambda a: a[1:],
        lambda a: a.T,
        lambda a: a.reshape(-1)[::2],
        lambda a: a.view(np.int32),
        np.asarray,
        lambda a: np.frombuffer(a, np.uint8),
        np.from_dlpack,
        memoryview,
        lambda a: memoryview(a).cast("B")[8:],
        lambda a: a[1:][1:].view(np.uint8).T,
    ],
)
def test_every_kind_of_view_keeps_the_memory(memory: np.ndarray[Any, Any], derive: Any) -> None:
    given: list[object] = []
    array = lend(memory, "value", given.append)
    view = derive(array)
    del array
    gc.collect()
    assert given == []
    del view
    assert given == ["value"]


def test_the_last_of_several_views_gives_the_memory_back(memory: np.ndarray[Any, Any]) -> None:
    given: list[object] = []
    array = lend(memory, "value", given.append)
    rows = list(array)
    del array
    for _ in range(len(rows) - 1):
        rows.pop()
        assert given == []
    rows.clear()
    assert given == ["value"]


def test_the_memory_may_be_given_back_on_another_thread(memory: np.ndarray[Any, Any]) -> None:
    given: list[object] = []
    box = [lend(memory, "value", given.append)]
    thread = threading.Thread(target=box.clear)
    thread.start()
    thread.join()
    assert given == ["value"]


def test_a_scalar_can_be_lent() -> None:
    given: list[object] = []
    array = lend(np.array(3.5, np.float16), "value", given.append)
    assert array.shape == ()
    assert array == 3.5
    del array
    assert given == ["value"]


def test_a_small_array_is_copied_and_its_memory_is_given_back_at_once() -> None:
    memory, given = np.arange(SMALL, dtype=np.uint8), list[object]()
    array = lend(memory, "value", given.append)
    assert given == ["value"]
    memory[:] = 0
    assert array.tolist() == np.arange(SMALL).astype(np.uint8).tolist()
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1
    del array
    assert given == ["value"]
