"""What the timeline keeps in buffers: exact accounts, lent arrays, the budget."""

from __future__ import annotations

import gc

import numpy as np
import pytest

from tests.stepped import LARGE, SMALL, Rig, now, number_in
from webnn.errors import InvalidStateError, OperationError
from webnn.graph.descriptor import MLOperandDescriptor


class TestMemory:
    def test_the_accounts_are_exact(self, rig: Rig) -> None:
        x, y = rig.name(), rig.name()
        assert rig.in_use == 0
        rig.write(x, 1)
        assert rig.in_use == 1
        rig.dispatch(rig.work("plus one"), [x], y)
        assert rig.in_use == 1
        rig.run_all()
        assert rig.in_use == 2
        rig.write(x, 2)
        assert rig.in_use == 2
        for name in (x, y):
            rig.timeline.destroy_name(name, InvalidStateError("gone"))
        assert rig.in_use == 0

    def test_a_loop_allocates_nothing_in_the_steady_state(self, rig: Rig) -> None:
        x, y, work = rig.name(), rig.name(), rig.work("plus one")
        peaks = []
        for i in range(20):
            rig.write(x, i)
            rig.dispatch(work, [x], y)
            read = rig.read(y)
            rig.run_all()
            assert number_in(read.result()) == i + 1
            del read
            peaks.append(rig.pool.info().peak)
        assert peaks[3:] == [peaks[3]] * 17

    def test_an_array_is_not_changed_by_what_comes_later(self) -> None:
        rig = Rig()
        x, work = rig.name(1), rig.work("plus one")
        arrays = []
        for i in range(5):
            read = rig.read(x)
            rig.dispatch(work, [x], x)
            rig.run_all()
            arrays.append(read.result())
            assert [number_in(array) for array in arrays] == list(range(1, i + 2))

    def test_an_array_is_read_only_and_no_copy(self) -> None:
        rig = Rig()
        x = rig.name(1)
        array = rig.read(x).result()
        again = rig.read(x).result()
        assert np.shares_memory(array, again)
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1

    def test_a_small_array_is_read_only_too(self) -> None:
        rig = Rig(descriptor=SMALL)
        array = rig.read(rig.name(1)).result()
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1

    def test_an_array_keeps_its_buffer_until_its_last_view_is_gone(self) -> None:
        rig = Rig()
        x = rig.name(1)
        array = rig.read(x).result()
        rig.timeline.destroy_name(x, InvalidStateError("gone"))
        assert rig.in_use == 1
        view = array[10:20].reshape(2, 5)
        del array
        assert rig.in_use == 1
        y = rig.name(2)
        assert number_in(view) == 1
        del view
        assert rig.in_use == 1  # y
        assert now(rig.read(y)) == 2

    def test_an_array_survives_the_end_of_the_timeline(self, rig: Rig) -> None:
        x = rig.name(3)
        array = rig.read(x).result()
        rig.end()
        assert number_in(array) == 3
        timeline = rig.timeline
        del rig
        gc.collect()
        assert number_in(array) == 3
        del timeline, array

    def test_promises_that_are_forgotten_keep_nothing(self) -> None:
        rig = Rig()
        x = rig.name(3)
        for _ in range(3):
            rig.read(x).result()
        rig.timeline.destroy_name(x, InvalidStateError("gone"))
        rig.timeline.tidy()
        assert rig.pool.info().in_use == 0


