"""The requests that are under way: each is an exchange, and ends once, with its answer or for a reason of its own.

All limits are the server's own. Those of an event loop or of a server around it cancel the task of a request, but a run
is not a part of that task, and most requests have none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass
from itertools import islice
from time import perf_counter
from typing import Any, Final, TypeAlias

from webnn.scheduler.promise import Promise
from webnn.serving.admission import Admission
from webnn.serving.memory import Memory
from webnn.serving.tensors import Call

__all__ = [
    "CONNECTION",
    "LATE",
    "LEFT",
    "STOPPED",
    "Asked",
    "Body",
    "Exchange",
    "Headers",
    "Limits",
    "Message",
    "Observer",
    "Receive",
    "Scope",
    "Send",
    "Shared",
]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Observer = Callable[[Scope, int, int, float], object]
Headers = Sequence[tuple[bytes, bytes]]
Body: TypeAlias = "bytes | Sequence[bytes | memoryview]"
"""The body of an answer, in parts if it is large."""

LOOK: Final = 0.01
"""Seconds after which a full queue is looked through again for clients that have gone away."""
SOME: Final = 32
"""Requests of such clients that are given up at a time: the next client would wait for more."""
CONNECTION: Final = "webnn.connection"
"""In the scope of a request, an object with a method `watch`, if the server has one. It calls a function when the
client goes away. Otherwise a task waits for that, which costs more. `is_closing` says whether it has gone, `has_left`
asks the system that. `answer` sends an answer in one piece, and `answer_nothing` is called for a client that has left.
`runs` is set while runs are under way."""
LEFT: Final = "left"
"""The client went away."""
LATE: Final = "late"
"""The deadline has come."""
STOPPED: Final = "stopped"
"""The server stops."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a server.

    Attributes:
        max_queue: the most items of one model under way.
        timeout: seconds from the head of a request to its answer.
        max_body: the most bytes of a body.
        max_bodies: the most bytes of all bodies that are being received and worked on, and of all answers that are
            being computed or wait for their clients to take them.
    """

    max_queue: int = 256
    timeout: float = 10.0
    max_body: int = 64 * 1024 * 1024
    max_bodies: int = 512 * 1024 * 1024


class Shared:
    """What all models of a server share.

    Attributes:
        memory: the bytes of all bodies and answers.
        turn: held while a large body is read, or a part of it, or a part of a large answer is written.
        exchanges: the requests that are under way, in the order in which they came. They have one timer together, which
            is cheaper than one for each.

    Args:
        timeout: seconds that a request may take.
        max_bodies: the most bytes of all bodies and answers.
    """

    def __init__(self, timeout: float, max_bodies: int) -> None:
        self.memory = Memory(max_bodies)
        self.turn = asyncio.Lock()
        self.exchanges: dict[Exchange, None] = {}
        self.first: Callable[[], object] | None = None
        """Called before the first request."""
        self._timeout = timeout
        self._next_look = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, exchange: Exchange) -> None:
        """A request is under way, and has to end within the timeout."""
        self.exchanges[exchange] = None
        if self.first is not None:
            first, self.first = self.first, None
            first()
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._timeout, self._expire)

    def _expire(self) -> None:
        """End the requests whose time is over. All have the same timeout, so the first one is always the next."""
        now = perf_counter()
        for exchange in list(self.exchanges):
            left = exchange.began + self._timeout - now
            if left > 0:
                self._timer = asyncio.get_running_loop().call_later(left, self._expire)
                return
            exchange.end(LATE)
        self._timer = None

    def give_up_left(self) -> bool:
        """Give up requests whose clients have left, before the event loop sees it; returns whether there were any.

        One call gives up at most `SOME` of them. If there are fewer, it looks again after `LOOK` seconds or later.
        """
        now = perf_counter()
        if now < self._next_look:
            return False
        left = list(islice((each for each in self.exchanges if each.has_left), SOME))
        if len(left) < SOME:
            self._next_look = now + LOOK
        for exchange in left:
            exchange.leave()
        return bool(left)

    def stop(self) -> None:
        """Answer all requests that are under way with 503, without waiting for their runs."""
        for exchange in list(self.exchanges):
            exchange.end(STOPPED)


class Asked:
    """What uvicorn reads of the request under way on a connection, for requests that a model has taken."""

    __slots__ = ("disconnected", "keep_alive", "response_complete", "url")

    message_event: Final = asyncio.Event()  # which nothing waits for

    def __init__(self) -> None:
        self.disconnected = False
        self.keep_alive = True
        self.response_complete = True
        self.url = b""


class Exchange:
    """One request, and the reason to end it before its answer is there."""

    __slots__ = (
        "admission",
        "answer",
        "began",
        "begin",
        "call",
        "connection",
        "cost",
        "given_up",
        "handed",
        "held",
        "kept",
        "promises",
        "task",
        "timer",
        "waiting",
        "watch",
        "why",
    )

    def __init__(self, task: asyncio.Task[Any] | None, began: float, admission: Admission) -> None:
        self.began = began
        self.admission = admission
        self.call: Call | None = None
        """What it asks for, while it is in the queue of its model."""
        self.begin: Callable[[], object] | None = None
        """Begins its runs, while it waits in the backlog."""
        self.given_up: Callable[[], object] | None = None
        """Called if it is ended while it waits there, if it has no task."""
        self.handed = 0
        """Items that the runtime has."""
        self.cost = 0.0
        """The seconds that they were expected to take."""
        self.waiting = 0
        """The runs that have not ended, if it has no task that waits for them."""
        self.held = 0
        """Bytes of its body."""
        self.answer = 0
        """The most bytes of its answer, as far as they can be known before its run."""
        self.kept = 0
        """The bytes that are kept for its answer: from when its runs begin until it has been written."""
        self.task = task
        """Waits for something else than runs: it is cancelled. None while it waits for `promises`, which are then."""
        self.promises: Sequence[Promise[Any]] = ()
        self.why = ""
        self.timer: asyncio.TimerHandle | None = None
        """For a client that wants its answer sooner than all must have it."""
        self.connection: Any = None
        self.watch: asyncio.Task[None] | None = None

    def end(self, why: str) -> None:
        """Give up the work."""
        if not self.why:
            self.why = why
            self.begin = None
            for promise in self.promises:
                promise.cancel()
            if self.task is not None:
                self.task.cancel()
            elif self.given_up is not None:
                self.given_up()

    def leave(self) -> None:
        """The client went away."""
        self.end(LEFT)

    @property
    def has_left(self) -> bool:
        """Whether the client has gone away, as far as the system knows it."""
        return self.connection is not None and bool(self.connection.has_left)

    def runs(self) -> None:
        """Its runs have started."""
        if self.connection is not None:
            self.connection.runs = True

    def watch_client(self, scope: Scope, receive: Receive) -> None:
        """Give up the work when the client leaves. The body must have been received."""
        self.connection = scope.get(CONNECTION)
        if self.connection is not None:
            self.connection.watch(self.leave)
        else:
            self.watch = asyncio.create_task(self._watch(receive))

    async def _watch(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.end(LEFT)

    def close(self) -> None:
        """It has ended."""
        if self.timer is not None:
            self.timer.cancel()
        self.begin = self.given_up = None
        if self.connection is not None:
            self.connection.runs = False
            self.connection.watch(None)
        if self.watch is not None:
            self.watch.cancel()
