"""Lent arrays are read-only, and their memory is given back exactly once, when the last view is freed."""

from __future__ import annotations

import gc
import threading
from typing import Any
from weakref import finalize

import numpy as np
import pytest

from webnn.memory.lease import SMALL, Lease, lend, lendable

LENT = SMALL // 4 + 16
"""A number of float32 elements that is lent instead of copied."""


def held(memory: np.ndarray[Any, Any], given: list[object]) -> np.ndarray[Any, Any]:
    """An array that is lent; `"value"` is added to `given` when its memory comes back."""
    array = lend(memory)
    assert isinstance(array.base, Lease)
    finalize(array.base, given.append, "value")
    return array


@pytest.fixture
def memory() -> np.ndarray[Any, Any]:
    # As the allocator makes it: a view of a view of bytes.
    return np.zeros(4 * LENT + 64, np.uint8)[64:].view(np.float32).reshape(-1, 16)


def test_the_array_is_the_memory_itself_and_read_only(memory: np.ndarray[Any, Any]) -> None:
    memory[:] = 7
    array = lend(memory)
    assert type(array) is np.ndarray
    assert np.shares_memory(array, memory)
    assert (array.shape, array.dtype) == (memory.shape, memory.dtype)
    assert (array == 7).all()
    with pytest.raises(ValueError, match="read-only"):
        array[0, 0] = 1


def test_the_memory_is_given_back_when_the_array_is_freed(memory: np.ndarray[Any, Any]) -> None:
    given: list[object] = []
    array = held(memory, given)
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
    array = held(memory, given)
    view = derive(array)
    del array
    gc.collect()
    assert given == []
    del view
    assert given == ["value"]


def test_one_base_serves_several_leases_each_of_which_ends_on_its_own(memory: np.ndarray[Any, Any]) -> None:
    base = lendable(memory)
    given: list[object] = []
    arrays = [base.view(Lease).view(np.ndarray) for _ in range(2)]
    for number, array in enumerate(arrays):
        assert type(array) is np.ndarray
        assert not array.flags.writeable
        assert isinstance(array.base, Lease)
        finalize(array.base, given.append, number)
    part = arrays.pop(0)[1:]
    del array
    assert given == []
    arrays.clear()
    assert given == [1]
    del part
    assert given == [1, 0]
    assert memory.flags.writeable


def test_the_last_of_several_views_gives_the_memory_back(memory: np.ndarray[Any, Any]) -> None:
    given: list[object] = []
    array = held(memory, given)
    rows = list(array)
    del array
    for _ in range(len(rows) - 1):
        rows.pop()
        assert given == []
    rows.clear()
    assert given == ["value"]


def test_the_memory_may_be_given_back_on_another_thread(memory: np.ndarray[Any, Any]) -> None:
    given: list[object] = []
    box = [held(memory, given)]
    thread = threading.Thread(target=box.clear)
    thread.start()
    thread.join()
    assert given == ["value"]


def test_a_very_small_array_is_a_copy() -> None:
    memory = np.arange(SMALL, dtype=np.uint8)
    array = lend(memory)
    assert not isinstance(array.base, Lease)
    memory[:] = 0
    assert array.tolist() == np.arange(SMALL).astype(np.uint8).tolist()
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1


def test_a_scalar_can_be_lent() -> None:
    array = lend(np.array(3.5, np.float16))
    assert array.shape == ()
    assert array == 3.5
