"""The results of a timeline's calls: the handle of a dispatch, and the sources of promises of an end, a read or a run.

Each of these promises waits for at most one task. If the task is cheap, the source can run it on the waiter's own
thread. A result that is lent takes over the source's hold on the value.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar
from weakref import ref

import numpy as np

from webnn.errors import MLError, OperationError
from webnn.graph.arguments import described
from webnn.graph.unpicklable import Unpicklable
from webnn.memory.buffer import View
from webnn.memory.lease import Lease
from webnn.memory.pool import Shelf
from webnn.scheduler.bridge import Waiter, current_bridge
from webnn.scheduler.deadlines import Deadline
from webnn.scheduler.promise import CANCELLED, PENDING, RESOLVED, Promise, abandon, reject, resolve, settling
from webnn.scheduler.statistics import CANCELLED as WAS_CANCELLED
from webnn.scheduler.statistics import TIMED_OUT, UNOBSERVABLE
from webnn.scheduler.task import RUNNING, Task
from webnn.scheduler.trace import Recorder
from webnn.scheduler.value import Name, Value

if TYPE_CHECKING:
    from webnn.scheduler.timeline import Timeline

__all__ = ["Dispatch", "End", "Lent", "Read", "Run", "give_back"]


class Dispatch(Unpicklable):
    """The handle of a dispatch. Await it for room in the queue, or `finished()` for the end of the work."""

    __slots__ = ("__weakref__", "_task", "_timeline")

    _why_unpicklable: ClassVar[str] = "it is work of this process; read its outputs, and send the arrays"

    def __init__(self, timeline: Timeline, task: Task) -> None:
        self._timeline = timeline
        self._task = task

    def __await__(self) -> Generator[Any, Any, Dispatch]:
        timeline = self._timeline
        if timeline.room.is_crowded:
            trace = timeline.trace
            began = 0 if trace is None else trace.clock()
            yield from timeline.make_room().__await__()
            if trace is not None:
                trace.awaited("wait for room", began)
        if timeline.inline.breath_due():
            bridge = current_bridge()
            if bridge is not None:
                yield from bridge.breathe()
        return self

    def finished(self) -> Promise[None]:
        """A promise that settles when the work has ended: with its error if it failed, at once if it was dropped."""
        promise: Promise[None] = Promise()
        source = End(promise, self._timeline.discard)
        source.begin(promise, self._timeline, self._task)
        if not self._timeline.will_tell(source, (self._task,)):
            source.task_ended(self._task)
        return promise

    def __repr__(self) -> str:
        return f"<Dispatch {self._task.state.name.lower()}>"


class End(ref[Promise[Any]]):
    """The source of a promise that settles when a task ends: with its error if it failed, at once if it was dropped.

    It is a weak reference to its promise. A promise that can no longer be reached gives up its work, unless it has a
    callback. No Python code runs when the promise is freed, since a Ctrl-C in a finalizer is lost. The reference is
    just added to the timeline's `discarded`.
    """

    __slots__ = ("kept", "owner", "task", "timeline")

    timeline: Timeline
    task: Task | None
    """The task that has to end first, if there is one."""
    kept: Promise[Any] | None
    """The promise, while a callback waits for it."""
    owner: object
    """What has to live until the promise has settled. Only set if nothing else refers to it."""

    def begin(self, promise: Promise[Any], timeline: Timeline, task: Task | None) -> None:
        """Become the source of `promise`, to which this is a reference. Attributes of subclasses must be set before."""
        self.timeline = timeline
        self.task = task
        self.kept = None
        promise._source = self

    # Called when the task ends, or the context.

    def collect(self, release: Callable[[Value], None], trace: Recorder | None) -> None:
        """Copy the results of the task, which are small and available, and `release` them. There are none."""

    def task_ended(self, task: Task) -> None:
        """The task has ended: settle with its result or error."""
        promise = self()
        if promise is not None and promise._status is PENDING:
            if task.error is not None:
                reject(promise, task.error)
            else:
                self.deliver(promise)

    def reject(self, error: BaseException) -> None:
        """Reject the promise, for example because the context is gone."""
        promise = self()
        if promise is not None:
            reject(promise, error)

    def forked(self, error: BaseException) -> None:
        """This process is a forked child: settle without telling the waiters."""
        promise = self()
        if promise is not None:
            abandon(promise, error)

    def observed(self) -> Sequence[End]:
        """Only itself, if the promise is pending and can be reached."""
        promise = self()
        return () if promise is None or promise._status is not PENDING else (self,)

    def deliver(self, promise: Promise[Any]) -> None:
        """The result is available: settle."""
        resolve(promise, None)

    def resolve(self, promise: Promise[Any], result: Any, loop: object = None) -> None:
        """As `Promise._settle`, for a source that holds nothing any more: in a straight line if one task waits.

        Args:
            promise: the promise of this source.
            result: its result.
            loop: the event loop whose thread calls this, if it is known to be one.
        """
        try:
            with settling:
                if promise._status is not PENDING:
                    return
                promise._result, promise._status = result, RESOLVED
            self.kept = promise._source = None
            callbacks = promise._callbacks
            if callbacks is not None and len(callbacks) == 1 and promise._installed is None:
                waiter = callbacks[0]
                if isinstance(waiter, Waiter):
                    if waiter.loop is loop:
                        waiter.wake()
                    else:
                        waiter()
                    promise._callbacks = None
                    return
            promise._announce()
        except BaseException:
            if promise._status is not PENDING:
                promise._announce()
            raise

    # Called by the promise.

    def advance(self, promise: Promise[Any], awaits: bool = True) -> bool:
        """Run the task here if it is cheap."""
        if self.task is None:
            if self.timeline.inline.fetches and isinstance(self, Read):
                self.timeline.inline.expect_elsewhere()
                return False
            self.deliver(promise)
            return self.timeline.inline.breath_due(look=True)
        return self.timeline.inline.advance(self.task, awaits)

    def drive(self, promise: Promise[Any], timeout: float | None) -> None:
        """Run the task here; with a timeout, only if it is cheap."""
        if self.task is None:
            self.deliver(promise)
            return
        if timeout is None:
            self.timeline.inline.drive(self.task)
        else:
            while self.timeline.inline.advance(self.task, False) and promise._status is PENDING:
                pass
        if self.timeline.has_ended(self.task):  # a callback on the thread that tells the waiters may be calling this
            self.task_ended(self.task)

    def expect(self, promise: Promise[Any]) -> None:
        """Let the task run at the end of the tick, or on a lane."""
        if self.task is None and current_bridge() is None and not self.timeline.inline.fetches:
            self.deliver(promise)
        else:
            self.timeline.inline.expect(self.task)

    def expect_elsewhere(self, _: Promise[Any]) -> None:
        """Let the task run on a lane."""
        self.timeline.inline.expect_elsewhere()

    def keep(self, promise: Promise[Any] | None) -> None:
        """Keep the promise alive, or no longer. It may be freed next: then its run ends, if that has begun."""
        self.kept = promise
        if promise is None and self.task is not None and self.task.state <= RUNNING:
            bridge = current_bridge()
            if bridge is not None:
                bridge.call_soon(self.timeline.tidy)

    def let_go(self, _: object) -> None:
        """Release the promise. Nothing else is held."""
        self.kept = None

    def outcome(self) -> str:
        """How the promise has settled, for a trace: "resolved", "cancelled", "rejected" or "forgotten"."""
        promise = self()
        return "forgotten" if promise is None else promise._status._value_

    def forgo(self) -> None:
        """The promise was cancelled, or its deadline has passed: note that, for the case that its task is dropped."""
        promise = self()
        if promise is not None and self.task is not None and self.task.state <= RUNNING:
            is_late = isinstance(promise._error, TimeoutError)
            self.task.forgone = (
                WAS_CANCELLED if promise._status is CANCELLED else TIMED_OUT if is_late else UNOBSERVABLE
            )

    def end_run(self) -> None:
        """The promise has settled without a result, and discarded its values: end their run, if that has begun."""
        task = self.task
        was_freed = self() is None  # then `tidy` is calling this
        if task is not None and task.state is RUNNING and hasattr(task, "ending") and not was_freed:
            self.timeline.tidy()

    def discarded(self) -> None:
        """The promise has been freed."""
        with suppress(AttributeError):  # an interrupt came while this was made: it holds nothing
            self.let_go(None)


class Read(End):
    """The source of a read's promise: an array of the value that a name had at the call, or `out`, filled with it."""

    __slots__ = ("asked_at", "filled_since", "filling", "name", "out", "result", "value")

    name: Name
    value: Value | None
    """The value to read, on which this has a hold."""
    out: np.ndarray[Any, Any] | None
    filling: bool
    """Whether a thread is filling `out`."""
    asked_at: int
    """The time of the call. Only set if a trace was open then."""
    filled_since: int
    """When the filling of `out` began. Only set if a trace was open then."""
    result: np.ndarray[Any, Any] | None
    """The copy that was made when the task ended, if the value is small."""

    def asked(self) -> int | None:
        """The time of the call; None if no trace was open then."""
        try:
            return self.asked_at
        except AttributeError:
            return None

    def collect(self, release: Callable[[Value], None], trace: Recorder | None) -> None:
        """Copy the value, which is small and available, and `release` it."""
        value = self.value
        if self.out is None and value is not None and (view := value.view) is not None:
            result = view.array.copy()  # as `lend` does; called for host memory only
            result.setflags(False)  # `write`, by position
            self.result = result
            value, self.value = self.value, None  # one step: `let_go` may come on another thread
            if value is not None:
                if trace is not None:
                    try:
                        asked = self.asked_at
                    except AttributeError:  # before the trace was opened
                        asked = None
                    trace.settled(value, asked, 0, result.nbytes, "resolved")
                if value.holds > 1:
                    value.holds -= 1
                else:
                    release(value)

    def task_ended(self, task: Task) -> None:
        """The task has ended: settle with the value or its error."""
        promise = self()
        if promise is None or promise._status is not PENDING:
            return
        result = self.result
        if result is not None:
            with settling:  # in the common case only the waiter itself has to be told, which has called this
                if promise._status is PENDING and promise._callbacks is None and promise._installed is None:
                    promise._source = None  # nothing is left to let go
                    promise._result = result
                    promise._status = RESOLVED
                    return
            self.resolve(promise, result)
            return
        value = self.value
        if self.out is None and value is not None and (view := value.view) is not None:
            self._lend(promise, view)
        else:
            self.deliver(promise)

    def deliver_unasked(self) -> None:
        """Like `deliver`, for a value that was available at the call."""
        promise = self()
        if promise is not None:
            self.deliver(promise)
        self.timeline.inline.unsettled.pop(id(self), None)

    def deliver(self, promise: Promise[Any]) -> None:
        """The value is available or has failed: settle."""
        value = self.value
        if value is None:  # another thread was faster
            return
        if value.error is not None:
            reject(promise, value.error)
        elif self.out is not None:
            self._fill(promise, value, self.out)
        elif (view := value.view) is not None:
            self._lend(promise, view)

    def _lend(self, promise: Promise[Any], view: View) -> None:
        try:
            result = self.timeline.lend(self.timeline.host_array(view))
        except MLError as error:  # a device cannot copy it
            reject(promise, error)
        else:
            promise._settle(RESOLVED, result, None)

    def _fill(self, promise: Promise[Any], value: Value, out: np.ndarray[Any, Any]) -> None:
        mine = False
        try:
            with settling:
                if self.filling:  # by another thread; `out` must not be filled again after that one has settled
                    return
                self.filling = mine = True
            if promise._status is PENDING and value.view is not None:
                # `out` may be filled even if the promise is cancelled during the copy.
                if self.timeline.trace is not None:
                    self.filled_since = self.timeline.trace.clock()
                np.copyto(out, self.timeline.host_array(value.view))
                resolve(promise, out)
        except MLError as error:  # a device cannot copy it
            reject(promise, error)
        except Exception as error:
            reject(promise, OperationError(f"read_tensor: out cannot be filled any more: {described(error)}"))
        finally:
            if mine:
                self.filling = False

    def let_go(self, result: Any) -> None:
        """Give up the hold on the value, or pass it to the lent array."""
        self.kept = None
        if self.task is None:
            self.timeline.inline.unsettled.pop(id(self), None)
        trace = self.timeline._renaming.trace
        if trace is not None and self.value is not None:
            filled_since = getattr(self, "filled_since", 0)
            if result is None:
                trace.settled(self.value, self.asked(), filled_since, 0, self.outcome())
            else:
                copied = 0 if result.base.__class__ is Lease else result.nbytes
                trace.settled(self.value, self.asked(), filled_since, copied, "resolved")
        value, self.value = self.value, None
        if value is not None and value.error is None:
            if result is None:
                self.forgo()
            if result is None or result.base is None or self.out is not None:
                self.timeline.discard(value)
            else:
                give_back(self.timeline, value, result)
            if result is None:
                self.end_run()


