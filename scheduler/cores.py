"""Shares the cores among the runs of a timeline: which run may start now, and with which of its graph's executables.

At most one wide run is in progress, and no other run on a lane beside it. Narrow runs, and runs of graphs that have one
thread anyway, go side by side on the lanes. A run that may not start yet stays ready, and starts when the run before it
has ended. `Width` chooses; this module keeps the runs in progress and tells it what it needs to know.

Cheap runs on the thread that awaits them are not held up: they take less time than the wait.

Locks. Every method is called under the timeline's lock.

Interrupts. A run counts as wide while its task is running, so nothing has to be undone when it is cut off.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from webnn.backends.base import Executable
from webnn.scheduler.crowd import LATE, SHORTEST
from webnn.scheduler.crowd import PAUSE as LOOK_AFTER
from webnn.scheduler.renaming import Renaming
from webnn.scheduler.task import RUNNING, Task
from webnn.scheduler.trials import ALL, ONE, PAUSE, RESTING
from webnn.scheduler.width import REST, Width, Widths

__all__ = ["Cores", "HostClock"]

_LONE: Final = ((ALL, 0, True), (RESTING, 0, True), (ONE, 0, True))
"""The runs of a caller that nothing goes on beside, by their ways."""
_TAKEN: Final = (ALL, 0, False)
"""A run that an interrupt has taken from the list."""
HOST_RUNS: Final = 4
"""While the host is idle, one in so many runs looks at its time. On virtual machines it takes 20 us to ask for that."""
_LATE_FROM: Final = LATE * SHORTEST
"""Nanoseconds of a run from which on it can be late."""


class HostClock:
    """Measures how much of the time the host, the thread of the program that queues runs, computes rather than waits.

    It reads the clock of the processor time of the thread that has called `here` last, which takes about a microsecond.
    Where the system has no such clock (Windows, macOS), the host counts as waiting, and so does a host that carries out
    the run itself.
    """

    def __init__(self) -> None:
        self._thread = 0
        self._clock = 0

    def here(self) -> None:
        """The calling thread is the host now."""
        thread = threading.get_ident()
        if thread != self._thread:
            if hasattr(time, "pthread_getcpuclockid"):
                self._clock = time.pthread_getcpuclockid(thread)  # only here: its thread is alive
            self._thread = thread

    @property
    def is_elsewhere(self) -> bool:
        """Whether the host is another thread than the caller, as far as is known."""
        return self._thread not in (0, threading.get_ident())

    def now(self) -> int:
        """The nanoseconds for which the host has computed so far.

        0 if the caller is the host, if the system does not say, or if the thread has ended.
        """
        clock = self._clock  # read once: another thread may become the host meanwhile
        if not clock or not self.is_elsewhere:
            return 0
        try:
            return time.clock_gettime_ns(clock)
        except OSError:  # the thread has ended, and another one may get its number
            self._thread = self._clock = 0
            return 0


class Cores:
    """The cores of one timeline.

    Args:
        renaming: the timeline's state, with the runs that are in progress or ready.
        width: chooses the widths.
        lanes: the number of lanes.
        clock: the time in nanoseconds.
    """

    def __init__(self, renaming: Renaming, width: Width, lanes: int, clock: Callable[[], int]) -> None:
        self._renaming = renaming
        self._width = width
        self._lanes = lanes
        self._clock = clock
        self.host = HostClock()
        self._unlooked = 0
        """Runs since the last one that has looked at the host's time."""
        self._last_end = 0
        """When the last run of such a graph ended."""
        self._runs: dict[Task, tuple[int, int, bool]] = {}
        """The runs of graphs with two widths: the way of each (see `trials.py`), the host's time at its start, and
        whether nothing else went on then."""

    def admits(self, task: Task) -> bool:
        """Whether `task`, which is ready, may start beside the runs that are in progress."""
        if not self._renaming.running:
            return True
        for other, (way, _, _) in self._runs.items():
            if way != ONE and other.state is RUNNING:
                return False
        widths = task.work.widths
        return widths is None or (widths.narrow is not None and self._width.prefers_narrow(widths, self._others(task)))

    def start(self, task: Task, *, is_host: bool = False) -> Executable:
        """The executable for `task`, which has started, and whose graph has two widths.

        Args:
            task: the task.
            is_host: whether the caller runs it, so that the host computes nothing meanwhile.
        """
        widths, executable = task.work.widths, task.work.executable
        assert widths is not None
        assert executable is not None
        width = self._width
        if self._runs:
            for other in [other for other in self._runs if other.state is not RUNNING]:  # an interrupt cut them off
                del self._runs[other]
        others = self._others(task)
        host_began = 0 if is_host else self._host_time()
        way, crowd = None, width.crowd
        if not others:
            # A host that is not the caller has woken this thread, and is about to wait.
            if (
                crowd is not None
                and ((pause := self._clock() - self._last_end) > LOOK_AFTER or crowd.looks)
                and width.is_crowded(widths, pause, 0 if is_host else self.host.is_elsewhere)
            ):
                way = width.started(widths, narrow=True)
            else:
                way = width.started_alone(widths)
        is_alone = way is not None
        if way is None:
            narrow = width.prefers_narrow(widths, others)
            if len(self._renaming.running) > 1:  # `admits` has asked, but the number of pieces changes without the lock
                narrow = True
            way = width.started(widths, narrow=narrow)
        if way != ALL:
            chosen = widths.narrow if way == ONE else widths.resting
            executable = executable if chosen is None else chosen
        self._runs[task] = (way, host_began, is_alone)
        return executable

    def _host_time(self) -> int:
        """The time of the host, to compare with that at the end of the run; 0 if this run does not look at it."""
        if self._width.is_quiet:
            self._unlooked += 1
            if self._unlooked < HOST_RUNS:
                return 0
            self._unlooked = 0
        return self.host.now()

    def start_here(self, task: Task, widths: Widths) -> Executable:
        """As `start`, for a caller that carries out the run itself. A loop of runs alone pays a third for this."""
        renaming, width = self._renaming, self._width
        crowd = width.crowd
        if not (
            self._runs
            or renaming.lane
            or len(renaming.running) > 1
            or (crowd is not None and (crowd.looks or self._clock() - self._last_end > LOOK_AFTER))
        ):
            way = width.started_alone(widths)
            if way is not None:
                self._runs[task] = _LONE[way]
                chosen = None if way == ALL else widths.narrow if way == ONE else widths.resting
                executable = chosen or task.work.executable
                assert executable is not None
                return executable
        return self.start(task, is_host=True)

    def ended(self, task: Task, began: int, nanoseconds: int) -> None:
        """`task`, which was started, is about to finish: the tasks that wait for its results are not ready yet.

        Args:
            task: of a graph that has two widths.
            began: when it began, in nanoseconds.
            nanoseconds: how long it ran.
        """
        widths = task.work.widths
        assert widths is not None
        way, host_began, was_alone = self._runs.pop(task, _TAKEN)
        crowd = self._width.crowd
        if crowd is not None:
            crowd.was_wide = way != ONE
            if nanoseconds > _LATE_FROM and crowd.was_wide and nanoseconds > LATE * widths.wide_cost >= _LATE_FROM:
                crowd.looks = True
        pause, self._last_end = began - self._last_end, began + nanoseconds
        share = (self.host.now() - host_began) / nanoseconds if host_began and nanoseconds else 0.0
        renaming = self._renaming  # below, the usual case of `_others` without its call
        others = 0 if not renaming.lane and len(renaming.running) == 1 else self._others(task)
        is_alone = was_alone and not others
        counts = way == ONE or share <= REST  # a busy host makes wide runs slower than they are
        widths.ran(way, nanoseconds, pause if pause < PAUSE else 0, is_alone, counts)
        if share or not is_alone:  # else it would change nothing
            self._width.ended(others, share)

    def forget(self, task: Task) -> None:
        """`task` has failed, or was interrupted."""
        self._runs.pop(task, None)

    def _others(self, task: Task) -> int:
        """Runs other than `task` that are in progress, or are ready and have a lane beside it."""
        lane, running = self._renaming.lane, self._renaming.running
        if not lane and len(running) == 1 and task in running:  # the same as below, in less time
            return 0
        in_progress = len(running) - (task in running)
        ready = len(lane) - (task in lane)
        return in_progress + max(0, min(ready, self._lanes - 1 - in_progress))
