"""A task is one run of a graph on the timeline. Its states and their legal moves are one table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, Final, Protocol

from webnn.backends.base import Ending, Executable
from webnn.graph.ir import Graph
from webnn.memory.buffer import View
from webnn.memory.pool import Shelf
from webnn.scheduler.statistics import GraphFigures
from webnn.scheduler.value import Name, Value
from webnn.scheduler.width import Widths

if TYPE_CHECKING:
    from webnn.scheduler.donation import Placement
    from webnn.scheduler.results import End
    from webnn.scheduler.trace import Recorder

__all__ = ["MERGED_LIMIT", "MOVES", "LoneTask", "MergedWork", "Task", "TaskState", "Waiter", "Work", "needed_for"]


class TaskState(IntEnum):
    """The state of a task."""

    QUEUED = 0
    RUNNING = 1
    DONE = 2
    FAILED = 3
    DROPPED = 4
    CANCELLED = 5


QUEUED, RUNNING, DONE, FAILED, DROPPED, CANCELLED = TaskState

MOVES: Final[dict[TaskState, frozenset[TaskState]]] = {
    QUEUED: frozenset({RUNNING, FAILED, DROPPED, CANCELLED}),  # FAILED: a value that it reads has failed
    RUNNING: frozenset({DONE, FAILED, DROPPED, QUEUED}),  # QUEUED: an interrupt came before it had run
    DONE: frozenset(),
    FAILED: frozenset(),
    DROPPED: frozenset(),
    CANCELLED: frozenset(),
}


MERGED_LIMIT: Final = 250_000
"""Nanoseconds of several dispatches as one graph, up to which it may run inline: a quarter of a tick's budget."""


class Waiter(Protocol):
    """An object that is told when a task has ended."""

    def collect(self, release: Callable[[Value], None], trace: Recorder | None) -> None:
        """Copy the results of the task, which are small and available, and `release` them. Called under the lock.

        The waiter is told of the end of the task next, so an open `trace` counts them as delivered.
        """
        ...

    def task_ended(self, task: Task) -> None:
        """Called without the timeline's lock, on the thread that ended the task. After an interrupt, called again."""
        ...

    def reject(self, error: BaseException) -> None:
        """Fail with `error`, and wait no longer: the context or the tensor is gone, or the result cannot be read."""
        ...

    def forked(self, error: BaseException) -> None:
        """Like `reject`, in a forked child: callbacks and event loops belong to the parent, and are not called."""
        ...

    def observed(self) -> Sequence[End]:
        """The sources of those promises that wait for the task and can be reached."""
        ...


class Work:
    """The work of one graph's tasks: the executable, once it is compiled, and the cost of a run.

    The cost decides whether a run is worth a thread hop. The estimate falls to a cheaper run at once and rises slowly,
    so that one run that was preempted does not move a graph away from the inline lane.
    """

    __slots__ = (
        "byte_length",
        "cost",
        "endings",
        "error",
        "executable",
        "failed",
        "figures",
        "graph",
        "prompt",
        "unlooked",
        "waiting",
        "wanted",
        "widths",
    )

    def __init__(self, byte_length: int, figures: GraphFigures | None = None) -> None:
        self.byte_length = byte_length
        """Bytes of the buffers of all outputs of a run."""
        self.executable: Executable | None = None
        self.error: BaseException | None = None
        """The reason why there will be no executable."""
        self.cost: float = float("inf")
        """Nanoseconds of a run."""
        self.endings: list[Ending] = []
        """Those of earlier runs, which nothing has asked to end. Making one takes 2 us, and 20 us with cold caches."""
        self.prompt = 0
        """The number of tasks in a row that were awaited at once; see `PROMPT` in `ready.py`."""
        self.failed = False
        """Whether a run has failed."""
        self.waiting: dict[Task, None] = {}
        """Queued tasks that wait for the executable, oldest first."""
        self.wanted: Callable[[], object] = bool
        """Called when a task begins to wait for the executable. (`bool()` does nothing.)"""
        self.figures = GraphFigures() if figures is None else figures
        self.widths: Widths | None = None
        """The executables for both widths of a run; None if all runs are the same."""
        self.graph: Graph | None = None
        """What is computed; None if its runs are not to be merged with others, see `hot_chains.py`."""
        self.unlooked = 0
        """The number of chains with a last run of this work that run one by one without a look at their shape."""

    def measured(self, nanoseconds: int) -> None:
        """Update the estimate with the duration of one run."""
        cost = self.cost
        if nanoseconds < cost:
            self.cost = nanoseconds
        elif nanoseconds < 5 * cost:
            self.cost = cost + (nanoseconds - cost) / 8
        else:
            self.cost = 1.5 * cost


