"""What a timeline gives back: the handle of a dispatch, and the promises of its end, of a read and of a run.

Each promise waits for at most one task. It can hurry that task along on the waiter's own thread, if the task is cheap.
A result that is lent takes over the promise's hold on the value.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from webnn.errors import OperationError
from webnn.graph.arguments import described
from webnn.memory.lease import lend
from webnn.scheduler.bridge import current_bridge
from webnn.scheduler.promise import PENDING, RESOLVED, Promise, settling
from webnn.scheduler.task import Task
from webnn.scheduler.value import Name, Value

if TYPE_CHECKING:
    from webnn.scheduler.timeline import Timeline

__all__ = ["Dispatch", "Finished", "Read", "Run"]


class Dispatch(Task):
    """What `dispatch` gives back: await it for room in the queue, or `finished()` for the end of the work."""

    __slots__ = ("_timeline",)

    _timeline: Timeline

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
        promise = Finished(self._timeline, self)
        self._timeline.watch(self, promise)
        return promise

    def __repr__(self) -> str:
        return f"<Dispatch {self.state.name.lower()}>"


class Finished(Promise[None]):
    """The end of a task: its error if it failed; at once if it was not worth running."""

    __slots__ = ("_task", "_timeline")

    def __init__(self, timeline: Timeline, task: Task | None) -> None:
        Promise.__init__(self)
        self._timeline = timeline
        self._task = task

    def task_ended(self, task: Task) -> None:
        """The task has ended: settle as it did."""
        if task.error is not None:
            self.reject(task.error)
        else:
            self.deliver()

    def deliver(self) -> None:
        """What was waited for is there: settle."""
        self.resolve(None)

    def _advance(self) -> bool:
        if self._task is None:
            self.deliver()
            return self._timeline.inline.breath_due(look=True)
        return self._timeline.inline.advance(self._task)

    def _expect(self) -> None:
        if self._task is None and current_bridge() is None:
            self.deliver()
        else:
            self._timeline.inline.expect(self._task)

    def _drive(self, timeout: float | None) -> None:
        if self._task is None:
            self.deliver()
        elif timeout is None:
            self._timeline.inline.drive(self._task)
        else:
            while self._timeline.inline.advance(self._task) and self._state is PENDING:
                pass


class Read(Finished):
    """A read of the value that a name had at the call: an array, or `out` filled."""

    __slots__ = ("_name", "_out", "_value")

    def __init__(self, timeline: Timeline, name: Name, value: Value, out: np.ndarray[Any, Any] | None) -> None:
        self._state = PENDING
        self._result = self._error = self._callbacks = None
        self._timeline = timeline
        self._task = value.producer
        self._name = name
        self._value: Value | None = value
        self._out = out

    def deliver(self) -> None:
        """The value is there, or has failed: settle."""
        value = self._value
        if self._out is not None or value is None or value.error is not None:
            self._deliver_otherwise()
            return
        timeline = self._timeline
        view = value.view
        if view is None:  # somebody else was faster, and the last one who could reach the value is gone since
            return
        array = timeline.allocator.host_array(view)
        with settling:
            if self._state is not PENDING:
                return
            self._result = lend(array, value, timeline.discard)
            self._value = None
            self._state = RESOLVED
            callbacks, self._callbacks = self._callbacks, None
        self._name.reads.discard(self)
        if self._task is None:
            timeline.inline.unsettled.discard(self)
        if callbacks is not None:
            self._call(callbacks)

    def _deliver_otherwise(self) -> None:
        with settling:
            value, self._value = self._value, None
        if value is None:  # somebody else was faster
            return
        if value.error is not None:
            self.reject(value.error)
            return
        if self._out is not None:
            assert value.view is not None
            try:
                # One who cancels while the bytes are copied has still given `out` for it.
                np.copyto(self._out, self._timeline.allocator.host_array(value.view))
            except Exception as error:
                self.reject(OperationError(f"read_tensor: out cannot be filled any more: {described(error)}"))
            else:
                self.resolve(self._out)  # type: ignore[arg-type]
        self._timeline.discard(value)

    def _settled(self) -> None:
        self._name.reads.discard(self)
        self._timeline.inline.unsettled.discard(self)
        with settling:
            value, self._value = self._value, None
        if value is not None and value.error is None:
            self._timeline.discard(value)


class Run(Finished):
    """A run without tensors: its outputs by name."""

    __slots__ = ("_names", "_values")

    def __init__(self, timeline: Timeline, names: Sequence[str], task: Task) -> None:
        Finished.__init__(self, timeline, task)
        self._names = names
        self._values: Sequence[Value] | None = task.outputs

    def deliver(self) -> None:
        """The outputs are there: settle."""
        timeline = self._timeline
        with settling:
            values, self._values = self._values, None
        if values is not None:
            arrays = [lend(timeline.allocator.host_array(v.view), v, timeline.discard) for v in values if v.view]
            self.resolve(dict(zip(self._names, arrays, strict=True)))  # type: ignore[arg-type]

    def _settled(self) -> None:
        with settling:
            values, self._values = self._values, None
        for value in values or ():
            if value.error is None:
                self._timeline.discard(value)
