"""Awaiting a dispatch waits for room in the queue, by count and by bytes."""

from __future__ import annotations

import pytest

from tests.loops import Loop
from tests.stepped import CHEAP, INLINE_LIMIT, LARGE, Rig
from webnn.errors import ContextLostError


class TestBackPressure:
    async def test_awaiting_a_dispatch_does_not_wait_while_there_is_room(self, rig: Rig, loop: Loop) -> None:
        x, y = rig.name(1), rig.name()
        handle = rig.dispatch(rig.work("plus one"), [x], y)
        assert await handle is handle
        assert rig.ran == []

    async def test_awaiting_a_dispatch_waits_while_too_many_are_queued(self, event_loop: Loop) -> None:
        rig = Rig(max_queued=4)
        x, work = rig.name(1), rig.work("plus one")
        handles = [rig.dispatch(work, [x], rig.name()) for _ in range(6)]
        names = [handle._task.outputs for handle in handles]

        async def wait() -> None:
            await handles[-1]

        waiter = event_loop.start(wait)
        for _ in range(3):
            await event_loop.pause()
        assert not waiter.done
        while not waiter.done:
            assert rig.step()
            await event_loop.pause()
            await event_loop.pause()
        assert rig.timeline.statistics.queued <= 4
        rig.run_all()
        del names

    async def test_awaiting_a_dispatch_waits_while_too_many_bytes_are_queued(self, event_loop: Loop) -> None:
        rig = Rig(max_queued_bytes=2 * LARGE.byte_length)
        x, work = rig.name(1), rig.work("plus one")
        outputs = [rig.name() for _ in range(6)]
        handles = [rig.dispatch(work, [x], name) for name in outputs]

        async def wait() -> None:
            await handles[-1]

        waiter = event_loop.start(wait)
        for _ in range(3):
            await event_loop.pause()
        assert not waiter.done
        rig.run_all()
        await event_loop.join(waiter)

    async def test_there_is_no_room_until_the_bytes_are_fewer(self, event_loop: Loop) -> None:
        rig = Rig(max_queued_bytes=2 * LARGE.byte_length)
        x, work = rig.name(1), rig.work("plus one")
        outputs = [rig.name() for _ in range(6)]
        handles = [rig.dispatch(work, [x], name) for name in outputs]

        async def wait() -> None:
            await handles[-1]

        waiter = event_loop.start(wait)
        await event_loop.pause()
        rig.step()
        for _ in range(3):
            await event_loop.pause()
        queued = rig.timeline.statistics.queued
        done_too_early = waiter.done
        rig.run_all()
        await event_loop.join(waiter)
        assert queued == 5
        assert not done_too_early

    async def test_a_loop_that_awaits_its_dispatches_never_queues_much(self, event_loop: Loop) -> None:
        rig = Rig(max_queued=4)
        x, work, most = rig.name(1), rig.work("plus one"), 0
        kept = []

        async def submit() -> None:
            nonlocal most
            for _ in range(40):
                kept.append(rig.name())
                await rig.dispatch(work, [x], kept[-1])
                most = max(most, rig.timeline.statistics.queued)

        started = event_loop.start(submit)
        while not started.done:
            await event_loop.pause()
            rig.step()
        await event_loop.join(started)
        assert most <= 5
        rig.run_all()
        assert len(rig.ran) == 40

    async def test_cheap_work_is_run_to_make_room(self, event_loop: Loop) -> None:
        rig = Rig(inline_limit=INLINE_LIMIT)
        x, work, most = rig.name(1), rig.work("cheap", cost=CHEAP), 0
        names = [rig.name() for _ in range(200)]
        for name in names:
            await rig.dispatch(work, [x], name)
            most = max(most, rig.timeline.statistics.queued)
        assert most <= 20
        assert rig.timeline.statistics.run_inline >= 180
        for _ in range(20):
            await event_loop.pause()
        assert len(rig.ran) == 200

    async def test_one_who_waits_for_room_is_told_of_the_end(self, event_loop: Loop) -> None:
        rig = Rig(max_queued=1)
        x, work = rig.name(1), rig.work("plus one")
        outputs = [rig.name() for _ in range(4)]
        handles = [rig.dispatch(work, [x], name) for name in outputs]

        async def wait() -> None:
            await handles[-1]

        waiter = event_loop.start(wait)
        for _ in range(3):
            await event_loop.pause()
        rig.end()
        with pytest.raises(ContextLostError):
            await event_loop.join(waiter)

    def test_dispatching_without_awaiting_is_never_refused(self) -> None:
        rig = Rig(max_queued=2, max_queued_bytes=1)
        x, work = rig.name(1), rig.work("plus one")
        outputs = [rig.name() for _ in range(50)]
        for name in outputs:
            rig.dispatch(work, [x], name)
        assert rig.timeline.statistics.queued == 50
        rig.run_all()
        assert len(rig.ran) == 50
