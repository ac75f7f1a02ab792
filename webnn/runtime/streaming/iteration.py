"""One pass over a stream: the threads and tasks that take the items, work on them, and wake the consumer.

The source is advanced by one thread, always the same, or by a task if it is async. It *offers* items to the window.
Worker threads begin them. If the work on an item is so cheap that a second thread does not pay, the source's thread
does it at once. The consumer takes results from `Window.ready`.

Waiting. A worker without an item, and a source's thread without room, wait in a `SimpleQueue` for a token. The consumer
waits for a promise. Each of them looks at the window again when it is woken, so one token too many does no harm.

Locks. One lock guards all state here and in the window. It is never held while code of the program or the timeline
runs. The consumer takes it for a few steps at a time, also on a main thread where Ctrl-C may come in between: what it
changes is complete before the one step that takes a result.

The end. `leave` is the consumer's; `fail` is the context's. Threads end after the piece or the step of the source that
they are in. The source's thread closes the source. A source that blocks for ever keeps its thread, a daemon, but
neither the program nor the consumer.
"""

from __future__ import annotations

import atexit
import contextlib
import threading
import time
import weakref
from collections.abc import AsyncIterable, Callable, Iterable, Iterator
from contextvars import copy_context
from queue import Empty, SimpleQueue
from typing import Any, Final

from webnn.errors import ContextLostError
from webnn.forking import belongs_to, import_lock, on_fork, reentrant_lock
from webnn.runtime.streaming.pace import Pace
from webnn.runtime.streaming.source_errors import log_unseen, parted
from webnn.runtime.streaming.window import OVERDUE, Failure, Item, Window
from webnn.scheduler.inline import TICK_BUDGET
from webnn.scheduler.promise import Promise, abandon, resolve

__all__ = ["END", "NOTHING", "Iteration"]

NOTHING: Final[Any] = object()
"""There is no result yet."""
END: Final[Any] = object()
"""There are no more results."""
TURN: Final = TICK_BUDGET
"""Nanoseconds after which an async source or a consumer that never suspends gives the event loop a turn."""


