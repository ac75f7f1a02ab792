"""A task is one run of a graph on the timeline. Its states and their legal moves are one table."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Final, Protocol

from webnn.backends.base import Executable
from webnn.memory.buffer import View
from webnn.memory.pool import Shelf
from webnn.scheduler.value import Value

__all__ = ["MOVES", "Task", "TaskState", "Waiter", "Work"]


class TaskState(IntEnum):
    """Where a task is in its life."""

    QUEUED = 0
    RUNNING = 1
    DONE = 2
    FAILED = 3
    DROPPED = 4
    CANCELLED = 5


QUEUED, RUNNING, DONE, FAILED, DROPPED, CANCELLED = TaskState

MOVES: Final[dict[TaskState, frozenset[TaskState]]] = {
    QUEUED: frozenset({RUNNING, FAILED, DROPPED, CANCELLED}),  # FAILED: something that it reads has failed
    RUNNING: frozenset({DONE, FAILED, QUEUED}),  # QUEUED: an interrupt came before it had run
    DONE: frozenset(),
    FAILED: frozenset(),
    DROPPED: frozenset(),
    CANCELLED: frozenset(),
}


class Waiter(Protocol):
    """Whoever wants to know when a task has ended."""

    def task_ended(self, task: Task) -> None:
        """Called without the timeline's lock, on the thread that ended the task; after an interrupt a second time."""
        ...

    def reject(self, error: BaseException) -> None:
        """Give up waiting: the context is gone."""
        ...

    def forked(self, error: BaseException) -> None:
        """As `reject`, in a child process that was forked: whoever waits belongs to the parent, and is not told."""
        ...


class Work:
    """What tasks of one graph run: its executable, once there is one, and what a run has cost.

    A run's cost decides whether it is worth a thread hop. The estimate falls to a cheaper run at once and rises
    slowly: one run that was preempted does not move a graph away from the inline lane.
    """

    __slots__ = ("byte_length", "cost", "error", "executable", "waiting")

    def __init__(self, byte_length: int) -> None:
        self.byte_length = byte_length
        """Bytes of the buffers of all outputs of one run."""
        self.executable: Executable | None = None
        self.error: BaseException | None = None
        """Why there will be no executable."""
        self.cost: float = float("inf")
        """Nanoseconds of one run."""
        self.waiting: dict[Task, None] = {}
        """Queued tasks that wait for the executable, oldest first."""

    def measured(self, nanoseconds: int) -> None:
        """Take one run's duration into the estimate."""
        cost = self.cost
        if nanoseconds < cost:
            self.cost = nanoseconds
        elif nanoseconds < 5 * cost:
            self.cost = cost + (nanoseconds - cost) / 8
        else:
            self.cost = 1.5 * cost


class Task:
    """One dispatch, from the call to its end. Only `Renaming` moves it from state to state.

    It holds its inputs. Its outputs are born with one hold, which is for whoever submits the task to give away.
    """

    __slots__ = ("consumers", "error", "inputs", "outputs", "runner", "state", "unmet", "views", "waiters", "work")

    def __init__(self, work: Work, inputs: Sequence[Value], shelves: Sequence[Shelf]) -> None:
        self.work = work
        self.inputs = inputs
        self.outputs: list[Value] = []
        for shelf in shelves:  # a comprehension costs a call more, here where it counts
            self.outputs.append(Value(shelf, self, None))
        self.state = QUEUED
        self.error: BaseException | None = None
        self.views: Sequence[View] | None = None
        """The memory of its outputs once it has run; a task that has this is done, whatever interrupts what follows."""
        self.runner: object = None
        """Who has started it."""
        self.unmet = 0
        """How many of the things it waits for are not there: tasks that make its inputs, and its executable."""
        self.consumers: dict[Task, int] = {}
        """Queued tasks that wait for this one, and for how many of their inputs."""
        self.waiters: list[Waiter] = []

    def move(self, state: TaskState) -> None:
        """Go to `state`; an illegal move is a bug of ours."""
        assert state in MOVES[self.state], f"a task cannot go from {self.state.name} to {state.name}"
        self.state = state
