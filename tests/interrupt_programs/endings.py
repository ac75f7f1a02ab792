"""Programs whose tasks are dropped, fail, do not fit or end with their timeline."""

from __future__ import annotations

import concurrent.futures
import contextlib
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tests.interrupt_programs.base import Base
from tests.stepped import CHEAP, INLINE_LIMIT, Rig, broken
from webnn.errors import MLError, OperationError
from webnn.memory.mapped import map_file, place_in_file, unmap
from webnn.scheduler.plan import Calls
from webnn.scheduler.ready import PROMPT_LIMIT

__all__ = ["Endings"]


class Endings(Base):
    def drops(self) -> None:
        rig = self.rig
        for _ in range(3):
            self.keep(rig.dispatch(self.dear, [self.x], self.y).finished())
        rig.dispatch(self.cheap, [self.y], self.z)
        rig.write(self.y, 1)
        rig.write(self.z, 1)
        rig.dispatch(self.dear, [self.y], [self.x])
        rig.write(self.x, 1)
        rig.run_all()

    def ended(self) -> None:
        """Runs that end early, on a lane and on the caller's thread: cancelled, freed, overwritten, or not begun."""
        rig, give_up = self.rig, list[Callable[[], object]]()

        def meanwhile(a: Any) -> Any:
            while give_up:
                give_up.pop()()
            return a + 1

        long = rig.endable("long", meanwhile)
        give_up.append(self.run(long).cancel)
        rig.run_all()
        held = [self.run(long)]
        self.promises.pop()
        give_up += [rig.timeline.tidy, held.clear]
        rig.run_all()
        rig.dispatch(long, [self.x], self.y)
        give_up.append(partial(rig.write, self.y, 1))
        rig.run_all()
        blocking = self.run(long)
        give_up.append(blocking.cancel)
        with contextlib.suppress(concurrent.futures.CancelledError):
            blocking.result()
        blocking, freed = self.run(long), self.run(long)
        self.promises.pop()
        del freed
        blocking.result()
        rig.run_all()

    def made_anew(self) -> None:
        """Replays whose values only their names can reach, and some where others can reach them too."""
        rig, names = self.rig, [self.y, self.z]
        calls = Calls([([self.x], names)])
        plan = calls.plan((read, made, [rig.shelf] * 2) for read, made in calls.values)
        errors = iter([None, None, None, None, OperationError("it broke"), None])

        def split(x: Any) -> Any:
            if (error := next(errors, None)) is not None:
                raise error
            return x + 1, x + 2

        for cost in (CHEAP, PROMPT_LIMIT):
            work = rig.work("split", split, cost=cost, measured=False, outputs=2)
            for _ in range(4):
                rig.timeline.replay(plan, [work])
                rig.timeline.replay(plan, [work])
                read = self.keep(rig.read(self.y))
                read.done()
                rig.run_all()
                with contextlib.suppress(OperationError):
                    read.result()
            rig.timeline.replay(plan, [work])
            rig.run_all()
            rig.write(self.z, 1)
        rig.timeline.replay(plan, [work])
        rig.run_all()
        rig.dispatch(rig.work("bad", broken(OperationError("it broke"))), [self.x], self.x)
        rig.run_all()
        rig.timeline.replay(plan, [work])
        self.keep(rig.read(self.z)).exception()
        rig.write(self.x, 1)

    def failures(self) -> None:
        rig = self.rig
        for cost in (CHEAP, INLINE_LIMIT):
            for error in (OperationError("it broke"), ValueError("strange")):
                rig.dispatch(rig.work("broken", broken(error), cost=cost), [self.x], self.y)
                rig.dispatch(self.cheap, [self.y], self.z)
                read = self.keep(rig.read(self.z))
                rig.run_all()
                read.exception()
                with contextlib.suppress(MLError):
                    read.result()
                rig.dispatch(self.cheap, [self.z], self.y)
                self.keep(rig.read(self.y))

    def compilations(self) -> None:
        rig = self.rig
        for error in (None, OperationError("not compiled")):
            work = rig.work("late", compiled=False)
            rig.dispatch(work, [self.x], self.y)
            rig.dispatch(work, [self.y], self.z)
            read = self.keep(rig.read(self.z))
            read.done()
            rig.compile(work, error)
            rig.run_all()

    def room(self) -> None:
        rig = self.rig
        names = [rig.name() for _ in range(6)]
        for name in names:
            rig.dispatch(self.dear, [self.x], name)
        waiting = [self.keep(rig.timeline.make_room()) for _ in range(2)]
        assert not any(promise.done() for promise in waiting)
        rig.dispatch(self.cheap, [self.x], self.y)
        self.keep(rig.read(self.y)).done()
        rig.run_all()
        names = [rig.name() for _ in range(40)]
        for name in names:
            rig.dispatch(self.cheap, [self.x], name)
        self.keep(rig.timeline.make_room())

    def budget(self) -> None:
        rig = self.rig
        rig.write(self.x, 1)
        rig.write(self.x, 2)
        names = [rig.name() for _ in range(8)]
        with contextlib.suppress(OperationError):
            for name in names:
                rig.dispatch(self.dear, [self.x], name)
        rig.run_all()
        calls = Calls([([self.y], [self.z]), ([self.x], [self.y])])
        plan = calls.plan((read, made, [rig.shelf]) for read, made in calls.values)
        self.keep(rig.read(self.x)).cancel()
        with contextlib.suppress(OperationError):
            for _ in range(4):
                rig.timeline.replay(plan, [self.dear] * 2)
                rig.run_all()
        with contextlib.suppress(OperationError):
            for _ in range(8):
                self.run(self.dear)
        with contextlib.suppress(OperationError):
            for name in names:
                rig.write(name, 1)
        rig.run_all()
        rig.pool.info()
        rig.pool.trim()
        rig.pool._is_total_right = False  # as an interrupt would leave it
        rig.pool.info()

    def destroying(self) -> None:
        rig = self.rig
        work = rig.work("late", compiled=False)
        rig.dispatch(work, [self.x], self.z)
        rig.dispatch(self.dear, [self.x], self.y)
        for name in (self.x, self.y, self.z):
            self.keep(rig.read(name))
        self.keep(rig.dispatch(self.dear, [self.y], self.x).finished())
        self.run(self.dear)
        for _ in range(6):
            rig.dispatch(self.dear, [self.x], rig.name())
            self.keep(rig.read(self.x))
        self.keep(rig.timeline.make_room())
        rig.end()
        rig.end()
        calls = Calls([([self.x], [self.y])])
        plan = calls.plan((read, made, [rig.shelf]) for read, made in calls.values)
        replay = partial(rig.timeline.replay, plan, [self.dear])
        for call in (replay, lambda: rig.write(self.x, 1), lambda: rig.read(self.x), lambda: self.run(self.dear)):
            with contextlib.suppress(MLError):
                call()

    def made(self) -> None:
        """A new timeline, from its start to its end."""
        rig = Rig(inline_limit=INLINE_LIMIT, budget=1 << 20)
        x = rig.name(1)
        assert rig.read(x).result()[0] == 1
        rig.end()

    def mapped(self) -> None:
        """Reading a file, which has no state that could be damaged."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "weights"
            path.write_bytes(bytes(3 * 4096))
            array = map_file(path)
            assert array.identity == map_file(path).identity
            place_in_file(array[4:])
            place_in_file(np.zeros(3))
            unmap(array)
            np.negative(array)
            with contextlib.suppress(OSError):
                map_file(folder)
            del array
