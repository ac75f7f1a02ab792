"""The inline lane: cheap tasks run on the thread that awaits their result, or else at the end of the event loop's tick.

Awaiting a promise calls `advance`, which runs the cheap tasks that its result needs. Tasks whose results have not been
awaited by the end of the tick run then. Reads of values that were already available settle at the same time.

Inline work has a budget per tick. Work beyond the budget waits for the next tick. A loop of awaits that never suspends
gives the event loop a turn when the tick has become long.

Locks. Tasks are chosen and started under the timeline's lock, and run without it. The tick (`tick_of`, and the time at
which it began) is not guarded. If several threads with event loops use the timeline, a loop may get its turn too early
or too late, or may be called at the end of its tick once more than needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import inf
from threading import get_ident
from typing import Final
from weakref import ref

from webnn.forking import Hold
from webnn.scheduler.bridge import current_bridge, current_loop, has_only_this_task
from webnn.scheduler.direct import is_long_here
from webnn.scheduler.execution import Execution, oldest
from webnn.scheduler.hot_chains import MIN_LINKS
from webnn.scheduler.lane import current_lane
from webnn.scheduler.merged_runs import MergedRuns
from webnn.scheduler.ready import LONE_LIMIT, PROMPT, PROMPT_LIMIT
from webnn.scheduler.renaming import Renaming
from webnn.scheduler.results import Read
from webnn.scheduler.task import QUEUED, RUNNING, Task, Waiter, needed_for
from webnn.scheduler.workers import Workers

__all__ = ["TICK_BUDGET", "InlineLane"]

TICK_BUDGET: Final = 1_000_000
"""Nanoseconds of inline tasks in one call, and of one tick. After that, the event loop's other tasks get their turn."""
LONE_TICK: Final = 50_000_000
"""Nanoseconds of a tick of a loop that has nothing else to do. A turn of it takes a quarter of what is around a
run. What a signal gives it to do is not seen from here, and waits for so long."""


