"""The pool: it reuses views, keeps exact accounts, and stays within its budget."""

from __future__ import annotations

import gc
import threading
from typing import Any

import numpy as np
import pytest

from webnn.errors import OperationError
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.memory.allocator import HostAllocator
from webnn.memory.buffer import Buffer, View
from webnn.memory.pool import BufferPool, MemoryInfo, size_class


class CountingAllocator(HostAllocator):
    """Counts the allocations, and fails beyond a limit."""

    def __init__(self, limit: int = 1 << 60) -> None:
        self.allocated: list[int] = []
        self.limit = limit

    def allocate(self, size: int) -> Buffer:
        if sum(self.allocated) + size > self.limit:
            raise MemoryError("the machine is full")
        self.allocated.append(size)
        return super().allocate(size)


def described(count: int, data_type: Any = "float32") -> MLOperandDescriptor:
    return MLOperandDescriptor(data_type, [count])


@pytest.mark.parametrize("size", [1, 63, 64, 65, 127, 128, 129, 1000, 4096, 4097, 602_112, 10**6, 2**31 - 1])
def test_a_size_class_wastes_an_eighth_at_most(size: int) -> None:
    chosen = size_class(size)
    assert size <= chosen
    assert chosen % 64 == 0
    assert chosen <= max(64, size + 64, size * 9 / 8)
    assert size_class(chosen) == chosen


def test_there_are_few_size_classes() -> None:
    assert len({size_class(size) for size in range(1, 1 << 16)}) < 100


def test_a_view_that_was_put_back_is_the_next_one_taken() -> None:
    shelf = BufferPool(HostAllocator()).shelf(described(16))
    first, second = shelf.take(), shelf.take()
    assert first is not second
    shelf.put(first)
    shelf.put(second)
    assert shelf.take() is second
    assert shelf.take() is first


def test_equal_descriptors_share_a_shelf() -> None:
    pool = BufferPool(HostAllocator())
    shelf = pool.shelf(described(16))
    assert pool.shelf(described(16)) is shelf
    assert pool.shelf(described(17)) is not shelf
    assert pool.shelf(described(16, "int32")) is not shelf


def test_views_in_use_never_share_memory() -> None:
    shelf = BufferPool(HostAllocator()).shelf(described(16))
    views = [shelf.take() for _ in range(8)]
    for i, view in enumerate(views):
        view.array[...] = i
    assert [view.array[0] for view in views] == list(range(8))


def test_a_loop_allocates_nothing_in_the_steady_state() -> None:
    allocator = CountingAllocator()
    shelf = BufferPool(allocator).shelf(described(1000))
    for _ in range(100):
        shelf.put(shelf.take())
    assert len(allocator.allocated) == 1


def test_another_descriptor_of_the_same_size_takes_the_idle_buffer() -> None:
    allocator = CountingAllocator()
    pool = BufferPool(allocator)
    floats, ints = pool.shelf(described(16)), pool.shelf(described(16, "int32"))
    view = floats.take()
    floats.put(view)
    assert ints.take().buffer is view.buffer
    assert len(allocator.allocated) == 1
    assert floats.views == []


def test_info_counts_bytes_in_use_idle_and_at_the_peak() -> None:
    pool = BufferPool(HostAllocator(), budget=10_000)
    shelf = pool.shelf(described(16))
    assert pool.info() == MemoryInfo(in_use=0, idle=0, peak=0, budget=10_000)
    first, second = shelf.take(), shelf.take()
    assert pool.info() == MemoryInfo(in_use=128, idle=0, peak=128, budget=10_000)
    shelf.put(first)
    assert pool.info() == MemoryInfo(in_use=64, idle=64, peak=128, budget=10_000)
    shelf.put(second)
    del first, second
    pool.trim()
    assert pool.info() == MemoryInfo(in_use=0, idle=0, peak=128, budget=10_000)


def test_a_shelf_keeps_no_more_than_its_share() -> None:
    pool = BufferPool(HostAllocator())
    shelf = pool.shelf(described(4 << 20))  # 16 MiB each
    views = [shelf.take() for _ in range(6)]
    while views:
        shelf.put(views.pop())
    assert len(shelf.views) == 4
    assert pool.info().idle == 64 << 20
    assert pool.info().in_use == 0


def test_a_shelf_without_users_frees_its_memory() -> None:
    pool = BufferPool(HostAllocator())
    shelf = pool.shelf(described(16))
    shelf.put(shelf.take())
    assert pool.info().idle == 64
    del shelf
    gc.collect()
    assert pool.info() == MemoryInfo(in_use=0, idle=0, peak=64, budget=None)


class TestBudget:
    def test_a_request_that_exceeds_it_is_refused_with_the_numbers(self) -> None:
        shelf = BufferPool(HostAllocator(), budget=128).shelf(described(16))
        views = [shelf.take(), shelf.take()]
        with pytest.raises(OperationError, match=r"budget of 128 bytes does not hold 64 more: 128 are in use"):
            shelf.take()
        shelf.put(views.pop())
        assert isinstance(shelf.take(), View)

    def test_idle_buffers_of_other_sizes_make_room(self) -> None:
        pool = BufferPool(HostAllocator(), budget=1024)
        small, large = pool.shelf(described(16)), pool.shelf(described(256))
        small.put(small.take())
        view = large.take()
        assert view.array.nbytes == 1024
        assert pool.info() == MemoryInfo(in_use=1024, idle=0, peak=1024, budget=1024)

    def test_a_refusal_changes_nothing(self) -> None:
        pool = BufferPool(HostAllocator(), budget=128)
        small, large = pool.shelf(described(16)), pool.shelf(described(256))
        view = small.take()
        with pytest.raises(OperationError):
            large.take()
        assert pool.info().in_use == 64
        small.put(view)
        assert pool.info().in_use == 0

    def test_check_asks_without_taking(self) -> None:
        pool = BufferPool(HostAllocator(), budget=128)
        pool.check(128)
        with pytest.raises(OperationError, match="does not hold 129 more: 0 are in use"):
            pool.check(129)
        assert pool.info().in_use == 0

    def test_without_a_budget_there_is_no_limit(self) -> None:
        BufferPool(HostAllocator()).check(1 << 60)


