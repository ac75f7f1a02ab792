"""The worker lanes of a timeline: which of them to wake, what they run, and what a hop to one of them costs.

A task that costs less than the hop is not worth it, so it is here that the limit of what runs inline is set.

Locks. A lane takes its next task under the timeline's lock, and runs it without; lanes are woken and closed without it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from webnn.scheduler.execution import Execution
from webnn.scheduler.lane import Lane
from webnn.scheduler.renaming import Renaming
from webnn.scheduler.task import Task

__all__ = ["INLINE_LIMIT", "Workers"]

_log = logging.getLogger("webnn")

INLINE_LIMIT: Final = 50_000
"""Nanoseconds: a task that costs less runs where its result is awaited, since a thread hop costs about as much."""
INLINE_LIMIT_OF_SLOW_LANES: Final = 250_000
"""As `INLINE_LIMIT`, where waking a thread takes so long that the hop costs this and more, as on virtual machines."""
HOP: Final = 4
"""A hop to a lane and back, in times that waking the lane takes: two wakings, and the interpreter's way to each."""


class Workers:
    """The lanes that take a timeline's tasks.

    Args:
        lock: the timeline's.
        renaming: its state, which `lock` guards; what is ready for a lane is taken from there.
        execution: runs what was taken.
        lanes: all of them, asleep.
        inline_limit: see `INLINE_LIMIT`; lanes that are slow to wake raise it. 0 runs everything on the lanes.
    """

    def __init__(
        self,
        lock: threading.RLock,
        renaming: Renaming,
        execution: Execution,
        lanes: Sequence[Lane],
        inline_limit: float,
    ) -> None:
        self._lock = lock
        self._renaming = renaming
        self._execution = execution
        self._lanes = lanes
        self._inline_limit = inline_limit
        self._asleep: set[Lane] = set(lanes)
        self._drains = {lane: partial(self._drain, lane) for lane in lanes}

    def wake(self) -> None:
        """Have lanes run what is ready for them, as many as there are tasks."""
        renaming = self._renaming
        while renaming.lane and self._asleep:
            with self._lock:
                awake = len(self._lanes) - len(self._asleep)
                if not self._asleep or awake >= len(renaming.lane) + len(renaming.running):
                    return
                lane = self._asleep.pop()
            try:
                lane.wake(self._drains[lane])
            except BaseException:
                self._asleep.add(lane)
                raise

    def recover(self) -> None:
        """Complete what an interrupt has cut off, and have all lanes look for work, as one may not have been woken."""
        try:
            self._execution.recover()
        finally:
            for lane, drain in self._drains.items():
                lane.wake(drain)

    def call(self, function: Callable[[], object]) -> None:
        """Call `function` once on a lane, after what it is running. Takes no lock of the timeline."""

        def once() -> bool:
            function()
            return False

        self._lanes[0].wake(once)

    def _drain(self, lane: Lane) -> bool:
        """Run one task on `lane`; False when there is none, and `lane` must be woken for the next."""
        renaming, execution = self._renaming, self._execution
        task: Task | None = None
        try:
            with self._lock:
                if renaming.discarded:
                    renaming.work_off_discarded()
                if not renaming.lane:
                    self._asleep.add(lane)
                else:
                    self._asleep.discard(lane)
                    task = next(iter(renaming.lane))
                    if self._inline_limit:
                        hop = min(HOP * lane.latency, INLINE_LIMIT_OF_SLOW_LANES)
                        renaming.inline_limit = max(self._inline_limit, hop)
            if task is None:
                if renaming.ended:
                    execution.tell_ended()
                return False
            if len(self._lanes) > 1:
                self.wake()
            execution.run(task, on_lane=True)
        except BaseException:  # a callback was interrupted, or something between two steps of ours
            _log.exception("a lane was interrupted")
            execution.recover()
        return True

    def close(self, *, wait: bool) -> None:
        """End all lanes after what they are running; with `wait`, return when they have ended."""
        for lane in self._lanes:
            lane.close(wait=wait)
