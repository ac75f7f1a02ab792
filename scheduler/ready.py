"""The tasks that may run: which of them wait for a lane, and which for the thread that awaits their result.

`Renaming` puts tasks in when they wait for nothing any more. One call of `hand_over` is enough: every task that depends
on tasks that were running or were handed over goes to a lane when it becomes ready, whichever thread runs those tasks.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

from webnn.scheduler.task import DONE, RUNNING, Task, Work

__all__ = ["LONE_LIMIT", "PROBE", "PROMPT", "PROMPT_LIMIT", "Ready"]

PROMPT: Final = 4
"""Tasks in a row that were awaited at once while nothing else was under way. After that the next ones run inline, even
if they cost more than a hop to a lane: the thread would only wait for the lane."""
PROMPT_LIMIT: Final = 1_000_000
"""Nanoseconds. A task that costs more goes to a lane if its thread is that of an event loop with more to do."""
LONE_LIMIT: Final = 10_000_000
"""Nanoseconds. A task that costs more goes to a lane in any case, since other threads may give the event loop something
to do, and since Ctrl-C is not heeded before the run has ended."""
PROBE: Final = 64
"""After so many tasks, one goes to a lane, since those that run inline do not show whether there is other work. A loop
that had more to do is also asked again after so many."""


class Ready:
    """The queues of a timeline, and the tasks that have left them and run.

    Args:
        inline_limit: tasks whose work costs less than this many nanoseconds go to `inline` when they are ready.
    """

    def __init__(self, inline_limit: float) -> None:
        self.inline_limit = inline_limit
        self.inline: dict[Task, None] = {}
        """Ready tasks that are cheap enough for the thread that awaits their result; oldest first."""
        self.lane: OrderedDict[Task, None] = OrderedDict()
        """Ready tasks for a lane; oldest first."""
        self.queued = 0
        self.queued_bytes = 0
        self.running: set[Task] = set()
        self.begun = 0
        """The number of tasks that have begun."""
        self.is_lone: Callable[[int], bool] = lambda _: False
        """Whether the caller's thread may be blocked for so many nanoseconds: its event loop has nothing else to do. To
        find that out takes a few microseconds."""
        self.was_lone = False
        """Whether `is_lone` has said so of a run after which the event loop has not been given a turn."""
        self._handed: set[Task] = set()  # running tasks that came from `lane`, or were running during `hand_over`

    def cheap(self, tasks: Sequence[Task]) -> bool:
        """Whether all of `tasks` may run inline, and none has been given to a lane."""
        limit, lane = self.inline_limit, self.lane
        for task in tasks:  # noqa: SIM110 (a generator takes longer)
            if task.work.cost >= limit or task in lane:
                return False
        return True

    def hand_over(self) -> None:
        """Give all tasks of the inline lane to the lanes, and also the tasks that depend on them or on running ones."""
        self.lane.update(self.inline)
        self.inline.clear()
        self._handed.update(self.running)

    def _ready(self, task: Task, on_lane: bool) -> None:
        if on_lane or task.work.cost >= self.inline_limit:
            self.lane[task] = None
        else:
            self.inline[task] = None

    def _leave_queue(self, task: Task) -> None:
        self.queued -= 1
        self.queued_bytes -= task.work.byte_length
        if self.inline.pop(task, 0) == 0:
            self.lane.pop(task, None)
        if task.unmet:  # it no longer waits for others
            task.work.waiting.pop(task, None)
            for value in task.inputs:
                if value.producer is not None:
                    value.producer.consumers.pop(task, None)

    def _is_awaited_at_once(self, work: Work) -> bool:
        """Whether the task of `work` that has just been queued is likely to be awaited before a lane could begin it."""
        if self.queued > 1 or self.running or work.cost >= LONE_LIMIT or not self.inline_limit:
            return False
        if work.cost >= PROMPT_LIMIT:
            self.was_lone = self.is_lone(int(work.cost))
            if not self.was_lone:
                work.prompt = -PROBE
                return False
        work.prompt += 1
        if work.prompt >= PROBE:
            work.prompt = PROMPT - 1  # the next one goes to a lane, to see whether that has changed
        return True

    def awaited(self, task: Task, now: int) -> None:
        """`task`, which is on its way to a lane or runs on one, is awaited now."""
        work = task.work
        if 0 <= work.prompt < PROMPT and work.cost < LONE_LIMIT:
            is_prompt = self.queued + len(self.running) == 1 and (now - task.queued_at) * 4 < work.cost
            work.prompt = work.prompt + 1 if is_prompt else 0

    def start_alone(self, task: Task) -> None:
        """`task`, which was not queued, and whose values nothing else can reach, starts on the thread of its caller."""
        self.begun += 1
        task.state = RUNNING
        self.running.add(task)

    def end_alone(self, task: Task) -> None:
        """`task`, which has started alone, has ended."""
        task.state = DONE
        self.running.discard(task)
        self._handed.discard(task)
