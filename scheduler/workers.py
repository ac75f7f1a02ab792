"""The worker lanes of a timeline: which lanes to wake, what they run, and how much a hop to a lane costs.

A task that costs less than the hop runs inline. This module therefore sets the cost limit of inline tasks.

Locks. A lane takes its next task under the timeline's lock, and runs it without. Lanes are woken and closed without it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from webnn.forking import Hold
from webnn.scheduler.execution import Execution
from webnn.scheduler.lane import Lane
from webnn.scheduler.renaming import Renaming
from webnn.scheduler.task import Task

__all__ = ["INLINE_LIMIT", "Workers"]

_log = logging.getLogger("webnn")

INLINE_LIMIT: Final = 50_000
"""Nanoseconds. A task that costs less runs on the thread that awaits its result, since a hop costs about as much."""
INLINE_LIMIT_OF_SLOW_LANES: Final = 250_000
"""The highest limit, for machines where waking a thread is so slow that a hop costs this or more (virtual machines)."""
HOP: Final = 4
"""The cost of a hop to a lane and back, in multiples of the time to wake the lane: two wakings, and the interpreter's
share of each."""


class Workers:
    """The lanes that take a timeline's tasks.

    Args:
        lock: the timeline's lock.
        renaming: the timeline's state, which `lock` guards. Tasks that are ready for a lane are taken from it.
        execution: runs these tasks, and knows which of them may start now.
        lanes: all lanes, asleep.
        inline_limit: see `INLINE_LIMIT`. Lanes that are slow to wake raise it. 0 runs everything on the lanes.
    """

    def __init__(
        self,
        lock: Hold,
        renaming: Renaming,
        execution: Execution,
        lanes: Sequence[Lane],
        inline_limit: float,
    ) -> None:
        self._lock = lock
        self._renaming = renaming
        self._execution = execution
        self._cores = execution.cores
        self._lanes = lanes
        self._inline_limit = inline_limit
        self._asleep: dict[Lane, None] = dict.fromkeys(lanes[::-1])  # the last one to fall asleep is woken first
        self._drains = {lane: partial(self._drain, lane) for lane in lanes}

    @property
    def count(self) -> int:
        """The number of lanes."""
        return len(self._lanes)

    def wake(self, *, waiting: bool = False) -> None:
        """Wake lanes for the tasks that are ready for them and may start, at most one lane for each task.

        With `waiting`, the caller is about to wait for one of them: if it is a lane, in a callback, it takes none.
        """
        self._cores.host.here()
        self._wake(waiting=waiting)

    def _wake(self, *, waiting: bool = False) -> None:
        renaming = self._renaming
        while renaming.lane and self._asleep:
            with self._lock:
                awake = len(self._lanes) - len(self._asleep)
                if waiting:
                    awake -= any(lane.is_here for lane in self._lanes)
                if not self._asleep or awake >= len(renaming.lane) + len(renaming.running):
                    return
                task = next(iter(renaming.lane), None)  # another lane may have taken the last one
                if task is None or not self._cores.admits(task):
                    return
                lane = self._asleep.popitem()[0]
            try:
                lane.wake(self._drains[lane])
            except BaseException:
                self._asleep[lane] = None
                raise

    def recover(self) -> None:
        """Complete the changes that an interrupt has cut off. It may have cut off a wake, too."""
        try:
            self._execution.recover()
        finally:
            for lane, drain in self._drains.items():
                if lane not in self._asleep:  # it is awake, or was about to be woken
                    lane.wake(drain)
            self._wake()

    def call(self, function: Callable[[], object]) -> None:
        """Call `function` once on a lane that is not the caller, after the work that it is running.

        Takes no lock of the timeline. The lane then looks for work, as the caller may be a lane that waits for it.
        """
        lane = next((lane for lane in self._lanes if not lane.is_here), self._lanes[0])
        lane.wake(self._drain_after(function, lane))

    def begins_next(self, task: Task) -> bool:
        """Whether the calling lane begins `task` as soon as it is ready, before any other. Called under the lock."""
        return not self._renaming.lane and self._cores.admits(task)

    def beside(self, function: Callable[[], object]) -> bool:
        """Call `function` once on a lane that is asleep, before it looks for work. Returns False if none is.

        The caller goes on without giving up the interpreter, as it would to wake an event loop by itself.
        """
        with self._lock:
            if not self._asleep:
                return False
            lane = self._asleep.popitem()[0]
        try:
            lane.wake(self._drain_after(function, lane), timed=False)
        except BaseException:
            self._asleep[lane] = None
            raise
        return True

    def _drain_after(self, function: Callable[[], object], lane: Lane) -> Callable[[], bool]:
        """The work of `lane`, which begins with calling `function` once."""
        todo = [function]

        def drain() -> bool:
            try:
                while todo:
                    todo.pop()()
            except BaseException:
                _log.exception("a lane was interrupted")
            return self._drain(lane)

        return drain

    def _drain(self, lane: Lane) -> bool:
        """Run one task on `lane`. Returns False if none may start; `lane` must then be woken for the next one."""
        renaming, execution = self._renaming, self._execution
        task: Task | None = None
        try:
            with self._lock:
                if renaming.discarded:
                    renaming.work_off_discarded()
                task = next(iter(renaming.lane), None)
                if task is None or not self._cores.admits(task):
                    task = None
                    self._asleep[lane] = None
                else:
                    self._asleep.pop(lane, None)
                    if self._inline_limit:
                        hop = min(HOP * lane.latency, INLINE_LIMIT_OF_SLOW_LANES)
                        renaming.inline_limit = max(self._inline_limit, hop)
            if task is None:
                if renaming.ended:
                    execution.tell_ended()
                return False
            if len(renaming.lane) > 1:
                self._wake()
            execution.run((task,), on_lane=True)
        except BaseException:  # a callback raised it, or it came between two steps of this package
            _log.exception("a lane was interrupted")
            execution.recover()
        return True

    def close(self, *, wait: bool) -> None:
        """End all lanes after the work that they are running. With `wait`, return when they have ended."""
        for lane in self._lanes:
            lane.close(wait=wait)
