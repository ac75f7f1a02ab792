"""Cheap work runs where its result is wanted, or at the end of the loop's tick, and never for long."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

import pytest

from tests.loops import Loop
from tests.stepped import CHEAP, INLINE_LIMIT, DeviceAllocator, Rig, broken, now, number_in
from webnn.errors import OperationError
from webnn.scheduler.inline import LONE_TICK, TICK_BUDGET
from webnn.scheduler.promise import PENDING
from webnn.scheduler.ready import LONE_LIMIT, PROBE, PROMPT, PROMPT_LIMIT
from webnn.scheduler.room import MAX_QUEUED
from webnn.scheduler.timeline import UNREAD


class TestInline:
    def test_cheap_work_waits_for_whoever_wants_its_result(self, inline: Rig) -> None:
        x, y = inline.name(1), inline.name()
        inline.dispatch(inline.work("cheap", cost=CHEAP), [x], y)
        read = inline.read(y)
        assert inline.ran == []
        assert not inline.step()
        assert now(read) == 2  # asking ran it, on this thread
        statistics = inline.timeline.statistics
        assert (statistics.run_inline, statistics.run_on_lanes) == (1, 0)

    def test_dear_work_goes_to_a_lane_at_once(self, inline: Rig) -> None:
        x, y = inline.name(1), inline.name()
        inline.dispatch(inline.work("dear", cost=INLINE_LIMIT), [x], y)
        read = inline.read(y)
        assert not read.done()
        assert inline.step()
        assert now(read) == 2

    def test_work_is_measured_on_a_lane_before_it_runs_inline(self, inline: Rig) -> None:
        x, y, work = inline.name(1), inline.name(), inline.work("new", nanoseconds=CHEAP)
        inline.dispatch(work, [x], y)
        assert inline.step()
        inline.dispatch(work, [x], y)
        assert not inline.step()
        assert now(inline.read(y)) == 2
        assert work.cost == CHEAP

    def test_work_that_turns_out_dear_stays_on_the_lanes(self, inline: Rig) -> None:
        x, y, work = inline.name(1), inline.name(), inline.work("new", nanoseconds=INLINE_LIMIT)
        for _ in range(2):
            inline.dispatch(work, [x], y)
            assert inline.step()

    def test_asking_runs_a_cheap_chain_in_order(self, inline: Rig) -> None:
        x, y = inline.name(1), inline.name()
        for label in ("first", "second", "third"):
            inline.dispatch(inline.work(label, cost=CHEAP), [x], x)
        inline.dispatch(inline.work("last", cost=CHEAP), [x], y)
        assert now(inline.read(y)) == 5
        assert inline.ran == ["first", "second", "third", "last"]

    def test_asking_runs_no_more_than_what_was_asked_for(self, inline: Rig) -> None:
        x, y, z = inline.name(1), inline.name(), inline.name()
        inline.dispatch(inline.work("wanted", cost=CHEAP), [x], y)
        inline.dispatch(inline.work("other", cost=CHEAP), [x], z)
        assert now(inline.read(y)) == 2
        assert inline.ran == ["wanted"]

    def test_what_dear_work_depends_on_goes_to_the_lane_with_it(self, inline: Rig) -> None:
        x, y, z = inline.name(1), inline.name(), inline.name()
        inline.dispatch(inline.work("cheap", cost=CHEAP), [x], y)
        inline.dispatch(inline.work("dear", cost=INLINE_LIMIT), [y], z)
        read = inline.read(z)
        assert not read.done()
        assert inline.ran == []
        inline.run_all()
        assert inline.ran == ["cheap", "dear"]
        assert now(read) == 3

    def test_cheap_work_behind_dear_work_stays_on_the_lane(self, inline: Rig) -> None:
        x, y, z = inline.name(1), inline.name(), inline.name()
        inline.dispatch(inline.work("dear", cost=INLINE_LIMIT), [x], y)
        inline.dispatch(inline.work("cheap", cost=CHEAP), [y], z)
        read = inline.read(z)
        assert inline.step()
        assert inline.step()
        assert now(read) == 3

    def test_blocking_for_a_result_runs_dear_work_on_this_thread(self, inline: Rig) -> None:
        x, y, z = inline.name(1), inline.name(), inline.name()
        inline.dispatch(inline.work("dear", cost=INLINE_LIMIT), [x], y)
        inline.dispatch(inline.work("new"), [y], z)
        assert number_in(inline.read(z).result()) == 3
        assert inline.timeline.statistics.run_inline == 2
        assert not inline.step()

    def test_blocking_for_a_limited_time_leaves_dear_work_to_the_lane(self, inline: Rig) -> None:
        x, y = inline.name(1), inline.name()
        inline.dispatch(inline.work("dear", cost=INLINE_LIMIT), [x], y)
        read = inline.read(y)
        with pytest.raises(TimeoutError):
            read.result(timeout=0)
        assert inline.step()
        assert number_in(read.result(timeout=0)) == 2

    def test_blocking_for_a_limited_time_runs_cheap_work(self, inline: Rig) -> None:
        x, y = inline.name(1), inline.name()
        inline.dispatch(inline.work("cheap", cost=CHEAP), [x], y)
        assert number_in(inline.read(y).result(timeout=0)) == 2

    def test_asking_for_the_end_of_cheap_work_runs_it(self, inline: Rig) -> None:
        x, y = inline.name(1), inline.name()
        end = inline.dispatch(inline.work("cheap", cost=CHEAP), [x], y).finished()
        assert end.done()
        assert inline.ran == ["cheap"]

    def test_a_thread_that_never_asks_cannot_queue_without_end(self, inline: Rig) -> None:
        x, names, work = (
            inline.name(1),
            [inline.name() for _ in range(4 * MAX_QUEUED)],
            inline.work("cheap", cost=CHEAP),
        )
        for name in names:
            inline.dispatch(work, [x], name)
            assert inline.timeline.statistics.queued <= MAX_QUEUED + 1
        assert len(inline.ran) >= 2 * MAX_QUEUED

    def test_a_thread_that_never_asks_keeps_few_unsettled_reads(self, inline: Rig) -> None:
        x = inline.name(1)
        reads = [inline.read(x) for _ in range(4 * UNREAD)]
        assert sum(read._status is PENDING for read in reads) <= UNREAD + 1
        assert {now(read) for read in reads} == {1}

    def test_an_error_inline_is_raised_where_the_result_is_read(self, inline: Rig) -> None:
        x, y = inline.name(1), inline.name()
        inline.dispatch(inline.work("broken", broken(OperationError("it broke")), cost=CHEAP), [x], y)
        with pytest.raises(OperationError, match="it broke"):
            inline.read(y).result()

    def test_the_users_interrupt_during_an_inline_run_reaches_the_user_and_the_run_is_done_on_a_lane(
        self, inline: Rig
    ) -> None:
        def once(a: Any) -> Any:
            if inline.ran == ["interrupted"]:
                raise KeyboardInterrupt
            return a + 1

        x, y, z = inline.name(1), inline.name(), inline.name()
        inline.dispatch(inline.work("interrupted", once, cost=CHEAP), [x], y)
        inline.dispatch(inline.work("behind", cost=CHEAP), [y], z)
        read = inline.read(z)
        with pytest.raises(KeyboardInterrupt):
            read.result()
        assert not read.done()
        assert inline.in_use == 1
        inline.run_all()
        assert inline.ran == ["interrupted", "interrupted", "behind"]
        assert now(read) == 3


class TestOnALoop:
    @pytest.fixture
    def inline(self) -> Rig:
        return Rig(inline_limit=INLINE_LIMIT)

    async def test_cheap_work_runs_at_the_end_of_the_tick_though_nobody_awaits_it(
        self, inline: Rig, event_loop: Loop
    ) -> None:
        x, y = inline.name(1), inline.name()
        inline.dispatch(inline.work("cheap", cost=CHEAP), [x], y)
        told: list[float] = []
        inline.read(y).add_done_callback(lambda read: told.append(number_in(read.result())))
        assert inline.ran == []
        await event_loop.until(lambda: told)
        assert told == [2]

    async def test_cheap_work_runs_at_the_end_of_the_tick_though_nobody_reads_it(
        self, inline: Rig, event_loop: Loop
    ) -> None:
        x, y = inline.name(1), inline.name()
        inline.dispatch(inline.work("cheap", cost=CHEAP), [x], y)
        for _ in range(5):
            await event_loop.pause()
        assert inline.ran == ["cheap"]

    async def test_a_read_of_what_is_there_settles_after_the_tick(self, inline: Rig, event_loop: Loop) -> None:
        told: list[float] = []
        read = inline.read(inline.name(3))
        read.add_done_callback(lambda settled: told.append(number_in(settled.result())))
        assert told == []
        await event_loop.until(lambda: told)
        assert told == [3]

    async def test_awaiting_cheap_work_runs_it_at_once(self, inline: Rig, event_loop: Loop) -> None:
        x, y = inline.name(1), inline.name()
        turns: list[int] = []

        async def other() -> None:
            turns.append(1)

        started = event_loop.start(other)
        inline.dispatch(inline.work("cheap", cost=CHEAP), [x], y)
        assert number_in(await inline.read(y)) == 2
        assert turns == []  # it did not suspend
        await event_loop.join(started)

    async def test_inline_work_beyond_the_budget_of_a_tick_waits_for_the_next(
        self, inline: Rig, event_loop: Loop
    ) -> None:
        work = inline.work("cheap", cost=CHEAP, nanoseconds=TICK_BUDGET // 4, measured=False)
        x, names = inline.name(1), [inline.name() for _ in range(20)]
        for name in names:
            inline.dispatch(work, [x], name)
        counts = []
        for _ in range(40):
            counts.append(len(inline.ran))
            await event_loop.pause()
        assert counts[-1] == 20
        # Five go over the budget. trio shuffles its tasks, so two ticks may pass between two looks.
        assert max(after - before for before, after in pairwise(counts)) <= 2 * 5

    async def test_a_loop_of_awaits_that_never_suspends_lets_others_breathe(
        self, inline: Rig, event_loop: Loop
    ) -> None:
        x, y = inline.name(1), inline.name()
        work = inline.work("cheap", cost=CHEAP, nanoseconds=TICK_BUDGET // 10, measured=False)
        turns = 0

        async def heartbeat() -> None:
            nonlocal turns
            while turns < 1000:
                turns += 1
                await event_loop.pause()

        beating = event_loop.start(heartbeat)
        for _ in range(200):
            await inline.dispatch(work, [x], y)
            await inline.read(y)
        assert turns >= 10
        beating.cancel()
        await event_loop.until(lambda: beating.done)

    async def test_a_loop_that_reads_what_is_there_lets_others_breathe(self, inline: Rig, event_loop: Loop) -> None:
        x, turns = inline.name(1), 0

        async def heartbeat() -> None:
            nonlocal turns
            while turns < 1000:
                turns += 1
                await event_loop.pause()

        beating = event_loop.start(heartbeat)
        for _ in range(200):
            inline.clock.now += TICK_BUDGET // 10  # what the program does between
            await inline.read(x)
        assert turns >= 10
        beating.cancel()
        await event_loop.until(lambda: beating.done)

    async def test_awaiting_dear_work_does_not_hold_up_the_loop(self, event_loop: Loop) -> None:
        gate, started = threading.Event(), threading.Event()
        rig = Rig(threads=1)

        def held_up(a: Any) -> Any:
            started.set()
            assert gate.wait(5)
            return a + 1

        x, y = rig.name(1), rig.name()
        work = rig.work("slow", held_up)
        rig.dispatch(work, [x], y)
        waiter = event_loop.start(lambda: event_loop.result(rig.read(y)))
        await event_loop.until(started.is_set)
        for _ in range(5):
            await event_loop.pause()
        assert not waiter.done
        gate.set()
        assert number_in(await event_loop.join(waiter)) == 2
        rig.end()

    async def test_cancelling_one_who_awaits_leaves_the_work_and_the_others_alone(
        self, rig: Rig, event_loop: Loop
    ) -> None:
        x, y = rig.name(1), rig.name()
        rig.dispatch(rig.work("plus one"), [x], y)
        read = rig.read(y)
        waiters = [event_loop.start(lambda: event_loop.result(read)) for _ in range(2)]
        await event_loop.until(lambda: len(read._callbacks or ()) == 2)
        waiters[0].cancel()
        await event_loop.until(lambda: waiters[0].done)
        rig.run_all()
        assert number_in(await event_loop.join(waiters[1])) == 2
        assert rig.timeline.statistics.dropped == 0

    async def test_another_loop_may_come_after_one_that_ended_in_the_middle_of_a_tick(self, event_loop: Loop) -> None:
        inline = Rig(inline_limit=INLINE_LIMIT)
        x, y, work = inline.name(1), inline.name(), inline.work("cheap", cost=CHEAP)
        inline.dispatch(work, [x], y)

        async def elsewhere() -> None:
            inline.dispatch(work, [x], y)
            told.append(number_in(await inline.read(y)))

        told: list[float] = []
        thread = threading.Thread(target=lambda: type(event_loop)().run(elsewhere))
        thread.start()
        await event_loop.until(lambda: not thread.is_alive())
        assert told == [2]
        assert number_in(await inline.read(y)) == 2


class TestPrompt:
    """Work that costs more than a hop, in a program that does nothing else meanwhile."""

    @staticmethod
    def loop(rig: Rig, work: Any, rounds: int, *, busy: int = 0) -> list[bool]:
        """For each of `rounds` dispatches, whether it ran inline, with `busy` nanoseconds before it is awaited."""
        x, y = rig.name(1), rig.name()
        inline = []
        for _ in range(rounds):
            rig.dispatch(work, [x], y)
            read = rig.read(y)
            rig.clock.now += busy
            done = read.done()
            rig.run_all()
            assert now(read) == 2
            inline.append(done)
        return inline

    def test_work_that_is_awaited_at_once_runs_inline_after_a_few_times(self, inline: Rig) -> None:
        work = inline.work("dear", cost=2 * INLINE_LIMIT, measured=False)
        assert self.loop(inline, work, 10) == [False] * PROMPT + [True] * (10 - PROMPT)

    def test_it_stays_on_lanes_while_the_host_works_before_it_awaits(self, inline: Rig) -> None:
        work = inline.work("dear", cost=2 * INLINE_LIMIT, measured=False)
        assert not any(self.loop(inline, work, 10, busy=INLINE_LIMIT))

    def test_it_goes_back_to_the_lanes_when_the_host_begins_to_work(self, inline: Rig) -> None:
        work = inline.work("dear", cost=2 * INLINE_LIMIT, measured=False)
        self.loop(inline, work, 10)
        later = self.loop(inline, work, 2 * PROBE, busy=INLINE_LIMIT)
        assert later[0]
        assert not any(later[PROBE:])

    def test_it_stays_on_lanes_beside_other_work(self, inline: Rig) -> None:
        x, work = inline.name(1), inline.work("dear", cost=2 * INLINE_LIMIT, measured=False)
        for _ in range(10):
            names = [inline.name() for _ in range(3)]
            for name in names:
                inline.dispatch(work, [x], name)
            reads = [inline.read(name) for name in names]
            assert not any(read.done() for read in reads)
            inline.run_all()
        assert not any(self.loop(inline, work, PROMPT))

    def test_long_work_stays_on_lanes(self, inline: Rig) -> None:
        work = inline.work("long", cost=PROMPT_LIMIT, measured=False)
        assert not any(self.loop(inline, work, 10))


class TestLone:
    """Work of milliseconds, in an event loop that has nothing else to do."""

    @staticmethod
    async def awaited(rig: Rig, work: Any, rounds: int, ask: Any = None) -> list[bool]:
        """For each of `rounds` dispatches, whether it ran inline. `ask` is called with each read before the await."""
        x, y = rig.name(1), rig.name()
        inline = []
        for _ in range(rounds):
            rig.dispatch(work, [x], y)
            read = rig.read(y)
            if ask is not None:
                ask(read)
            before = rig.timeline.statistics.run_inline
            asyncio.get_running_loop().call_soon(rig.run_all)  # for what is left to the lane
            assert number_in(await read) == 2
            inline.append(rig.timeline.statistics.run_inline > before)
            await asyncio.sleep(0)
        return inline

    def test_the_only_task_of_a_loop_runs_long_work_itself(self, inline: Rig) -> None:
        work = inline.work("long", cost=PROMPT_LIMIT, measured=False)
        assert asyncio.run(self.awaited(inline, work, 10)) == [False] * PROMPT + [True] * (10 - PROMPT)

    def test_a_loop_with_another_task_is_not_blocked(self, inline: Rig) -> None:
        work = inline.work("long", cost=PROMPT_LIMIT, measured=False)

        async def beside() -> list[bool]:
            other = asyncio.create_task(asyncio.sleep(100))
            found = await self.awaited(inline, work, PROMPT + PROBE)
            other.cancel()
            return found

        assert not any(asyncio.run(beside()))
        alone = asyncio.run(self.awaited(inline, work, 3 * PROMPT))  # found when it is asked again
        assert alone[-1]

    def test_work_that_is_too_long_stays_on_lanes(self, inline: Rig) -> None:
        work = inline.work("too long", cost=LONE_LIMIT, measured=False)
        assert not any(asyncio.run(self.awaited(inline, work, 10)))

    def test_one_who_only_asks_whether_it_has_ended_does_not_run_it(self, inline: Rig) -> None:
        work = inline.work("long", cost=PROMPT_LIMIT, measured=False)
        assert any(asyncio.run(self.awaited(inline, work, 2 * PROMPT)))
        assert not any(asyncio.run(self.awaited(inline, work, 2 * PROMPT, lambda read: read.done())))

    def test_a_lane_runs_what_is_not_awaited_before_the_loop_goes_on(self, inline: Rig) -> None:
        work = inline.work("long", cost=PROMPT_LIMIT, measured=False)
        x, y = inline.name(1), inline.name()

        async def later() -> int:
            await self.awaited(inline, work, 2 * PROMPT)
            before = inline.timeline.statistics.run_inline
            inline.dispatch(work, [x], y)
            assert not inline.step()  # it was left to the task that dispatched it
            await asyncio.sleep(0)
            assert inline.step()
            assert number_in(await inline.read(y)) == 2
            return inline.timeline.statistics.run_inline - before

        assert asyncio.run(later()) == 0

    async def ticks(self, rig: Rig, work: Any, rounds: Iterable[object]) -> int:
        """The number of ticks in which so many runs are awaited that the loop's only task carries out itself."""
        assert (await self.awaited(rig, work, 2 * PROMPT))[-1]
        x, y, began = rig.name(1), rig.name(), set()
        for _ in rounds:
            rig.dispatch(work, [x], y)
            assert number_in(await rig.read(y)) == 2
            began.add(rig.timeline.inline.tick_began)
        return len(began)

    def test_a_loop_with_nothing_to_do_gets_few_turns(self, inline: Rig) -> None:
        work = inline.work("long", cost=PROMPT_LIMIT, nanoseconds=5 * PROMPT_LIMIT, measured=False)
        rounds = range(4 * LONE_TICK // (5 * PROMPT_LIMIT))
        assert asyncio.run(self.ticks(inline, work, rounds)) in {4, 5}

    def test_a_result_that_nobody_awaits_ends_the_tick(self, inline: Rig) -> None:
        work = inline.work("long", cost=PROMPT_LIMIT, nanoseconds=2 * TICK_BUDGET, measured=False)
        x = inline.name(1)
        told: list[object] = []

        def rounds() -> Iterator[None]:
            for _ in range(5):
                inline.read(x).add_done_callback(told.append)
                yield

        asyncio.run(self.ticks(inline, work, rounds()))
        assert len(told) >= 4

    def test_what_another_thread_gives_the_loop_to_do_is_seen_by_the_next_run(self, inline: Rig) -> None:
        work = inline.work("long", cost=PROMPT_LIMIT, nanoseconds=PROMPT_LIMIT, measured=False)

        def rounds() -> Iterator[None]:
            yield
            asyncio.get_running_loop().call_soon_threadsafe(inline.run_all)
            yield

        asyncio.run(self.ticks(inline, work, rounds()))
        assert inline.timeline.statistics.run_on_lanes == PROMPT + 1

    @pytest.mark.skipif(sys.platform == "win32", reason="its event loops call no functions for signals")
    def test_a_signal_waits_for_no_more_than_the_longest_tick(self, inline: Rig) -> None:
        work = inline.work("long", cost=PROMPT_LIMIT, nanoseconds=PROMPT_LIMIT, measured=False)
        handled = threading.Event()
        count = 0

        def handle() -> None:
            inline.run_all()  # for the run that goes to a lane, since the loop has this to do
            handled.set()

        def rounds() -> Iterator[None]:
            nonlocal count
            asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, handle)
            os.kill(os.getpid(), signal.SIGUSR1)
            while not handled.is_set():
                count += 1
                yield

        asyncio.run(self.ticks(inline, work, rounds()))
        assert 1 < count <= LONE_TICK // PROMPT_LIMIT + 10


class TestDeviceMemory:
    """Reading waits for the device, so the thread of an event loop never does it."""

    async def test_reads_of_available_values_are_carried_out_on_a_lane(self, event_loop: Loop) -> None:
        allocator = DeviceAllocator()
        rig = Rig(threads=1, inline_limit=INLINE_LIMIT, allocator=allocator)
        x, y = rig.name(1), rig.name()

        told: list[object] = []
        assert (await rig.read(x))[0] == 1
        rig.dispatch(rig.work("cheap", cost=CHEAP), [x], y)
        assert (await rig.read(y))[0] == 2
        unasked = rig.read(x)
        unasked.add_done_callback(told.append)
        await event_loop.until(lambda: told)
        rig.end()
        assert len(allocator.read_on) >= 3
        assert threading.get_ident() not in allocator.read_on

    def test_a_thread_that_blocks_for_a_read_does_it_itself(self) -> None:
        allocator = DeviceAllocator()
        rig = Rig(allocator=allocator)
        assert rig.read(rig.name(1)).result()[0] == 1
        assert allocator.read_on == [threading.get_ident()]
