"""A batch: requests that run together, and the task that runs them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from webnn.backends.base import Executable
from webnn.memory.buffer import View
from webnn.scheduler.batches.request import Input, Request
from webnn.scheduler.deadlines import Deadline
from webnn.scheduler.promise import abandon, reject
from webnn.scheduler.task import QUEUED, RUNNING, Task, Work
from webnn.scheduler.trace import Recorder
from webnn.scheduler.value import Value

if TYPE_CHECKING:
    from webnn.scheduler.batches.batcher import Batcher
    from webnn.scheduler.batches.under_way import UnderWay
    from webnn.scheduler.results import End

__all__ = ["Batch"]


class Batch(Executable):
    """Requests that run together, and the task that runs them.

    Args:
        batcher: has made it.
    """

    def __init__(self, batcher: Batcher) -> None:
        super().__init__((), ())
        self._batcher = batcher
        self.requests: list[Request] = []
        self.work = Work(0, batcher.figures)
        self.task = Task(self.work, (), ())
        self.task.waiters.append(self)
        self.due: dict[int, tuple[Batch, list[Request]]] = {}
        """Requests of this batch and of the one before that were computed and are to be settled, by their identity."""
        self.deadline: Deadline | None = None
        """When it need not gather any more, if it is held back and could run beside others."""
        self.hurries = False
        """Whether it is full, or has waited for `max_delay`, and may run beside others."""
        self.under_way: UnderWay | None = None
        """What it computes at the moment, if that can be ended early."""

    __eq__ = object.__eq__  # two batches are never the same, while executables are compared by their tensors
    __hash__ = object.__hash__

    def wake(self) -> None:
        """Wake a lane for it, for which the caller is about to wait."""
        self._batcher.workers.wake(waiting=True)

    def call(self, function: Callable[[], object]) -> None:
        """Call `function` on a lane. Takes no lock of the timeline."""
        self._batcher.workers.call(function)

    @property
    def ends(self) -> bool:
        """Whether all of its requests have been given up, and what is computed of it ends soon."""
        under_way = self.under_way
        return under_way is not None and under_way.is_last and under_way.ends

    def look(self) -> None:
        """A request was given up that is being computed, perhaps."""
        self._batcher.look(self)

    def drop(self, request: Request) -> None:
        """`request` was given up while it was computed, and its run has ended early. Called under the lock."""
        self._batcher.count_drop(request.forgone)

    def leave(self, request: Request, inputs: list[Input]) -> None:
        """`request` was given up before it began. Called under the lock."""
        self._batcher.computation.give_back(inputs)
        if self.task.state is QUEUED or self.task.state is RUNNING:
            self._batcher.count_drop(request.forgone)
        if self.task.state is not QUEUED:
            return
        self.requests = [other for other in self.requests if other is not request]
        self._batcher.grow(self, -1)
        if not self.requests:
            self._batcher.withdraw(self)

    # As a waiter of its task.

    def collect(self, release: Callable[[Value], None], trace: Recorder | None) -> None:
        """Its task has no results."""

    def task_ended(self, task: Task) -> None:
        """It has run; or it failed or was cancelled without."""
        if task.error is not None:
            self._batcher.computation.settle_due(self)
            self.reject(task.error)
        self.requests = []
        self._batcher.ended(self)

    def reject(self, error: BaseException) -> None:
        """Reject all requests that have not settled."""
        for request in list(self.requests):
            promise = request()
            if promise is not None:
                reject(promise, error)

    def forked(self, error: BaseException) -> None:
        """This process is a forked child: settle without telling the waiters."""
        for request in [*self.requests, *(each for _, requests in self.due.values() for each in requests)]:
            promise = request()
            if promise is not None:
                abandon(promise, error)

    def observed(self) -> Sequence[End]:
        """The requests whose promises are pending and can be reached."""
        return [each for request in list(self.requests) for each in request.observed()]

    # As an executable.

    def run(self, inputs: Sequence[View], outputs: Sequence[View]) -> None:
        """Compute the requests in as many runs as it takes."""
        self._batcher.computation.compute(self)