class TestBudget:
    @pytest.fixture
    def rig(self) -> Rig:
        """Room for three values."""
        return Rig(budget=3 * LARGE.byte_length)

    def test_a_write_that_exceeds_it_changes_nothing(self, rig: Rig) -> None:
        names = [rig.name(i) for i in range(3)]
        more = rig.name()
        with pytest.raises(OperationError, match="the memory budget of 24576 bytes does not hold 8192 more"):
            rig.write(more, 1)
        assert rig.in_use == 3
        assert [number_in(rig.read(name, np.empty(2048, np.float32)).result()) for name in names] == [0, 1, 2]
        rig.timeline.destroy_name(names.pop(), InvalidStateError("gone"))
        rig.write(more, 1)
        assert number_in(rig.read(more, np.empty(2048, np.float32)).result()) == 1

    def test_a_dispatch_that_exceeds_it_changes_nothing(self, rig: Rig) -> None:
        x, y, z = rig.name(1), rig.name(2), rig.name(3)
        with pytest.raises(OperationError, match="does not hold 8192 more: 24576 are in use"):
            rig.dispatch(rig.work("plus one"), [x], rig.name())
        assert rig.timeline.statistics.queued == 0
        assert [number_in(rig.read(n, np.empty(2048, np.float32)).result()) for n in (x, y, z)] == [1, 2, 3]

    def test_inputs_that_were_never_written_count(self, rig: Rig) -> None:
        names = [rig.name(1), rig.name(2)]
        with pytest.raises(OperationError, match="does not hold 16384 more: 16384 are in use"):
            rig.dispatch(rig.work("plus one"), [rig.name()], rig.name())
        assert rig.in_use == len(names)

    def test_what_is_queued_counts(self, rig: Rig) -> None:
        x, y, z = rig.name(1), rig.name(), rig.name()
        work = rig.work("plus one")
        rig.dispatch(work, [x], y)
        rig.dispatch(work, [x], z)
        with pytest.raises(OperationError, match="does not hold 24576 more: 8192 are in use"):
            rig.dispatch(work, [x], rig.name())
        rig.run_all()
        assert number_in(rig.read(z, np.empty(2048, np.float32)).result()) == 2

    def test_a_write_does_not_take_what_a_queued_dispatch_was_promised(self, rig: Rig) -> None:
        x, y, z = rig.name(1), rig.name(), rig.name(3)
        rig.dispatch(rig.work("plus one"), [x], y)
        more = rig.name()
        try:
            with pytest.raises(OperationError, match="memory budget"):
                rig.write(more, 1)
        finally:
            rig.run_all()
        assert number_in(rig.read(y, np.empty(2048, np.float32)).result()) == 2
        del z

    def test_what_takes_the_place_of_a_value_that_nobody_can_reach_needs_no_room_beside_it(self, rig: Rig) -> None:
        x, y, _ = rig.name(1), rig.name(2), rig.name(3)
        rig.write(y, 4)
        rig.dispatch(rig.work("plus one"), [x], y)
        rig.run_all()
        out = np.empty(2048, np.float32)
        assert number_in(rig.read(y, out).result()) == 2
        lent = rig.read(y).result()  # now somebody else can reach it
        for change in (lambda: rig.write(y, 5), lambda: rig.dispatch(rig.work("plus one"), [x], y)):
            with pytest.raises(OperationError, match="does not hold 8192 more: 24576 are in use"):
                change()
        assert number_in(lent) == number_in(rig.read(y, out).result()) == 2

    def test_a_run_that_exceeds_it_changes_nothing(self, rig: Rig) -> None:
        names = [rig.name(i) for i in range(2)]
        data = np.zeros(2048, np.float32)
        with pytest.raises(OperationError, match="does not hold 16384 more: 16384 are in use"):
            rig.timeline.run(rig.work("plus one"), [(rig.shelf, data)], [("y", rig.shelf)])
        assert rig.in_use == len(names)

    def test_reading_zeros_that_it_does_not_hold_is_an_error_and_nothing_else(self, rig: Rig) -> None:
        names = [rig.name(i) for i in range(3)]
        with pytest.raises(OperationError, match="does not hold 8192 more"):
            rig.read(rig.name())
        assert rig.in_use == len(names)

    def test_a_loop_within_it_goes_on_forever(self, rig: Rig) -> None:
        x, y, work = rig.name(), rig.name(), rig.work("plus one")
        for i in range(20):
            rig.write(x, i)
            rig.dispatch(work, [x], y)
            rig.run_all()
            assert number_in(rig.read(y, np.empty(2048, np.float32)).result()) == i + 1

    def test_small_values_are_counted_as_they_are_kept(self) -> None:
        rig = Rig(budget=40, descriptor=MLOperandDescriptor("float32", [2, 3]))  # 24 bytes, in a buffer of 64
        with pytest.raises(OperationError, match="budget of 40 bytes does not hold 64 more"):
            rig.write(rig.name(), 1)

    def test_a_dispatch_is_refused_if_the_buffers_of_its_outputs_do_not_fit(self) -> None:
        rig = Rig(budget=100, descriptor=MLOperandDescriptor("float32", [2, 3]))
        x, y = rig.name(1), rig.name()
        with pytest.raises(OperationError, match="budget of 100 bytes"):
            rig.dispatch(rig.work("plus one"), [x], y)
