"""Programs in which the threads of runs are chosen."""

from __future__ import annotations

import threading
from typing import Any

from tests.interrupt_programs.base import Base
from tests.stepped import INLINE_LIMIT, broken
from webnn.scheduler.cores import HOST_RUNS
from webnn.scheduler.crowd import SHORTEST, Crowd
from webnn.scheduler.trials import ALL, ALONE, BLOCK, ONE, RECENT, RESTING, ROUNDS, SURE
from webnn.scheduler.width import STEADY_RUNS, Widths

__all__ = ["Choices"]


class Choices(Base):
    def widths(self) -> None:
        """Runs of a graph that can be narrow, beside each other, beside one that blocks, and alone."""
        rig, timeline = self.rig, self.rig.timeline

        def meanwhile(a: Any) -> Any:
            if self.told:
                self.told.clear()
                self.run(self.dear)
                handle = rig.dispatch(two, [self.x], self.z)
                self.keep(handle.finished())
                timeline.inline.drive(handle._task)
                rig.step(1)
            return a + 1

        two = rig.work("two", meanwhile, cost=INLINE_LIMIT, measured=False, nanoseconds=INLINE_LIMIT)
        two.widths = Widths(lambda _: self.told.append("narrow"), lambda _: self.told.append("resting"))
        failing = rig.work("failing", broken(ValueError()), cost=INLINE_LIMIT, measured=False)
        failing.widths = Widths(lambda _: None)
        for _ in range(2):
            with timeline.width.piece(), timeline.width.piece():
                timeline.width.pieces  # noqa: B018
                self.run(failing)
                self.run(two)
                self.queued_elsewhere()
                rig.run_all()
                timeline.statistics  # noqa: B018
            two.widths.narrow = two.executable
            for _ in range(2):
                rig.dispatch(two, [self.x], self.y)
                self.run(two)
                self.told.append("narrow")
                rig.run_all()
                timeline.statistics  # noqa: B018
        for host_share in (0, 1):
            timeline.width.ended(0, host_share)
            for _ in range(5):
                self.run(two).result()
                timeline.statistics  # noqa: B018
        for _ in range(2 * STEADY_RUNS):
            timeline.width.ended(0, 0)
        for _ in range(HOST_RUNS):
            self.run(two).result()
            timeline.statistics  # noqa: B018

    def trials(self) -> None:
        """Runs of a graph alone, at every point of a trial."""
        timeline = self.rig.timeline
        work = self.rig.work("short", lambda a: a + 1, cost=INLINE_LIMIT, measured=False, nanoseconds=INLINE_LIMIT)
        widths = work.widths = Widths(lambda _: self.told.append("narrow"), lambda _: self.told.append("resting"))
        trials = widths.trials
        widths.wide_cost = 1.0
        for executable in (None, work.executable):
            widths.narrow = widths.resting = executable
            for runs in (ALONE, trials._until):
                trials.wanted, trials._runs = runs != ALONE, runs - RECENT
                trials.unseen = [1] * (RECENT - 1)
                self.run(work).result()
            for way in (ALL, ONE, RESTING):
                for rounds, block, own, others in (
                    (0, BLOCK, 1, 1),
                    (0, 2, 1, 1),
                    (0, 2, INLINE_LIMIT, 1),  # hopeless
                    (SURE - 1, 1, INLINE_LIMIT, 1),
                    (ROUNDS - 1, 1, 1, INLINE_LIMIT),  # better than the way in use
                ):
                    trials.chosen, trials.unseen = ALL, None
                    trials._times = {each: [own if each == way else others] * 2 for each in (ALL, RESTING, ONE)}
                    trials._left, trials._block, trials._rounds, trials._turn = (
                        [ALL, RESTING, ONE],
                        block,
                        rounds,
                        [way],
                    )
                    timeline.statistics  # noqa: B018
                    self.run(work).result()
                    timeline.statistics  # noqa: B018
                trials._turn, trials.unseen = [way], None
                trials.measured(way - 1, 1, widths.ways)  # it began before the trial
                trials._turn, trials._space = [], 2
                self.run(work).result()
                self.run(work).result()
                trials._turn = []  # as if an interrupt had cut off the end of the trial
                self.run(work).result()
                trials._runs, trials._until, trials.unseen = RECENT + 1, 4 * RECENT, [10**9] * (RECENT - 1)
                self.run(work).result()
                timeline.statistics  # noqa: B018
                trials.measured(-1, 1, widths.ways)

    def crowded(self) -> None:
        """Runs of a graph alone, while threads of other programs come and go."""
        timeline = self.rig.timeline
        work = self.rig.work("short", lambda a: a + 1, cost=INLINE_LIMIT, measured=False, nanoseconds=2 * SHORTEST)
        widths = work.widths = Widths(lambda _: self.told.append("narrow"))
        runnable = [3]
        crowd = timeline.width.crowd = Crowd(2, 2, lambda: runnable[0])
        for until in (0, 0, 0, 2, 1, 1):  # unknown, is late, looks, is here, may be over, is over
            crowd._until = until
            self.run(work).result()
            timeline.statistics  # noqa: B018
            widths.narrow = work.executable
            widths.wide_cost = float(SHORTEST)
            if until:
                runnable[0] = 1

    def queued_elsewhere(self) -> None:
        """As if a thread that has ended had queued the tasks."""
        thread = threading.Thread(target=self.rig.timeline._execution.cores.host.here)
        thread.start()
        thread.join()