class TestOutOfMemory:
    def test_idle_memory_is_freed_before_an_error_is_raised(self) -> None:
        allocator = CountingAllocator(limit=1024)
        pool = BufferPool(allocator)
        small, large = pool.shelf(described(16)), pool.shelf(described(256))
        small.put(small.take())
        allocate, allocator.allocated = allocator.allocated, [960]
        assert allocate == [64]
        with pytest.raises(OperationError, match="no memory for 1024 more bytes: the machine is full"):
            large.take()
        assert pool.info() == MemoryInfo(in_use=0, idle=0, peak=64, budget=None)

    def test_the_pool_works_afterwards(self) -> None:
        allocator = CountingAllocator(limit=64)
        shelf = BufferPool(allocator).shelf(described(16))
        view = shelf.take()
        with pytest.raises(OperationError, match="no memory for 64 more bytes"):
            shelf.take()
        shelf.put(view)
        assert shelf.take() is view


def test_the_accounts_hold_with_many_threads() -> None:
    pool = BufferPool(HostAllocator())
    shelves = [pool.shelf(described(16)), pool.shelf(described(16, "int32")), pool.shelf(described(100))]
    errors: list[BaseException] = []

    def work(seed: int) -> None:
        random, held = np.random.default_rng(seed), list[tuple[int, View]]()
        try:
            for _ in range(400):
                if held and random.random() < 0.5:
                    i, view = held.pop()
                    assert (view.array == seed % 7).all()
                    shelves[i].put(view)
                else:
                    i = int(random.integers(3))
                    view = shelves[i].take()
                    view.array[...] = seed % 7
                    held.append((i, view))
            for i, view in held:
                shelves[i].put(view)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    info = pool.info()
    assert info.in_use == 0
    assert info.idle == sum(len(shelf.views) * shelf.size for shelf in shelves)


def test_a_buffer_that_is_lost_on_its_way_is_not_counted_any_more() -> None:
    pool = BufferPool(HostAllocator())
    shelf = pool.shelf(described(4))
    view = shelf.take()
    assert pool.info() == MemoryInfo(64, 0, 64, None)
    del view  # as after an interrupt: it never comes back
    assert pool.info() == MemoryInfo(0, 0, 64, None)


def test_a_buffer_that_a_finalizer_brings_back_is_still_counted() -> None:
    pool = BufferPool(HostAllocator(), budget=4096)
    shelf = pool.shelf(described(1024))

    class Tensor:
        """Gives its view back when it is freed, and refers to itself."""

        def __init__(self) -> None:
            self.view = shelf.take()
            self.itself = self

        def __del__(self) -> None:
            shelf.put(self.view)

    for _ in range(3):
        Tensor()
        gc.collect()
        assert (pool.info().in_use, pool.info().idle) == (0, 4096)
    assert not gc.is_tracked(shelf.take().buffer.life)  # type: ignore[union-attr]


def test_what_is_allocated_is_known_without_a_look_at_every_buffer(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = BufferPool(HostAllocator(), 64 * 100)
    shelf = pool.shelf(described(4))
    views = [shelf.take() for _ in range(50)]
    added_up = []
    monkeypatch.setattr("webnn.memory.pool.sum", lambda sizes: added_up.append(list(sizes)), raising=False)
    monkeypatch.setattr(pool, "_idle", lambda: 0)
    views += [shelf.take() for _ in range(50)]
    del views[30:]
    assert pool.holds(64 * 70)
    assert not pool.holds(64 * 70 + 1)
    assert added_up == []


@pytest.mark.parametrize("allocated", [1, 5])
def test_what_is_allocated_is_added_up_anew_after_an_interrupt(allocated: int) -> None:
    pool = BufferPool(HostAllocator())
    shelf = pool.shelf(described(4))
    views = [shelf.take() for _ in range(5)]
    pool._total, pool._is_total_right = 7, False
    del views[allocated:]
    assert pool.info().in_use == 64 * allocated
    del views
    assert pool.info().in_use == 0


def test_a_shelf_goes_with_its_idle_buffers() -> None:
    pool = BufferPool(HostAllocator())
    shelf = pool.shelf(described(4))
    shelf.put(shelf.take())
    assert pool.info().idle == 64
    del shelf
    assert pool.info() == MemoryInfo(0, 0, 64, None)


def test_a_view_can_be_taken_while_idle_ones_are_freed() -> None:
    pool = BufferPool(HostAllocator())
    shelf = pool.shelf(described(4))

    class Taken(list[View]):  # by another thread, after the list was seen not to be empty
        def __bool__(self) -> bool:
            view.append(self.pop())
            return True

    view: list[View] = []
    shelf.views = Taken([shelf.take()])
    pool.trim()
    assert pool.info().in_use == 0
