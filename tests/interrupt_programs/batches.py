"""Programs whose runs are gathered as batches."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
from functools import partial
from typing import Any

import anyio
import numpy as np
import trio

from tests.interrupt_programs.base import Base
from tests.stepped import INLINE_LIMIT, Endable, Function, broken
from webnn.errors import MLError, OperationError
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.scheduler.batches.batcher import Batcher
from webnn.scheduler.batches.computation import NARROW, Size
from webnn.scheduler.batching import APART_STILL, SAMPLES
from webnn.scheduler.execution import LONG
from webnn.scheduler.promise import Promise
from webnn.scheduler.width import Widths

__all__ = ["Batches"]


class Batches(Base):
    def batcher(self, function: Any = lambda x: x + 1, kind: Any = Function, cost: int = 1000) -> Any:
        """Gathers requests of one row of a rig's tensors, in batches of up to 4."""
        rig = self.rig
        row = MLOperandDescriptor("float32", [1, *rig.shelf.descriptor.shape])
        shelves = {size: rig.pool.shelf(MLOperandDescriptor("float32", [size, *row.shape[1:]])) for size in (1, 2, 4)}
        work = rig.work("alone", function, cost=INLINE_LIMIT, measured=False)
        if kind is not Function:
            work.executable = kind(function)
        batcher = Batcher(
            rig.timeline, work, [shelves[1]], [("y", shelves[1])], max_batch=4, max_delay=1e8, compile=lambda *_: None
        )
        batcher.policy.cheap = 0
        batcher.policy.meets_company(cost)
        for size in (1, 2, 4):
            if size > 1:
                batcher.policy._compiling.add(size)
                batcher.computation.compiled(size, Size(kind(function), [shelves[size]], [shelves[size]]))
            for _ in range(SAMPLES):
                batcher.policy.measured(size, cost)
        given = [(shelves[1], np.full(row.shape, 3, np.float32))]
        return partial(batcher.run, given), batcher

    def batches(self) -> None:
        rig = self.rig
        run, batcher = self.batcher()
        for _ in range(2):
            self.keep(run())
            given_up = self.keep(run())
            given_up.cancel()
            unseen = run()
            del unseen
            for _ in range(3):
                self.keep(run(timeout=0.5))
            rig.timeline.tidy()
            rig.run_all()
        cancelled = [self.keep(run()) for _ in range(2)]
        for promise in cancelled:
            promise.cancel()
        rig.timeline.tidy()
        waiting = [self.keep(run()) for _ in range(2)]
        with contextlib.suppress(TimeoutError):
            concurrent.futures.wait(waiting, timeout=0)
        with contextlib.suppress(TimeoutError):
            waiting[1].result(timeout=0)
        self.keep(waiting[0].then(len)).add_done_callback(self.told.append)
        rig.run_all()
        waiting[1].done()
        batcher.policy.gathers, batcher.policy._rest = False, 1
        for _ in range(4):
            self.keep(run())
        rig.run_all()
        batcher.computation.failed(4)
        self.keep(run())
        for _ in range(batcher.policy._lonely, 4):
            self.keep(run())
            rig.run_all()
        batcher.policy.explained()
        rig.timeline.statistics  # noqa: B018

    def batches_beside(self) -> None:
        """Batches that come while one is running: they are held back, fill up, are late, and go."""
        rig = self.rig
        inner: list[int] = []

        def meanwhile(x: Any) -> Any:
            if not inner:
                inner.append(1)
                for _ in range(7):
                    self.keep(run())
                held = batcher._held[-1] if batcher._held else None
                if held is not None:
                    batcher._hurry(held)
                rig.step(1)
            return x + 1

        run, batcher = self.batcher(meanwhile)
        for _ in range(2):
            inner.clear()
            for _ in range(3):
                self.keep(run())
            rig.run_all()

    def batches_following(self) -> None:
        """A batch gathers while another one is computed, and a second lane settles that one when the next begins."""
        inner: list[int] = []

        def meanwhile(x: Any) -> Any:
            if not inner:
                inner.append(1)
                for _ in range(2):
                    self.keep(run())
            return x + 1

        run, _ = self.batcher(meanwhile)
        for _ in range(2):
            self.keep(run())
        self.rig.run_all()

    def batches_apart(self) -> None:
        """Requests run side by side until it was measured how long they take so; then they are gathered."""
        run, batcher = self.batcher(cost=NARROW)
        work, policy = batcher._work, batcher.policy
        work.widths = widths = Widths(lambda _: None)
        work.cost, policy.gathers = NARROW, False
        for _ in range(2):
            self.keep(run())
        self.rig.run_all()
        widths.narrow_cost = float(NARROW)
        for _ in range(2 * APART_STILL):
            self.keep(run())
        self.rig.run_all()
        for _ in range(3):
            self.keep(run())
        self.rig.run_all()
        widths.narrow_cost, policy.gathers, policy._rest = 0, False, 0  # it was not measured after all
        for _ in range(3):
            self.keep(run())
        self.rig.run_all()

    def batches_cheap(self) -> None:
        run, batcher = self.batcher()
        batcher.policy.cheap, batcher.policy.gathers = 2 * INLINE_LIMIT, False
        for _ in range(2):
            for _ in range(3):
                self.keep(run())
            self.rig.run_all()

    def batches_fail(self) -> None:
        def pick(x: Any) -> Any:
            if len(x) > 1:
                raise ValueError("too many")
            return x + 1

        for function in (broken(OperationError("it broke")), broken(ValueError("strange")), pick):
            run, _ = self.batcher(function)
            promises = [self.keep(run()) for _ in range(3)]
            self.rig.run_all()
            for promise in promises:
                promise.exception()

    def batches_ended(self) -> None:
        """All requests of a batch are given up while it is computed, and those of one request alone."""
        promises: list[Promise[Any]] = []

        def give_up(x: Any) -> Any:
            if len(promises) > 1:
                self.keep(run())  # which is held back until the others are given up
            while promises:
                promises.pop().cancel()
            self.rig.timeline.tidy()
            self.rig.clock.now += LONG
            return x + 1

        run, _ = self.batcher(give_up, Endable, cost=LONG)
        for many in (3, 1):
            promises += [self.keep(run(timeout=0.5)) for _ in range(many)]
            unseen = run()
            del unseen
            self.rig.run_all()
        self.keep(run())
        self.rig.run_all()

    async def given_up_while_it_runs(self) -> None:
        """A task that awaits a request of a batch that is being computed is cancelled."""
        begun, ended = threading.Event(), threading.Event()

        def hold(x: Any) -> Any:
            begun.set()
            ended.wait(5)
            return x + 1

        run, _ = self.batcher(hold, Endable, cost=LONG)
        try:
            async with anyio.create_task_group() as clients:
                for _ in range(2):
                    clients.start_soon(self.awaited, run())
                for _ in range(5000):
                    if begun.is_set():
                        break
                    await anyio.sleep(0.0005)
                clients.cancel_scope.cancel()
        finally:
            ended.set()

    @staticmethod
    async def awaited(promise: Promise[Any]) -> None:
        await promise

    def on_asyncio_batch_ended(self) -> None:
        asyncio.run(self.given_up_while_it_runs())

    async def gathered(self) -> None:
        run, _ = self.batcher()

        async def client() -> None:
            await self.keep(run())
            await self.keep(run())

        for _ in range(2):
            await client()
        async with anyio.create_task_group() as clients:
            for _ in range(3):
                clients.start_soon(client)
        promise = self.keep(run())
        promise.add_done_callback(self.told.append)
        await promise

    def on_asyncio_batched(self) -> None:
        asyncio.run(self.gathered())

    def on_trio_batched(self) -> None:
        trio.run(self.gathered)

    def batches_destroyed(self) -> None:
        run, _ = self.batcher()
        for _ in range(6):
            self.keep(run())
        self.rig.end()
        with contextlib.suppress(MLError):
            run()

    def batches_budgeted(self) -> None:
        run, _ = self.batcher()
        promises = []
        with contextlib.suppress(OperationError):
            while True:
                promises.append(run())
        self.rig.run_all()
