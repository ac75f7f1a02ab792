"""Outputs in the memory of inputs: donated, borrowed and restored, on a lane that is stepped by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.stepped import LARGE, Function, Rig, broken, replaced
from webnn.errors import OperationError
from webnn.graph.in_place import InPlaceOutput
from webnn.memory.allocator import HostAllocator
from webnn.memory.buffer import Buffer
from webnn.scheduler.value import Name

Array = np.ndarray[Any, Any]


@pytest.fixture
def rig() -> Rig:
    return Rig(descriptor=LARGE)


def filled(number: float) -> Array:
    return np.full(LARGE.shape, number, np.float32)


def content(rig: Rig, name: Name) -> Array:
    promise = rig.read(name)
    rig.run_all()
    return np.array(promise.result())


def counts(rig: Rig) -> tuple[int, int]:
    statistics = rig.timeline.statistics
    return statistics.donated, statistics.borrowed


def test_a_loop_over_one_tensor_needs_one_buffer(rig: Rig) -> None:
    state, at, work, expected = rig.name(0), rig.name(), rig.scatter(), filled(0)
    for i in range(1, 8):
        rig.write(at, i)
        rig.dispatch(work, [state, at], state)
        rig.run_all()
        expected = replaced(expected, filled(i))
    assert counts(rig) == (7, 0)
    assert rig.pool.info().peak == 3 * rig.size  # `at` is written while its last value may be read
    np.testing.assert_array_equal(content(rig, state), expected)


def test_a_loop_over_two_tensors_needs_one_buffer(rig: Rig) -> None:
    tensors, at, work, expected = (rig.name(0), rig.name()), rig.name(), rig.scatter(), filled(0)
    for i in range(1, 8):
        rig.write(at, i)
        rig.dispatch(work, [tensors[i % 2 - 1], at], tensors[i % 2])
        rig.run_all()
        expected = replaced(expected, filled(i))
    assert counts(rig) == (0, 7)
    assert rig.in_use == 2
    np.testing.assert_array_equal(content(rig, tensors[1]), expected)


def test_a_queue_of_steps_is_donated_along(rig: Rig) -> None:
    tensors, work, expected = (rig.name(0), rig.name()), rig.scatter(), filled(0)
    for i in range(1, 8):
        rig.dispatch(work, [tensors[i % 2 - 1], rig.name(i)], tensors[i % 2])
        expected = replaced(expected, filled(i))
    rig.run_all()
    assert counts(rig) == (6, 1)  # the last one's input still has its name
    np.testing.assert_array_equal(content(rig, tensors[1]), expected)


@pytest.mark.parametrize("held", ["lent", "pending", "queued"])
def test_a_value_that_something_else_holds_keeps_its_memory(rig: Rig, held: str) -> None:
    a, b, at, work = rig.name(1), rig.name(), rig.name(5), rig.scatter()
    kept: list[Any] = []
    if held == "lent":
        kept.append(rig.read(a).result())
    elif held == "pending":
        kept.append(rig.read(a))
    rig.dispatch(work, [a, at], b)
    if held == "queued":
        rig.dispatch(rig.work("reader"), [a], rig.name())
    assert rig.step()
    assert counts(rig) == (0, 0)
    if held == "lent":
        assert (kept[0] == 1).all()
    np.testing.assert_array_equal(content(rig, a), filled(1))
    np.testing.assert_array_equal(content(rig, b), replaced(filled(1), filled(5)))


def test_a_borrowed_value_is_restored_for_whoever_wants_it(rig: Rig) -> None:
    a, b, c, at, work = rig.name(1), rig.name(), rig.name(), rig.name(5), rig.scatter()
    rig.dispatch(work, [a, at], b)
    rig.run_all()
    assert counts(rig) == (0, 1)
    np.testing.assert_array_equal(content(rig, a), filled(1))
    rig.dispatch(work, [a, at], c)
    rig.run_all()
    rig.dispatch(rig.work("double", lambda x: 2 * x), [a], c)
    np.testing.assert_array_equal(content(rig, c), filled(2))
    np.testing.assert_array_equal(content(rig, b), replaced(filled(1), filled(5)))


def test_memory_goes_back_when_the_value_in_it_is_gone(rig: Rig) -> None:
    a, b, at = rig.name(1), rig.name(), rig.name(5)
    rig.dispatch(rig.scatter(), [a, at], b)
    rig.run_all()
    assert rig.in_use == 2
    rig.write(b, 0)
    assert rig.in_use == 3
    np.testing.assert_array_equal(content(rig, a), filled(1))


def test_a_value_that_another_one_is_restored_from_is_left_alone(rig: Rig) -> None:
    a, b, c, at, work = rig.name(1), rig.name(), rig.name(), rig.name(5), rig.scatter()
    rig.dispatch(work, [a, at], b)
    rig.run_all()
    rig.write(at, 6)
    rig.dispatch(work, [b, at], c)
    rig.dispatch(work, [c, at], b)
    rig.run_all()
    np.testing.assert_array_equal(content(rig, a), filled(1))
    np.testing.assert_array_equal(content(rig, b), replaced(replaced(filled(1), filled(5)), filled(6)))


def test_a_run_that_fails_gives_borrowed_memory_back_with_everything_in_it(rig: Rig) -> None:
    a, b, at = rig.name(1), rig.name(), rig.name(5)
    work = rig.scatter("broken")

    def write_and_fail(inputs: Any, outputs: Any) -> None:
        outputs[0].array[1] = 99
        assert outputs[0] is inputs[0]
        raise OperationError("it broke")

    assert isinstance(work.executable, Function)
    work.executable.run = write_and_fail  # type: ignore[method-assign]
    rig.dispatch(work, [a, at], b)
    read = rig.read(b)
    rig.run_all()
    with pytest.raises(OperationError, match="it broke"):
        read.result()
    np.testing.assert_array_equal(content(rig, a), filled(1))
    assert rig.in_use == 2


def test_a_failed_run_puts_donated_memory_back_once(rig: Rig) -> None:
    a, at = rig.name(1), rig.name(5)
    rig.dispatch(rig.scatter("broken", broken(OperationError("it broke"))), [a, at], a)
    rig.run_all()
    assert counts(rig) == (1, 0)
    assert rig.in_use == 1
    names = [rig.name(i) for i in range(4)]
    assert [content(rig, name)[0] for name in names] == [0, 1, 2, 3]


def test_a_value_that_cannot_be_restored_fails_its_reader_alone() -> None:
    rig = Rig(descriptor=LARGE)
    a, b, at = rig.name(1), rig.name(), rig.name(5)
    rig.dispatch(rig.scatter(), [a, at], b)
    rig.run_all()
    rig.pool.trim()

    class Full(HostAllocator):
        def allocate(self, size: int) -> Buffer:
            raise MemoryError("full")

    allocator, rig.pool.allocator = rig.pool.allocator, Full()
    with pytest.raises(OperationError, match=r"no memory for .*: full"):
        rig.read(a)
    rig.dispatch(rig.work("reader"), [a], a)
    failed = rig.read(a)
    rig.pool.allocator = allocator
    with pytest.raises(OperationError, match=r"no memory for .*: full"):
        failed.result()
    np.testing.assert_array_equal(content(rig, b), replaced(filled(1), filled(5)))


def test_with_a_budget_nothing_is_borrowed() -> None:
    rig = Rig(descriptor=LARGE, budget=16 * LARGE.byte_length)
    a, b, at = rig.name(1), rig.name(), rig.name(5)
    rig.dispatch(rig.scatter(), [a, at], b)
    rig.run_all()
    assert counts(rig) == (0, 0)


def test_other_operators_are_donated_on_lanes_only() -> None:
    rig = Rig(descriptor=LARGE, inline_limit=1000)
    for cost, donated in ((1, 0), (2000, 1)):
        a = rig.name(1)
        work = rig.in_place(rig.work("add", cost=cost, measured=False), InPlaceOutput(0, 0, repeatable=False))
        rig.dispatch(work, [a], a)
        assert content(rig, a)[0] == 2
        assert rig.timeline.statistics.donated == donated


def test_inputs_of_run_are_donated(rig: Rig) -> None:
    run = rig.timeline.run(rig.scatter(), [(rig.shelf, filled(1)), (rig.shelf, filled(5))], [("y", rig.shelf)])
    rig.run_all()
    np.testing.assert_array_equal(run.result()["y"], replaced(filled(1), filled(5)))
    assert counts(rig) == (1, 0)