class Run(End):
    """The source of the promise of a run without tensors: its outputs by name."""

    __slots__ = ("deadline", "outputs", "result", "values")

    outputs: Sequence[tuple[str, Shelf]]
    """The names and shelves of the outputs."""
    values: Sequence[Value] | None
    """The values of the outputs, with a hold on each."""
    deadline: Deadline | None
    """The deadline after which the promise is rejected, if there is one."""
    result: dict[str, np.ndarray[Any, Any]] | None
    """The copies that were made when the task ended, if the outputs are small."""

    def collect(self, release: Callable[[Value], None], trace: Recorder | None) -> None:
        """Copy the outputs, which are small and available, and `release` them."""
        host_array, lend, outputs = self.timeline.host_array, self.timeline.lend, {}
        for (name, _), value in zip(self.outputs, self.values or (), strict=False):
            if value.view is None:
                return
            outputs[name] = lend(host_array(value.view))
        self.result = outputs
        values, self.values = self.values, None  # one step: `let_go` may come on another thread
        if values is not None:
            if trace is not None:
                trace.settled(self.task, 0, 0, 0, "resolved")
            for value in values:
                release(value)

    def deliver(self, promise: Promise[Any]) -> None:
        """The outputs are available: settle."""
        if self.result is not None:
            promise._settle(RESOLVED, self.result, None)
            return
        host_array, lend, outputs = self.timeline.host_array, self.timeline.lend, {}
        for (name, _), value in zip(self.outputs, self.values or (), strict=False):
            if value.view is None:  # another thread was faster
                return
            try:
                outputs[name] = lend(host_array(value.view))
            except MLError as error:  # a device cannot copy it
                reject(promise, error)
                return
        promise._settle(RESOLVED, outputs, None)

    def let_go(self, result: Any) -> None:
        """Give up the holds on the values, or pass them to the lent arrays."""
        self.kept = None
        if self.deadline is not None:
            self.deadline.call_off()
        if result is None:
            self.forgo()
        trace = self.timeline._renaming.trace
        if trace is not None and self.values is not None:
            trace.settled(self.task, 0, 0, 0, self.outcome() if result is None else "resolved")
        values, self.values = self.values, None
        for (name, _), value in zip(self.outputs, values or (), strict=False):
            if value.error is None:
                give_back(self.timeline, value, None if result is None else result[name])
        if result is None:
            self.end_run()


class Lent(ref[Lease]):
    """A weak reference to a lease, which tells the timeline when the lent array is gone."""

    __slots__ = ("timeline", "value")

    timeline: Timeline
    value: Value

    def discarded(self) -> None:
        """The array has been freed."""
        try:
            timeline = self.timeline
        except AttributeError:  # an interrupt came while this was made: it holds nothing
            return
        if timeline.lent.pop(id(self), None) is not None:
            timeline.discard(self.value)


def give_back(timeline: Timeline, value: Value, array: np.ndarray[Any, Any] | None) -> None:
    """Give up a hold on `value`: now, or when `array` is freed if it is lent."""
    lease = None if array is None else array.base
    if isinstance(lease, Lease):
        lease.held = value  # its buffer is in use until then
        lent = Lent(lease, timeline.discard)
        lent.timeline, lent.value = timeline, value
        timeline.lent[id(lent)] = lent
    else:
        timeline.discard(value)