class Iteration:
    """One pass over a stream.

    Args:
        source: gives the items.
        window: decides which item is next, and which result.
        piece: does the work on an item; returns its outcome, and whether it is an error.
        counted: a context manager around work that needs a core, for the choice of the width of runs.
        count_drops: adds to the context's count of dropped items, given the reason and how many.
    """

    def __init__(
        self,
        source: Iterable[Any] | AsyncIterable[Any],
        window: Window,
        piece: Callable[[Item], tuple[Any, bool]],
        counted: Callable[[], contextlib.AbstractContextManager[Any]],
        count_drops: Callable[[str, int], None],
    ) -> None:
        self._source = source
        self.window = window
        self._piece = piece
        self._counted = counted
        self._count_drops = count_drops
        self._lock = reentrant_lock()
        self.hire: Callable[[], object] | None = None
        """Start another thread that calls `work`; None for a plain thread. Called on any thread, without locks."""
        self.cancel: Callable[[], object] = _nothing
        """Let the tasks end, if there are any. Called on any thread."""
        self.forked: Callable[[ContextLostError], None] = lambda _: None
        """Called in a forked child, which does not have the tasks."""
        self._owner: tuple[weakref.ref[object], ...] = ()
        self._context = copy_context()
        self._is_left = False
        self.is_forked = False
        """Whether this is a forked child, which has none of the threads and tasks."""
        self._taking = False  # whether the source is being advanced, by its one thread or task
        self._workers = 0  # that were hired and have not ended
        self._idle = 0  # of these, wait for a token
        self._tokens: SimpleQueue[object] = SimpleQueue()
        self._room: SimpleQueue[object] = SimpleQueue()
        self._source_waits = False  # for `_room`, or for `_room_again`
        self._changed: Promise[None] | None = None  # set while the consumer waits for it
        self._room_again: Promise[None] | None = None  # set while the task of an async source waits for it
        self._quiet: Promise[None] | None = None  # set while `aclose` waits for the last piece
        self._pace = Pace()
        _iterations.add(self)

    def owned_by(self, results: object) -> None:
        """End with `results`, the consumer's iterator.

        No Python code runs when that is freed, since a Ctrl-C in a finalizer is lost. Threads that wait are woken, and
        all of them look whether it is still there.
        """
        self._owner = weakref.ref(results, self._tokens.put), weakref.ref(results, self._room.put)

    @property
    def _is_abandoned(self) -> bool:
        return bool(self._owner) and self._owner[0]() is None and not self._is_left

    # For the consumer.

    def take(self) -> Any:
        """The next result or `Failure`; `NOTHING` if there is none yet, `END` if there will be none."""
        window = self.window
        with self._lock:
            if not window.ready:
                if not window.is_over:
                    return NOTHING
                return END if window.error is None else Failure(window.error)
            # First, since an interrupt after the next step would lose the result. Who is woken waits for the lock.
            self._wake(consumed=True)
            return window.ready.popleft()

    def put_back(self, result: Any) -> None:
        """`take` has given `result`, but an interrupt came before the consumer had it."""
        self.window.ready.appendleft(result)

    def changed(self) -> Promise[None]:
        """A promise that settles when there may be a result, or the end."""
        with self._lock:
            if self._changed is None:
                self._changed = Promise()
            changed = self._changed
            late = bool(self.window.ready) or self.window.is_over
        if late:
            self._tell(changed)
        return changed

    def leave(self, seen: BaseException | None = None) -> None:
        """The consumer goes: drop what was not begun, and let the threads and tasks end. May be called again.

        An error of the source that it has not `seen` is dropped, but for an interrupt, which is logged.
        """
        with self._lock:
            if self.is_forked:
                return
            self._is_left = True
            error = self.window.error
            self.window.leave()
            self._wake_all()
        if error is not None and error is not seen and not isinstance(error, Exception):
            failure = parted(error)[1]
            if failure is not None:
                log_unseen(failure)
        self.cancel()
        self.cancel, self.hire = _nothing, None  # they refer to this object: a cycle, left to the garbage collector

    def quiet(self) -> Promise[None]:
        """A promise that settles when no function of the program runs on an item any more. Call `leave` before."""
        with self._lock:
            if self._quiet is None:
                self._quiet = Promise()
            quiet = self._quiet
            late = self.window.in_progress == 0
        if late:
            resolve(quiet, None)
        return quiet

    # For the context.

    def _stop(self) -> None:
        """The context ends; see `Dependent`."""

    def _lose(self, error: ContextLostError) -> None:
        """The context has ended: so has the stream, with `error` after the results that are ready."""
        with self._lock:
            if not self.window.is_over:
                self.window.abort(error)
            self._wake_all()
            changed = self._changed
        self._tell(changed)

    def _forked(self, _: ContextLostError) -> None:
        """This is a forked child; `_end_all_in_child` has told everybody."""

    # On worker threads.

    def work(self) -> None:
        """Work on items until there will be no more."""
        window = self.window
        while True:
            patience: float | None = None
            if self._is_abandoned:
                self.leave()
            with self._lock:
                now = time.perf_counter_ns()
                item = window.begin(now)
                hires = self._wake()  # there may be room, and more to do
                over = window.is_over
                done = item is None and window.ended and not window.waiting
                if done:
                    self._workers -= 1
                elif item is None:
                    self._idle += 1
                    patience = OVERDUE / 1e9 if window.is_held_back(now) else None
                changed = self._changed if over else None
            if hires:
                self._hire()
            if window.drops:
                self._tell_drops()
            if item is not None:
                self._do(item)
            elif done:
                self._tell(changed)
                return
            else:
                self._wait(patience)

    def _wait(self, patience: float | None) -> None:
        """Wait for a token, at most for `patience` seconds."""
        try:
            self._tokens.get(timeout=patience)
        except Empty:
            with self._lock:
                if self._idle:  # else there is a token now, which wakes a worker once more than needed
                    self._idle -= 1

    def _do(self, item: Item) -> None:
        """Work on an item that was begun."""
        window, began = self.window, time.perf_counter_ns()
        with self._counted():
            outcome, failed = self._piece(item)
        item.value = None
        spent = time.perf_counter_ns() - began
        with self._lock:
            window.finish(item, outcome, spent, failed=failed)
            del outcome
            over = window.is_over
            changed = self._changed if window.ready or over else None
            quiet = self._quiet if window.in_progress == 0 else None
            if window.ended:
                self._wake_all()
        self._tell(changed)
        if quiet is not None:
            resolve(quiet, None)

    # The source.

    def start_source(self) -> None:
        """Start the source's thread. If an interrupt has left it open whether it was started, call this again."""
        self._start_thread(self._pump, "webnn-stream-source")

    def _pump(self) -> None:
        """Take items from a plain iterable, on a thread of its own."""
        with self._lock:
            if self._taking or self._is_left:
                return
            self._taking = True
        assert isinstance(self._source, Iterable)
        items: Iterator[Any] | None = None
        error: BaseException | None = None
        try:
            items = iter(self._source)
            while self._has_room() and self._step(items):
                pass
        except BaseException as raised:
            error = raised
        try:
            if items is not None and hasattr(items, "close"):
                items.close()
        except BaseException as raised:
            error = error or raised
        del items
        if error is None and self._is_left:
            return
        if (self._is_left or self._is_abandoned) and error is not None:
            log_unseen(error)
        self._end(error)

    def _has_room(self) -> bool:
        """Wait for room. Returns False if the stream has ended."""
        while True:
            if self._is_abandoned:
                self.leave()
            with self._lock:
                if self.window.ended:
                    return False
                if self.window.has_room:
                    return True
                self._source_waits = True
            self._room.get()

    def _step(self, items: Iterator[Any]) -> bool:
        """Take one item and offer it. Returns False if there is none."""
        pace, window = self._pace, self.window
        began, used = time.perf_counter_ns(), time.thread_time_ns()
        try:
            if pace.is_busy:
                with self._counted():
                    value = next(items)
            else:
                value = next(items)
        except StopIteration:
            return False
        now = time.perf_counter_ns()
        pace.measured(now - began, time.thread_time_ns() - used)
        window.is_live = pace.is_live
        self._offer(value, now)
        while window.is_cheap and window.waiting:
            with self._lock:
                item = window.begin(time.perf_counter_ns())
            if item is None:
                break
            self._do(item)
        if window.waiting:
            self._hand_over(held_back=True)
        elif window.drops:
            self._tell_drops()
        return True

    async def pump(self) -> None:
        """Take items from an async iterable, in a task of its own."""
        with import_lock:  # late, since the import takes time, and few programs stream
            from anyio.lowlevel import checkpoint  # noqa: PLC0415

        assert isinstance(self._source, AsyncIterable)
        window, turn = self.window, time.perf_counter_ns()
        try:
            items = aiter(self._source)
            try:
                while not window.ended:
                    if (room := self._room_for_task()) is not None:
                        await room
                        turn = time.perf_counter_ns()
                        continue
                    began = time.perf_counter_ns()
                    try:
                        value = await anext(items)
                    except StopAsyncIteration:
                        break
                    now = time.perf_counter_ns()
                    self._pace.measured(now - began, 0)  # other tasks may have used the time
                    window.is_live = self._pace.is_live
                    self._offer(value, now)
                    del value
                    if now - turn > TURN:  # a source that never suspends must not keep the loop to itself
                        await checkpoint()
                        turn = time.perf_counter_ns()
            finally:
                if hasattr(items, "aclose"):
                    await items.aclose()
            self._end(None)
        except BaseException as error:
            cancellation, failure = parted(error)
            if self._is_left and failure is not None:
                log_unseen(failure)
            self._end(failure if failure is not None else cancellation)
            if cancellation is not None:
                raise cancellation from None  # for the event loop; the consumer raises any other error

    def _room_for_task(self) -> Promise[None] | None:
        """A promise of room; None if there is some."""
        with self._lock:
            if self.window.has_room or self.window.ended:
                return None
            self._source_waits = True
            if self._room_again is None:
                self._room_again = Promise()
            return self._room_again

    def _offer(self, value: Any, now: int) -> None:
        """The source has given `value`."""
        window = self.window
        with self._lock:
            if window.ended:
                return
            window.offer(value, now)
            if window.is_cheap and isinstance(self._source, Iterable):
                return  # the source's thread does it
        self._hand_over()

    def _hand_over(self, *, held_back: bool = False) -> None:
        """Let a worker begin what waits; also if that is held back for now, so that it begins as soon as it may."""
        with self._lock:
            hires = self._wake(held_back=held_back)
        if self.window.drops:
            self._tell_drops()
        if hires:
            self._hire()

    def _tell_drops(self) -> None:
        """Add the window's drops to the context's; not under the lock, since that takes the timeline's."""
        with self._lock:
            drops, self.window.drops = self.window.drops, {}
        for reason, count in drops.items():
            self._count_drops(reason, count)

    def _hire(self) -> None:
        hire = self.hire
        if hire is not None:
            hire()
        elif not self._is_left:
            self._start_thread(self.work, "webnn-stream-worker")

    def _start_thread(self, function: Callable[[], None], name: str) -> None:
        """Call `function` on a new thread, in the context of the consumer."""
        run = self._context.copy().run
        threading.Thread(target=run, args=(function,), name=name, daemon=True).start()

    def _end(self, error: BaseException | None) -> None:
        """The source has ended, or has failed."""
        with self._lock:
            self.window.end(error)
            self._wake_all()
            changed = self._changed if self.window.is_over else None
        self._tell(changed)

    # Waking.

    def _tell(self, changed: Promise[None] | None) -> None:
        """Wake the consumer, which waits for `changed`."""
        if changed is not None:
            with self._lock:
                if self._changed is changed:
                    self._changed = None
            resolve(changed, None)

    def _wake(self, *, consumed: bool = False, held_back: bool = False) -> bool:
        """Wake who can go on. Returns whether to call `hire`.

        With `consumed`, the consumer is about to take a result. With `held_back`, items wait that are.
        Called under the lock. Settling the promise of a task there is fine: it only schedules the task.
        """
        window = self.window
        if self._source_waits and window.is_low(consumed):
            self._wake_source()
        if window.waiting and (held_back or window.has_place(time.perf_counter_ns())):
            if self._idle:
                self._tokens.put(None)
                self._idle -= 1
            elif self._workers < window.width and not consumed:
                self._workers += 1
                return True
        return False

    def _wake_all(self) -> None:
        """Let everybody look again; called under the lock."""
        for _ in range(self._workers):
            self._tokens.put(None)
        self._idle = 0
        self._wake_source()

    def _wake_source(self) -> None:
        """Let the source look for room again; called under the lock."""
        self._room.put(None)
        if self._room_again is not None:
            resolve(self._room_again, None)
            self._room_again = None
        self._source_waits = False  # last: after an interrupt before this, it is woken once more

    # After a fork.

    def end_in_child(self, error: ContextLostError) -> None:
        """End the stream: this is a forked child, and the threads, the source and the waiters belong to the parent."""
        self.is_forked = True
        self.window.abort(error)
        for promise in (self._changed, self._room_again, self._quiet):
            if promise is not None:
                abandon(promise, error)
        self._changed = self._room_again = self._quiet = None
        self.forked(error)


_iterations: Final[weakref.WeakSet[Iteration]] = weakref.WeakSet()


@on_fork
def _end_all_in_child(parent: int) -> None:
    for iteration in list(_iterations):
        iteration.end_in_child(ContextLostError(f"the stream has ended: {belongs_to(parent)}"))


@atexit.register
def _leave_all() -> None:
    """A thread inside of native code during the interpreter's shutdown could crash the process."""
    left = [iteration for iteration in _iterations if not iteration.is_forked]
    for iteration in left:
        iteration.leave()
    for iteration in left:
        iteration.quiet().result()


def _nothing() -> None:
    """There is nothing to do."""
