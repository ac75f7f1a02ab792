"""What a timeline gives back: the handle of a dispatch, and the sources of promises: of its end, of a read, of a run.

Each of these promises waits for at most one task. Its source can hurry that task along on the waiter's own thread, if
the task is cheap. A result that is lent takes over the source's hold on the value.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar
from weakref import ref

import numpy as np

from webnn.errors import OperationError
from webnn.graph.arguments import described
from webnn.graph.unpicklable import Unpicklable
from webnn.memory.lease import Lease, lend
from webnn.memory.pool import Shelf
from webnn.scheduler.bridge import current_bridge
from webnn.scheduler.deadlines import Deadline
from webnn.scheduler.promise import PENDING, RESOLVED, Promise, abandon, reject, resolve, settling
from webnn.scheduler.task import Task
from webnn.scheduler.value import Name, Value

if TYPE_CHECKING:
    from webnn.scheduler.timeline import Timeline

__all__ = ["Dispatch", "End", "Lent", "Read", "Run"]


class Dispatch(Unpicklable):
    """What `dispatch` gives back: await it for room in the queue, or `finished()` for the end of the work."""

    __slots__ = ("__weakref__", "_task", "_timeline")

    _why_unpicklable: ClassVar[str] = "it is work of this process; read its outputs, and send the arrays"

    def __init__(self, timeline: Timeline, task: Task) -> None:
        self._timeline = timeline
        self._task = task

    def __await__(self) -> Generator[Any, Any, Dispatch]:
        timeline = self._timeline
        if timeline.room.is_crowded:
            yield from timeline.make_room().__await__()
        if timeline.inline.breath_due():
            bridge = current_bridge()
            if bridge is not None:
                yield from bridge.breathe()
        return self

    def finished(self) -> Promise[None]:
        """Settles when the work has ended: with its error if it failed; at once if it was not worth running."""
        return self._timeline.end_of(self._task)

    def __repr__(self) -> str:
        return f"<Dispatch {self._task.state.name.lower()}>"


class End(ref[Promise[Any]]):
    """The end of a task, for a promise: its error if it failed; at once if it was not worth running.

    It is a weak reference to its promise: one that cannot be reached any more gives up its work, unless a callback was
    left on it. No Python code runs when the promise goes, since a Ctrl-C in a finalizer is lost; the reference is just
    added to the timeline's `discarded`.
    """

    __slots__ = ("kept", "task", "timeline")

    timeline: Timeline
    task: Task | None
    """What has to end first."""
    kept: Promise[Any] | None
    """The promise, as long as a callback waits for it."""

    def begin(self, promise: Promise[Any], timeline: Timeline, task: Task | None) -> None:
        """Be the source of `promise`, which this has been made a reference to; what a subclass holds is set before."""
        self.timeline = timeline
        self.task = task
        self.kept = None
        promise._source = self

    # For whoever ends the task.

    def task_ended(self, task: Task) -> None:
        """The task has ended: settle as it did."""
        promise = self()
        if promise is not None and promise._status is PENDING:
            if task.error is not None:
                reject(promise, task.error)
            else:
                self.deliver(promise)

    def reject(self, error: BaseException) -> None:
        """Give up waiting: the context is gone."""
        promise = self()
        if promise is not None:
            reject(promise, error)

    def forked(self, error: BaseException) -> None:
        """This process is a child that was forked: settle without a word to those who wait."""
        promise = self()
        if promise is not None:
            abandon(promise, error)

    def deliver(self, promise: Promise[Any]) -> None:
        """What was waited for is there: settle."""
        resolve(promise, None)

    # For the promise.

    def advance(self, promise: Promise[Any]) -> bool:
        """Run the task here if it is cheap."""
        if self.task is None:
            self.deliver(promise)
            return self.timeline.inline.breath_due(look=True)
        return self.timeline.inline.advance(self.task)

    def drive(self, promise: Promise[Any], timeout: float | None) -> None:
        """Run the task here; if the time is limited, only if it is cheap."""
        if self.task is None:
            self.deliver(promise)
        elif timeout is None:
            self.timeline.inline.drive(self.task)
        else:
            while self.timeline.inline.advance(self.task) and promise._status is PENDING:
                pass

    def expect(self, promise: Promise[Any]) -> None:
        """Have the task run at the end of the tick, or on a lane."""
        if self.task is None and current_bridge() is None:
            self.deliver(promise)
        else:
            self.timeline.inline.expect(self.task)

    def expect_elsewhere(self, _: Promise[Any]) -> None:
        """Have the task run on a lane."""
        self.timeline.inline.expect_elsewhere()

    def keep(self, promise: Promise[Any] | None) -> None:
        """Keep the promise alive."""
        self.kept = promise

    def let_go(self, _: object) -> None:
        """Nothing else is held."""
        self.kept = None

    def discarded(self) -> None:
        """The promise is gone."""
        with suppress(AttributeError):  # an interrupt came while this was made, and it holds nothing
            self.let_go(None)


class Read(End):
    """A read of the value that a name had at the call, for a promise: an array, or `out` filled."""

    __slots__ = ("filling", "name", "out", "value")

    name: Name
    value: Value | None
    """What is read; it has a hold on it."""
    out: np.ndarray[Any, Any] | None
    filling: bool
    """Whether a thread is filling `out`."""

    def task_ended(self, task: Task) -> None:
        """The task has ended: settle as the value is."""
        promise = self()
        if promise is None or promise._status is not PENDING:
            return
        value = self.value
        if self.out is None and value is not None and (view := value.view) is not None:
            promise._settle(RESOLVED, lend(self.timeline.host_array(view)), None)
        else:
            self.deliver(promise)

    def deliver_unasked(self) -> None:
        """As `deliver`, for a value that was there all along."""
        promise = self()
        if promise is not None:
            self.deliver(promise)
        self.timeline.inline.unsettled.pop(id(self), None)

    def deliver(self, promise: Promise[Any]) -> None:
        """The value is there, or has failed: settle."""
        value = self.value
        if value is None:  # another thread was faster
            return
        if value.error is not None:
            reject(promise, value.error)
        elif self.out is not None:
            self._fill(promise, value, self.out)
        elif (view := value.view) is not None:
            promise._settle(RESOLVED, lend(self.timeline.host_array(view)), None)

    def _fill(self, promise: Promise[Any], value: Value, out: np.ndarray[Any, Any]) -> None:
        mine = False
        try:
            with settling:
                if self.filling:  # by another thread; one who filled it after that has settled would spoil it
                    return
                self.filling = mine = True
            if promise._status is PENDING and value.view is not None:
                # One who cancels while the bytes are copied has still given `out` for it.
                np.copyto(out, self.timeline.host_array(value.view))
                resolve(promise, out)
        except Exception as error:
            reject(promise, OperationError(f"read_tensor: out cannot be filled any more: {described(error)}"))
        finally:
            if mine:
                self.filling = False

    def let_go(self, result: Any) -> None:
        """Give up the hold on the value, or hand it to the array that was lent."""
        self.kept = None
        if self.task is None:
            self.timeline.inline.unsettled.pop(id(self), None)
        value, self.value = self.value, None
        if value is not None and value.error is None:
            if result is None or result.base is None or self.out is not None:
                self.timeline.discard(value)
            else:
                _give_back(self.timeline, value, result)


class Run(End):
    """A run without tensors, for a promise: its outputs by name."""

    __slots__ = ("deadline", "outputs", "values")

    outputs: Sequence[tuple[str, Shelf]]
    """Their names and shelves, as the run was given them."""
    values: Sequence[Value] | None
    """A hold on each of them."""
    deadline: Deadline | None
    """When the promise is rejected, if that was asked for."""

    def deliver(self, promise: Promise[Any]) -> None:
        """The outputs are there: settle."""
        host_array, outputs = self.timeline.host_array, {}
        for (name, _), value in zip(self.outputs, self.values or (), strict=False):
            if value.view is None:  # another thread was faster
                return
            outputs[name] = lend(host_array(value.view))
        promise._settle(RESOLVED, outputs, None)

    def let_go(self, result: Any) -> None:
        """Give up the holds on the values, or hand them to the arrays that were lent."""
        self.kept = None
        if self.deadline is not None:
            self.deadline.call_off()
        values, self.values = self.values, None
        for (name, _), value in zip(self.outputs, values or (), strict=False):
            if value.error is None:
                _give_back(self.timeline, value, None if result is None else result[name])


class Lent(ref[Lease]):
    """A weak reference to a lease, which tells the timeline when the lent array is gone."""

    __slots__ = ("timeline", "value")

    timeline: Timeline
    value: Value

    def discarded(self) -> None:
        """The array is gone."""
        if self.timeline.lent.pop(id(self), None) is not None:
            self.timeline.discard(self.value)


def _give_back(timeline: Timeline, value: Value, array: np.ndarray[Any, Any] | None) -> None:
    """Give up a hold on `value`; once `array` is gone, if it is lent."""
    lease = None if array is None else array.base
    if isinstance(lease, Lease):
        lease.held = value  # its buffer is in use until then
        lent = Lent(lease, timeline.discard)
        lent.timeline, lent.value = timeline, value
        timeline.lent[id(lent)] = lent
    else:
        timeline.discard(value)
