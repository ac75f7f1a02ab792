"""What a timeline gives back: the handle of a dispatch, and the sources of the promises of its end, of a read, of a run.

Each of these promises waits for at most one task. Its source can hurry that task along on the waiter's own thread, if
the task is cheap. A result that is lent takes over the source's hold on the value.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar
from weakref import ref

import numpy as np

from webnn.errors import OperationError
from webnn.graph.arguments import described
from webnn.graph.unpicklable import Unpicklable
from webnn.memory.lease import Lease, lend
from webnn.scheduler.bridge import current_bridge
from webnn.scheduler.promise import PENDING, Promise, abandon, reject, resolve, settling
from webnn.scheduler.task import Task
from webnn.scheduler.value import Name, Value

if TYPE_CHECKING:
    from webnn.scheduler.timeline import Timeline

__all__ = ["Dispatch", "End", "Read", "Run"]


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


class End:
    """The end of a task, for a promise: its error if it failed; at once if it was not worth running.

    It knows its promise weakly, so that a promise that cannot be reached any more gives up its work, unless a callback
    was left on it.
    """

    __slots__ = ("_kept", "_promise", "_task", "_timeline")

    def __init__(self, timeline: Timeline, task: Task | None) -> None:
        self._timeline = timeline
        self._task = task
        self._kept: Promise[Any] | None = None

    def promise(self) -> Promise[Any]:
        """The promise whose source this is; called once."""
        promise: Promise[Any] = Promise(self)
        self._promise = ref(promise)
        return promise

    # For whoever ends the task.

    def task_ended(self, task: Task) -> None:
        """The task has ended: settle as it did."""
        promise = self._promise()
        if promise is not None and promise._status is PENDING:
            if task.error is not None:
                reject(promise, task.error)
            else:
                self.deliver(promise)

    def reject(self, error: BaseException) -> None:
        """Give up waiting: the context is gone."""
        promise = self._promise()
        if promise is not None:
            reject(promise, error)

    def forked(self, error: BaseException) -> None:
        """This process is a child that was forked: settle without a word to those who wait."""
        promise = self._promise()
        if promise is not None:
            abandon(promise, error)

    def deliver(self, promise: Promise[Any]) -> None:
        """What was waited for is there: settle."""
        resolve(promise, None)

    # For the promise.

    def advance(self, promise: Promise[Any]) -> bool:
        if self._task is None:
            self.deliver(promise)
            return self._timeline.inline.breath_due(look=True)
        return self._timeline.inline.advance(self._task)

    def drive(self, promise: Promise[Any], timeout: float | None) -> None:
        if self._task is None:
            self.deliver(promise)
        elif timeout is None:
            self._timeline.inline.drive(self._task)
        else:
            while self._timeline.inline.advance(self._task) and promise._status is PENDING:
                pass

    def expect(self, promise: Promise[Any]) -> None:
        if self._task is None and current_bridge() is None:
            self.deliver(promise)
        else:
            self._timeline.inline.expect(self._task)

    def expect_elsewhere(self, _: Promise[Any]) -> None:
        self._timeline.inline.expect_elsewhere()

    def keep(self, promise: Promise[Any] | None) -> None:
        self._kept = promise

    def let_go(self, _: object) -> None:
        self._kept = None


class Read(End):
    """A read of the value that a name had at the call, for a promise: an array, or `out` filled."""

    __slots__ = ("_filling", "_out", "_value", "name")

    def __init__(self, timeline: Timeline, name: Name, value: Value, out: np.ndarray[Any, Any] | None) -> None:
        self._timeline = timeline
        self._task = value.producer
        self._kept = None
        self.name = name
        self._value: Value | None = value
        self._out = out
        self._filling = False

    def deliver_unasked(self) -> None:
        """As `deliver`, for a value that was there all along."""
        promise = self._promise()
        if promise is not None:
            self.deliver(promise)

    def deliver(self, promise: Promise[Any]) -> None:
        """The value is there, or has failed: settle."""
        value = self._value
        if value is None:  # another thread was faster
            return
        if value.error is not None:
            reject(promise, value.error)
        elif self._out is not None:
            self._fill(promise, value, self._out)
        elif (view := value.view) is not None:
            resolve(promise, lend(self._timeline.allocator.host_array(view)))

    def _fill(self, promise: Promise[Any], value: Value, out: np.ndarray[Any, Any]) -> None:
        with settling:
            if self._filling:  # by another thread; one who filled it after that has settled would spoil it
                return
            self._filling = True
        try:
            if promise._status is PENDING and value.view is not None:
                # One who cancels while the bytes are copied has still given `out` for it.
                np.copyto(out, self._timeline.allocator.host_array(value.view))
                resolve(promise, out)
        except Exception as error:
            reject(promise, OperationError(f"read_tensor: out cannot be filled any more: {described(error)}"))
        finally:
            self._filling = False

    def let_go(self, result: Any) -> None:
        self._kept = None
        value, self._value = self._value, None
        if value is not None and value.error is None:
            _give_back(self._timeline, value, None if self._out is not None else result)
        self._timeline.inline.unsettled.discard(self)


class Run(End):
    """A run without tensors, for a promise: its outputs by name."""

    __slots__ = ("_names", "_values")

    def __init__(self, timeline: Timeline, names: Sequence[str], task: Task) -> None:
        End.__init__(self, timeline, task)
        self._names = names
        self._values: Sequence[Value] | None = task.outputs

    def deliver(self, promise: Promise[Any]) -> None:
        """The outputs are there: settle."""
        host_array, outputs = self._timeline.allocator.host_array, {}
        for name, value in zip(self._names, self._values or (), strict=False):
            if value.view is None:  # another thread was faster
                return
            outputs[name] = lend(host_array(value.view))
        resolve(promise, outputs)

    def let_go(self, result: Any) -> None:
        self._kept = None
        values, self._values = self._values, None
        for name, value in zip(self._names, values or (), strict=False):
            if value.error is None:
                _give_back(self._timeline, value, None if result is None else result[name])


def _give_back(timeline: Timeline, value: Value, array: np.ndarray[Any, Any] | None) -> None:
    """Give up a hold on `value`; once `array` is gone, if it is lent."""
    lease = None if array is None else array.base
    if isinstance(lease, Lease):
        lease.hold(value, timeline.discard)
    else:
        timeline.discard(value)