class MergedWork(Work):
    """The work of several dispatches that are run as one graph.

    One after another they would run inline, if each is cheap, and the caller's thread would be busy for longer. So
    together they do, too, up to a limit.

    Args:
        byte_length: see `Work`.
        figures: see `Work`.
        dispatches: how many.
    """

    __slots__ = ("dispatches", "total")

    def __init__(self, byte_length: int, figures: GraphFigures, dispatches: int) -> None:
        super().__init__(byte_length, figures)
        self.dispatches = dispatches
        self.total = self.cost
        """Nanoseconds of a run. Up to the limit, `cost` is the share of one dispatch."""

    def measured(self, nanoseconds: int) -> None:
        """Update both estimates with the duration of one run."""
        self.cost = self.total
        super().measured(nanoseconds)
        self.total = self.cost
        if self.total < MERGED_LIMIT:
            self.cost = self.total / self.dispatches


class Task:
    """One dispatch, from the call to its end. Only `Renaming` moves it from state to state.

    It holds its inputs. Each output starts with one hold, which the code that submits the task passes on.
    """

    __slots__ = (
        "consumers",
        "ending",
        "error",
        "forgone",
        "inputs",
        "memory",
        "names",
        "outputs",
        "placement",
        "queued_at",
        "runner",
        "state",
        "unmet",
        "views",
        "waiters",
        "work",
    )

    queued_at: int
    """The time of the call in nanoseconds; 0 if it is not wanted, see `GraphFigures.wanted`."""
    ending: Ending
    """Ends its run early. Not set unless it has started with one."""
    forgone: str
    """Why a promise of its results has been given up. Not set unless one has."""

    def __init__(self, work: Work, inputs: Sequence[Value], shelves: Sequence[Shelf]) -> None:
        self.work = work
        self.inputs = inputs
        self.outputs: list[Value] = []
        if shelves:  # a dispatch adds its outputs by itself
            for shelf in shelves:  # a comprehension costs another call, which is measurable here
                self.outputs.append(Value(shelf, self, None))
        self.state = QUEUED
        self.error: BaseException | None = None
        self.memory: list[View] | None = None
        """The memory of its outputs if it was given to the task when it was queued. Taken out when it starts."""
        self.views: Sequence[View] | None = None
        """The memory of its outputs once it has run. A task with views is done, even if an interrupt follows."""
        self.names: Sequence[Name] | None = None
        """The names that had its inputs at the call, until it starts."""
        self.placement: Placement | None = None
        """The memory of its run, while it runs, if its graph can run in place."""
        self.runner: list[View] | None = None
        """The memory with which it was started. The list also identifies the run; see `put_back` in `recovery.py`."""
        self.unmet = 0
        """The number of things that it still waits for: inputs that other tasks make, and its executable."""
        self.consumers: dict[Task, int] = {}
        """The queued tasks that wait for this one, each with the number of inputs that it waits for."""
        self.waiters: list[Waiter] = []

    def move(self, state: TaskState) -> None:
        """Change to `state`. An illegal move is a bug in this package."""
        assert state in MOVES[self.state], f"a task cannot go from {self.state.name} to {state.name}"
        self.state = state


class LoneTask(Task):
    """A run that waits for nothing and that nothing waits for. It has only what others ask of it while it runs."""

    __slots__ = ()

    def __init__(self, work: Work) -> None:
        self.work = work
        self.state = QUEUED


def needed_for(task: Task) -> list[Task] | None:
    """The queued tasks that must run for `task`, producers first; None if one is running or not compiled."""
    if task.unmet == 0:
        return [task]
    if task.unmet == 1:
        chain = _chain_to(task)
        if chain is not None:
            return chain
    order: list[Task] = []
    done: set[Task] = set()
    stack = [task]
    while stack:
        top = stack[-1]
        if top in done:
            stack.pop()
            continue
        if top.state is RUNNING or top in top.work.waiting:
            return None
        missing = [v.producer for v in top.inputs if v.producer is not None and v.producer not in done]
        if missing:
            stack.extend(missing)
        else:
            stack.pop()
            done.add(top)
            order.append(top)
    return order


def _chain_to(task: Task) -> list[Task] | None:
    """`needed_for` in the common case, a chain of queued tasks, each of which waits for one input."""
    chain = [task]
    while task.unmet == 1:
        producer = None
        for value in task.inputs:
            if value.view is None:
                producer = value.producer
        if producer is None or producer.state is RUNNING:  # it waits for its executable, or for another thread
            break
        task = producer
        chain.append(task)
    if task.unmet:
        return None
    chain.reverse()
    return chain
