"""The worker lanes of a timeline: which lanes to wake, what they run, and how much a hop to a lane costs.

A task that costs less than the hop runs inline. This module therefore sets the cost limit of inline tasks.

Locks. A lane takes its next task under the timeline's lock, and runs it without. Lanes are woken and closed without it.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

from webnn.forking import Hold
from webnn.scheduler.execution import Execution
from webnn.scheduler.lane import Lane, ThreadLane, current_lane
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
        self._lanes = list(lanes)
        self.count = len(lanes)
        """The number of lanes that may work side by side."""
        self._away: set[Lane] = set()
        """Lanes whose work waits, in a callback of the program. Others have been added in their place."""
        self._calls: deque[Callable[[], object]] = deque()
        """What a lane has to call before it looks for work."""
        self._closed = False
        self._inline_limit = inline_limit
        self._asleep: dict[Lane, None] = dict.fromkeys(lanes[::-1])  # the last one to fall asleep is woken first
        self._drains = {lane: partial(self._drain, lane) for lane in lanes}

    def wake(self, *, waiting: bool = False) -> None:
        """Wake lanes for the tasks that are ready for them and may start, at most one lane for each task.

        With `waiting`, the caller is about to wait for one of them: if it is a lane, in a callback, another takes over.
        """
        self._cores.host.here()
        if waiting:
            self._give_way()
        self._wake()

    def _wake(self) -> None:
        renaming = self._renaming
        while renaming.lane and self._asleep:
            with self._lock:
                awake = len(self._lanes) - len(self._asleep) - len(self._away)
                if not self._asleep or awake >= min(self.count, len(renaming.lane) + len(renaming.running)):
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

    def _give_way(self) -> None:
        """If the caller is a lane, in a callback that is about to wait, do without it until the callback returns."""
        lane = current_lane()
        if lane is None or lane not in self._drains or lane in self._away:
            return
        with self._lock:
            self._away.add(lane)
            self._asleep.pop(lane, None)
            other = self._another_lane()
        if self._calls:  # it may have been woken for them
            other.wake(self._drains[other])

    def _another_lane(self) -> Lane:
        """A lane that is not away. There are as many as there were lanes at first. Called under the lock."""
        while len(self._lanes) - len(self._away) < self.count:
            self._add_lane()
        return next(iter(self._asleep), None) or next(lane for lane in self._lanes if lane not in self._away)

    def _add_lane(self) -> None:
        lane = ThreadLane(f"webnn-lane-{len(self._lanes)}")
        self._drains[lane] = partial(self._drain, lane)
        self._asleep[lane] = None
        self._lanes.append(lane)
        if self._closed:  # first it is added, so that `close` cannot miss it
            lane.close(wait=False)

    def recover(self) -> None:
        """Complete the changes that an interrupt has cut off. It may have cut off a wake, too."""
        try:
            self._execution.recover()
        finally:
            for lane, drain in list(self._drains.items()):
                if lane not in self._asleep:  # it is awake, or was about to be woken
                    lane.wake(drain)
            self._wake()

    def call(self, function: Callable[[], object]) -> None:
        """Call `function` once on a lane, after the work that it is running.

        If the caller is a lane, in a callback, it is taken to wait for that, so another one calls `function`. The lane
        then looks for work, as the caller may wait for that, too.
        """
        self._calls.append(function)
        self._give_way()
        lane = next(lane for lane in self._lanes if lane not in self._away)
        lane.wake(self._drains[lane])

    def begins_next(self, task: Task) -> bool:
        """Whether the calling lane begins `task` as soon as it is ready, before any other. Called under the lock."""
        return not self._renaming.lane and self._cores.admits(task)

    def beside(self, function: Callable[[], object], *, adds: Callable[[], bool]) -> bool:
        """Call `function` once on a lane that is asleep, before it looks for work. Returns False if none is.

        The caller goes on without giving up the interpreter, as it would to wake an event loop by itself. If none is
        asleep and `adds()`, a lane is added.
        """
        with self._lock:
            if not self._asleep and adds():
                self._add_lane()
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
            while self._calls:
                with suppress(IndexError):  # another lane was faster
                    self._calls.popleft()()
            with self._lock:
                self._away.discard(lane)
                if renaming.discarded:
                    renaming.work_off_discarded()
                task = next(iter(renaming.lane), None)
                if task is None or not self._cores.admits(task) or self._is_superfluous(lane):
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
                    return True  # a callback may have waited, and the lane was away meanwhile
                return False
            if len(renaming.lane) > 1:
                self._wake()
            execution.run((task,), on_lane=True)
        except BaseException:  # a callback raised it, or it came between two steps of this package
            _log.exception("a lane was interrupted")
            execution.recover()
        return True

    def _is_superfluous(self, lane: Lane) -> bool:
        """Whether as many others are working as there were lanes at first. Called under the lock."""
        if len(self._lanes) == self.count:
            return False
        others = set(self._lanes) - self._asleep.keys() - self._away - {lane}
        return len(others) >= self.count

    def close(self, *, wait: bool) -> None:
        """End all lanes after the work that they are running. With `wait`, return when they have ended."""
        self._closed = True
        for lane in list(self._lanes):
            lane.close(wait=wait)
