"""Runs on the thread that waits for them, without a task: for calls that block, and for the workers of streams.

Such a run depends on nothing that is queued, and its values have no other reader. So it needs no task, no values and no
promise, which cost more than a small network. While anything is queued, recorded in a trace or counted against a memory
budget, `run_here` refuses, and the run takes the usual way. It takes its turn among the runs on the lanes all the same:
`Cores` knows of it as of any task.

Inputs. Small arrays are copied into buffers of the pool, which a backend has bound before. Large ones are not copied:
the backend reads the caller's own memory, since the caller is blocked until the run has ended.

Locks. As for `Execution.run`: the timeline's lock is taken to start and to end the run, and not held while it runs.

Interrupts. Nothing outside of this call refers to the run but `Renaming.running`, which `recovery.py` makes anew from
the tasks, and `Cores`, for which the run is over when its state says so. Buffers that are lost are freed.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from threading import current_thread, main_thread
from typing import TYPE_CHECKING, Any, Final
from weakref import ref

import numpy as np

from webnn.errors import ContextLostError, MLError
from webnn.memory.buffer import BORROWED, View, borrowed
from webnn.memory.lease import SMALL, Lease, lend, lendable
from webnn.memory.pool import Shelf
from webnn.scheduler.execution import STEADY
from webnn.scheduler.failures import explained, forget_frames, tell_if_lost
from webnn.scheduler.renaming import Discard
from webnn.scheduler.task import DONE, LoneTask, Task, Work

if TYPE_CHECKING:
    from webnn.scheduler.timeline import Timeline

__all__ = ["is_long_here", "run_here"]

LARGE: Final = 64 * 1024
"""Bytes above which an input is not copied. Below, a copy costs less than binding another array."""

_LONG: Final = 5e8
"""Nanoseconds of a run that Ctrl-C must not have to wait for."""


def is_long_here(cost: float) -> bool:
    """Whether a run would keep Ctrl-C waiting for long, on this thread. An infinite cost is one not measured yet."""
    return _LONG < cost < inf and current_thread() is main_thread()


def run_here(
    timeline: Timeline,
    work: Work,
    given: Sequence[tuple[Shelf, np.ndarray[Any, Any]]],
    outputs: Sequence[tuple[str, Shelf]],
) -> dict[str, np.ndarray[Any, Any]] | None:
    """The outputs of a run of `work` on the arrays in `given`, by name; None if it has to take the usual way.

    Raises:
        ContextLostError: the context was destroyed meanwhile.
        MLError: the run has failed.
    """
    renaming, executable = timeline._renaming, work.executable
    if (
        executable is None
        or renaming.queued
        or renaming.trace is not None
        or not timeline.runs_directly
        or (work.cost > _LONG and is_long_here(work.cost))
    ):
        return None
    execution, widths, figures = timeline._execution, work.widths, work.figures
    clock, cores = execution.clock, execution.cores
    task = LoneTask(work)
    inputs: list[View] = []
    views: list[View] = []
    try:
        called = 0 if figures.runs + 1 < figures.wanted else clock()
        for shelf, array in given:
            if shelf.size > LARGE and array.flags.c_contiguous and array.flags.aligned:
                inputs.append(borrowed(array))
            else:
                inputs.append(shelf.take())  # into no variable, which would outlive an interrupt with its buffer
                inputs[-1].array[...] = array
        with timeline._lock:
            if renaming.discarded:
                renaming.work_off_discarded()  # their buffers may be used here
            begun = renaming.lost is None and not renaming.queued and (not renaming.running or cores.admits(task))
            if begun:
                for _, shelf in outputs:
                    views.append(shelf.take())
                renaming.start_alone(task)
                if widths is not None:
                    executable = cores.start_here(task, widths)
        if not begun:
            _put_back(given, inputs)
            return None
        if widths is not None and widths.wanted:
            widths.compile()
        failure = None
        began = clock()
        try:
            executable.run(inputs, views)
        except Exception as error:
            failure = _failure(timeline, task, error)
        end = execution.now = clock()
        if failure is not None:
            _put_back(given, inputs)
            for (_, shelf), view in zip(outputs, views, strict=True):
                shelf.put(view)
            raise failure
        took, cost = end - began, work.cost
        if not cost <= took < STEADY * cost:  # else there is nothing to learn from it
            work.measured(took)
        with timeline._lock:
            if widths is not None:
                cores.ended(task, began, took)
            renaming.end_alone(task)
            figures.runs += 1
            if called and figures.runs >= figures.wanted:
                figures.ran(called, began, end)
            lost = renaming.lost
        if lost is not None:
            raise ContextLostError(*lost.args)
        results = {}
        for (name, shelf), view in zip(outputs, views):  # noqa: B905 (with `strict` it takes longer)
            array = view.array
            if array.nbytes <= SMALL:
                results[name] = lend(array)
                shelf.put(view)
            else:
                results[name] = _lent(timeline, shelf, view)
        _put_back(given, inputs)
        if renaming.lane:  # a task has waited for the end of this run
            timeline._workers.wake()
    except MLError:  # refused, or failed in the backend: everything is put right
        raise
    except BaseException:
        try:
            _recover(timeline, task, inputs, views)
        except BaseException:  # another interrupt
            _recover(timeline, task, inputs, views)
            raise
        raise
    return results


class _LentView(ref[Lease]):
    """As `results.Lent`, for a view that no value has."""

    __slots__ = ("lent", "shelf", "view")

    lent: dict[int, Discard]
    shelf: Shelf
    view: View

    def discarded(self) -> None:
        """The array has been freed."""
        try:
            lent = self.lent
        except AttributeError:  # an interrupt came while this was made: it holds nothing
            return
        if lent.pop(id(self), None) is not None:
            self.shelf.put(self.view)


def _lent(timeline: Timeline, shelf: Shelf, view: View) -> np.ndarray[Any, Any]:
    """The array of `view`, lent. `shelf` gets the view back when it is freed."""
    base = view.lendable
    if base is None:
        view.lendable = base = lendable(view.array)
    lease = base.view(Lease)
    lease.held = view  # its buffer is in use until then
    watch = _LentView(lease, timeline.discard)
    watch.shelf, watch.view, watch.lent = shelf, view, timeline.lent
    timeline.lent[id(watch)] = watch
    return lease.view(np.ndarray)


def _put_back(given: Sequence[tuple[Shelf, np.ndarray[Any, Any]]], inputs: list[View]) -> None:
    for (shelf, _), view in zip(given, inputs):  # noqa: B905 (with `strict` it takes longer)
        if view.handle is not BORROWED:
            shelf.put(view)


def _failure(timeline: Timeline, task: Task, error: Exception) -> MLError:
    """End the run, which has failed, and return the error to raise."""
    forget_frames(error)
    task.work.failed = True
    with timeline._lock:
        timeline._execution.cores.forget(task)
        timeline._renaming.end_alone(task)
        task.work.figures.failed += 1
    timeline._workers.wake()
    tell_if_lost(error, timeline.device_lost)
    return explained(f"{task.work.figures.label}: the backend failed", error)


def _recover(timeline: Timeline, task: Task, inputs: list[View], views: list[View]) -> None:
    """An interrupt came: the run is over for all others."""
    inputs.clear()  # which frees their buffers: they may be on a shelf already, or not yet
    views.clear()
    task.state = DONE
    with timeline._lock:
        timeline._execution.cores.forget(task)
    timeline._workers.recover()