class InlineLane:
    """Runs cheap tasks on the caller's thread. It is not a `Lane`, since it need not be woken.

    Args:
        lock: the timeline's lock.
        renaming: the timeline's state, which `lock` guards. Tasks that are ready and cheap are taken from it.
        execution: runs these tasks.
        workers: run the tasks that turn out not to be cheap.
        fetches: whether reading takes long, since values are in the memory of a device.
    """

    def __init__(
        self, lock: Hold, renaming: Renaming, execution: Execution, workers: Workers, *, fetches: bool = False
    ) -> None:
        self._lock = lock
        self._renaming = renaming
        self._execution = execution
        self._workers = workers
        if not fetches:
            renaming.is_lone = _is_lone
        self.fetches = fetches
        """Whether reads of available values are carried out on a lane: the thread of an event loop must not wait."""
        self.merged: MergedRuns | None = None
        """Runs chains of tasks, if they may be merged."""
        self.tick_of: object = None
        """The event loop that will call `end_tick` at the end of its tick, as `expect_tick` has arranged."""
        self.tick_on = 0
        """The thread of that loop, or 0. Only the thread itself sets its number, so a thread that finds it here has
        nothing to arrange. Looking up the running loop would take longer: Python 3.11 asks the kernel each time."""
        self.tick_began = 0
        self.turn_at = 0
        """When the loop must get a turn, unless it has nothing else to do."""
        self.unsettled: dict[int, Read] = {}
        """Reads of available values, by identity. They settle when they are awaited, or at the end of the tick.

        They are added under the lock. A read that settles is removed without it, in one atomic step.
        """

    def waiters(self) -> list[Waiter]:
        """What waits for tasks, and the reads that are due. Called under the lock."""
        waiters: list[Waiter] = [waiter for task in list(self._renaming.live) for waiter in task.waiters]
        waiters += self.unsettled.values()
        return waiters

    # For threads that await a result.

    def advance(self, task: Task, awaits: bool = True) -> bool:
        """Run the tasks that `task` needs on the caller's thread if they are cheap. Otherwise make sure a lane does.

        Args:
            task: the task.
            awaits: whether the caller can do nothing before `task` has ended, rather than only asks whether it has.

        Returns:
            Whether the event loop must get a turn now. If `task` has not ended after that, call this again.
        """
        try:
            execution = self._execution
            # The common case: it depends on no other task.
            if task in self._renaming.inline and (awaits or task.work.cost < PROMPT_LIMIT) and execution.run_one(task):
                if self._renaming.lane:
                    self._workers.wake()
                return execution.now > self.turn_at and self._is_turn_due()
            return self._advance_chain(task)
        except BaseException:
            self._workers.recover()
            raise

    def _advance_chain(self, task: Task) -> bool:
        renaming, work = self._renaming, task.work
        counts = work.cost < PROMPT_LIMIT or (work.cost < LONE_LIMIT and 0 <= work.prompt < PROMPT)
        if not counts and task in renaming.lane and current_lane() is None:
            return self.breath_due()  # whoever has put it there has woken a lane
        with self._lock:
            renaming.awaited(task, self._execution.clock())
            if task.state is not QUEUED:
                return False
            needed = needed_for(task) or []
            if not needed or not renaming.cheap(needed):
                needed = []
                renaming.hand_over()
        if needed:
            if self._run(needed, TICK_BUDGET) > TICK_BUDGET and task.state is QUEUED:
                return True
            if task.state is QUEUED:  # another thread runs a task that it needs
                with self._lock:
                    renaming.hand_over()
        if task.state is QUEUED:  # it is for a lane
            self._workers.wake(waiting=True)
        return self.breath_due()

    def drive(self, task: Task) -> None:
        """Run the tasks that `task` needs on the caller's thread, whatever they cost.

        The lanes run them if one of them has been begun, must wait until another run has ended, or is so long that
        Ctrl-C would wait for it.
        """
        try:
            if task not in self._renaming.inline:
                with self._lock:
                    self._renaming.awaited(task, self._execution.clock())
            while True:
                with self._lock:
                    if task.state is not QUEUED:
                        break
                    needed = needed_for(task)
                    if needed is None or (
                        needed[0] in self._renaming.lane
                        and (is_long_here(needed[0].work.cost) or not self._execution.cores.admits(needed[0]))
                    ):
                        self._renaming.hand_over()
                        break
                self._run(needed)
            self._workers.wake(waiting=task.state <= RUNNING)
        except BaseException:
            self._workers.recover()
            raise

    def expect(self, task: Task | None) -> None:
        """Make sure that `task`, or a read that is due, settles even if not awaited: after this tick, or on a lane."""
        try:
            if current_loop() is not None and (task is None or not task.unmet):
                self.expect_tick()
            elif task is not None:
                with self._lock:
                    self._renaming.hand_over()
                self._workers.wake(waiting=True)
        except BaseException:
            self.expect_elsewhere()
            raise

    def expect_elsewhere(self) -> None:
        """Settle everything that is queued, and every read that is due, on a lane. Takes no lock of the timeline."""
        self._workers.call(self._settle_elsewhere)

    def _settle_elsewhere(self) -> None:
        self._workers.recover()  # this is also called after an interrupt
        self._settle_due()

    def breath_due(self, *, look: bool = False) -> bool:
        """Whether the tick has become so long that the event loop must get a turn.

        The end of the last task counts as the current time. With `look`, the clock is read instead.
        """
        execution = self._execution
        if look:
            execution.now = execution.clock()
        return execution.now > self.turn_at and self._is_turn_due()

    def _is_turn_due(self) -> bool:
        """Whether the loop must get a turn at the end of the usual budget: not if nothing else waits for it."""
        if self.tick_of is None:
            return False
        renaming, now = self._renaming, self._execution.now
        if renaming.was_lone and not renaming.inline and not self.unsettled and now - self.tick_began < LONE_TICK:
            renaming.was_lone = False  # to be asked again by the next run of that kind
            self.turn_at = now + TICK_BUDGET
            return False
        return True

    def _run(self, tasks: Sequence[Task], budget: float = inf) -> int:
        """Run `tasks` here, as `Execution.run` does."""
        try:
            merged = self.merged if len(tasks) >= MIN_LINKS else None
            if merged is not None and (last := tasks[-1].work).unlooked > 0:
                last.unlooked -= 1
                merged = None
            spent = self._execution.run(tasks, False, budget) if merged is None else merged.run(tasks, budget)
            if self._renaming.lane:  # another thread waits for a task that has become ready
                self._workers.wake()
        except BaseException:
            self._workers.recover()
            raise
        return spent

    # For results that have not been awaited.

    def run_ready(self, leave: int = 0) -> None:
        """Run ready, cheap tasks, oldest first, until `leave` tasks are queued or the budget of a tick is spent."""
        renaming, execution, spent = self._renaming, self._execution, 0
        try:
            while renaming.inline and renaming.queued > leave and spent <= TICK_BUDGET:
                task = oldest(renaming.inline)  # without the lock: `Execution.run` looks again whether it is ready
                if task is None:
                    return
                if task.work.cost >= PROMPT_LIMIT:  # it was to be awaited before the loop does anything else
                    with self._lock:
                        renaming.hand_over()
                    self._workers.wake()
                    return
                spent += execution.run_one(task)
                if renaming.lane:  # another thread waits for a task that has become ready
                    self._workers.wake()
        except BaseException:
            self._workers.recover()
            raise

    def settle_unasked(self) -> None:
        """Run the cheap tasks and settle the reads that are due, although they have not been awaited."""
        self.run_ready()
        if not self.fetches:
            self._settle_due()
        elif self.unsettled:
            self.expect_elsewhere()

    def _settle_due(self) -> None:
        with self._lock:
            reads = list(self.unsettled.values())
        for read in reads:
            read.deliver_unasked()

    def expect_tick(self) -> None:
        """Have the event loop that runs the caller, if there is one, call `end_tick` at the end of its tick."""
        loop = current_loop()
        if loop is not self.tick_of and (bridge := current_bridge()) is not None:
            self.tick_began = self._execution.now = self._execution.clock()
            self.turn_at = self.tick_began + TICK_BUDGET
            bridge.call_soon(_Tick(self))
            self.tick_of = loop  # last: an interrupt may cause one call too many, but not one too few
            self.tick_on = get_ident()

    def end_tick(self) -> None:
        """The tick has ended: settle the results that have not been awaited."""
        try:
            self.tick_of, self.tick_on = None, 0
            self.settle_unasked()
            if self._renaming.inline:
                self.expect_tick()
            if self._renaming.lane:  # a batch that has waited for the other requests of this tick
                self._workers.wake()
        except BaseException:
            self.expect_elsewhere()
            raise


def _is_lone(nanoseconds: int) -> bool:
    """See `Ready.is_lone`. The end of a tick is put off until the caller's task has the result."""
    return has_only_this_task(nanoseconds * 1e-9, _Tick)


class _Tick:
    """The function that an event loop calls at the end of its tick. If the loop is closed before, a lane takes over."""

    __slots__ = ("__weakref__", "_dropped", "_inline")

    def __init__(self, inline: InlineLane) -> None:
        self._inline = inline
        self._dropped: ref[_Tick] | None = ref(self, partial(_drop, inline))

    def __call__(self) -> None:
        try:
            self._dropped = None
            self._inline.end_tick()
        except BaseException:  # an interrupt, perhaps before the end of the tick had begun
            _drop(self._inline, None)
            raise


def _drop(inline: InlineLane, _: object) -> None:
    inline.tick_of, inline.tick_on = None, 0
    inline.expect_elsewhere()
