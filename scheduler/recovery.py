"""After an interrupt: completes the changes of a timeline's state that were cut off.

A signal handler can raise between any two steps of a change. Every change in `renaming.py` has one deciding step. Here
everything that follows from the deciding steps is derived again, from the tasks in `Renaming.live`, their states,
errors and views, and the values that they read and make. Pure, as that module is, and called under the same lock.
"""

from __future__ import annotations

from collections.abc import Sequence

from webnn.errors import OperationError
from webnn.memory.buffer import View
from webnn.scheduler.donation import restored
from webnn.scheduler.renaming import Renaming
from webnn.scheduler.task import DONE, FAILED, QUEUED, RUNNING, Task
from webnn.scheduler.value import Name

__all__ = ["bind_outputs", "put_back", "rebuild"]


def rebuild(renaming: Renaming) -> None:
    """Complete the changes that an interrupt has cut off, and derive everything that follows from them again.

    Holds are left as they are. A value may then have too many, and its buffer does not go back to the shelf. Ready
    tasks go to the lanes. This may be interrupted too, and called again.
    """
    renaming.inline.clear()
    renaming.lane.clear()
    renaming._uncompiled.clear()
    renaming._handed.clear()
    queued = queued_bytes = 0
    running: set[Task] = set()
    for task in list(renaming.live):  # producers come before their consumers
        task.consumers = {}
        if task.views is not None:
            _complete_run(renaming, task)
        elif task.error is not None or task.state not in (QUEUED, RUNNING):
            _complete_end(renaming, task)
        elif task.state is RUNNING:
            running.add(task)
            renaming._handed.add(task)
        elif _requeue(renaming, task):
            queued += 1
            queued_bytes += task.work.byte_length
    renaming.running = running
    renaming.queued, renaming.queued_bytes = queued, queued_bytes


def _complete_run(renaming: Renaming, task: Task) -> None:
    assert task.views is not None
    for value, view in zip(task.outputs, task.views, strict=True):
        if value.producer is task:
            value.view = view
            value.producer = None
    if task.placement is not None:
        for value in task.placement.donated.values():
            value.view = None
        for i, (value, undo) in task.placement.borrowed.items():
            if value.producer is task:
                if value.undo is undo and value.view is None:
                    undo.successor = task.outputs[i]
                    value.error = restored(value)
                value.producer = None
    task.state = DONE
    renaming._end(task)


def _complete_end(renaming: Renaming, task: Task) -> None:
    if task.state is QUEUED or task.state is RUNNING:
        task.state = FAILED
    if task.placement is not None:
        task.placement.give_back()
    if task.error is not None:
        renaming._spoil(task, task.error)
    renaming._end(task)


def _requeue(renaming: Renaming, task: Task) -> bool:
    """Register a queued task with everything that it waits for. Returns whether it is still queued."""
    error, unmet = task.work.error, 0
    for value in task.inputs:
        if value.view is None:
            if value.producer is not None:
                consumers = value.producer.consumers
                consumers[task] = consumers.get(task, 0) + 1
                unmet += 1
            else:
                error = value.error if value.undo is None else restored(value)
    if error is not None:
        task.error = error
        _complete_end(renaming, task)
        return False
    if task.work.executable is None:
        task.work.waiting[task] = None
        renaming._uncompiled.add(task.work)
        unmet += 1
    else:
        task.work.waiting.pop(task, None)  # `compiled` may be about to be called
    task.unmet = unmet
    if unmet == 0:
        renaming.lane[task] = None
    return True


def put_back(renaming: Renaming, task: Task, runner: list[View]) -> None:
    """Queue `task` again if the run `runner` was interrupted between the start and the end of the task.

    `rebuild` must be called next.
    """
    if task.runner is runner and task.state is RUNNING and task.views is None and task.error is None:
        renaming._give_back(task)
        placement, task.placement = task.placement, None
        if placement is not None:
            placement.give_back()
        if placement is not None and not placement.repeatable:
            task.error = OperationError("the run was interrupted when it may have overwritten an input in place")
        else:
            task.move(QUEUED)


def bind_outputs(renaming: Renaming, task: Task, names: Sequence[Name]) -> None:
    """Complete a dispatch that was interrupted: if its task was queued, let `names` mean its outputs.

    `rebuild` must be called next.
    """
    if task in renaming.live or task in renaming.ended:
        for i, value in enumerate(task.outputs):
            if names[i].value is not value:
                renaming.bind(names[i], value)
