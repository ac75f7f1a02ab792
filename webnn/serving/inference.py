"""The answer to a request for a run: read, queued, computed, written; or refused, given up, late.

It is an ASGI application without a framework around it, since the computation of a small model takes less time than a
router. All limits are its own. Those of an event loop or a server cancel the task of a request, but a run is not a part
of that task.

A request ends in one of these ways, each of which frees its place in the queue at once:

    200 answered        4xx not valid          503 no room, or the server stops
    499 client gone     408 body too slow      504 late              500 the run failed
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Final, TypeVar

from webnn.errors import ContextLostError, MLError
from webnn.scheduler.promise import Promise
from webnn.serving.admission import Admission
from webnn.serving.figures import GONE, Requests
from webnn.serving.json_text import written
from webnn.serving.protocol import HEADER_LENGTH, JSON, Refused
from webnn.serving.repository import Served
from webnn.serving.tensors import answer, call_of

__all__ = [
    "CONNECTION",
    "Headers",
    "Inference",
    "Limits",
    "Message",
    "Observer",
    "Receive",
    "Scope",
    "Send",
    "Shared",
    "refusal",
]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Observer = Callable[[Scope, int, int, float], object]
Headers = Sequence[tuple[bytes, bytes]]
T = TypeVar("T")

_log = logging.getLogger("webnn.serving")

LARGE: Final = 64 * 1024
"""Bytes of a body from which on bodies are read one by one, and the event loop has its turn before each: a hundred
large ones at once would keep it from seeing that their clients have left."""
LOOK: Final = 0.01
"""Seconds after which a full queue is looked through again for clients that have gone away."""
ELEMENT: Final = 64
"""Bytes that a number may take in JSON, indented and nested."""
SPARE: Final = 64 * 1024
"""Bytes that a request may have beside its numbers."""
CONNECTION: Final = "webnn.connection"
"""In the scope of a request, an object with a method `watch`, if the server has one. It calls a function when the
client goes away. Otherwise a task waits for that, which costs more. `is_closing` says whether it has gone, `has_left`
asks the system that, and `answer` sends an answer in one piece."""
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
        max_bodies: the most bytes of all bodies that are being received and worked on.
    """

    max_queue: int = 256
    timeout: float = 10.0
    max_body: int = 64 * 1024 * 1024
    max_bodies: int = 512 * 1024 * 1024


class Shared:
    """What all models of a server share.

    Attributes:
        bodies: the bytes of all bodies that are being received and worked on.
        turn: held while a large body is read.
        exchanges: the requests that are under way, in the order in which they came. They have one timer together, which
            is cheaper than one for each.

    Args:
        timeout: seconds that a request may take.
    """

    def __init__(self, timeout: float) -> None:
        self.bodies = 0
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
        """Give the requests up whose clients have gone away, which the event loop has not seen yet; were there any?

        It looks once in `LOOK` seconds at most.
        """
        now = perf_counter()
        if now < self._next_look:
            return False
        self._next_look = now + LOOK
        left = [each for each in self.exchanges if each.connection is not None and each.connection.has_left]
        for exchange in left:
            exchange.leave()
        return bool(left)

    def stop(self) -> None:
        """Answer all requests that are under way with 503, without waiting for their runs."""
        for exchange in list(self.exchanges):
            exchange.end(STOPPED)


class _GoneError(Exception):
    """The client went away."""


class Exchange:
    """One request, and the reason to end it before its answer is there."""

    __slots__ = ("began", "connection", "held", "promises", "task", "timer", "watch", "why")

    def __init__(self, task: asyncio.Task[Any] | None, began: float) -> None:
        self.began = began
        self.held = 0
        """Bytes of its body."""
        self.task = task
        """Waits for something else than runs: it is cancelled. None while it waits for `promises`, which are then."""
        self.promises: Sequence[Promise[Any]] = ()
        self.why = ""
        self.timer: asyncio.TimerHandle | None = None
        """For a client that wants its answer sooner than all must have it."""
        self.connection: Any = None
        self.watch: asyncio.Task[None] | None = None

    def end(self, why: str) -> None:
        """Give the work up."""
        if not self.why:
            self.why = why
            for promise in self.promises:
                promise.cancel()
            if self.task is not None:
                self.task.cancel()

    def leave(self) -> None:
        """The client went away."""
        self.end(LEFT)

    def watch_client(self, scope: Scope, receive: Receive) -> None:
        """Give the work up when the client goes away. Its body must have been received."""
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
        if self.connection is not None:
            self.connection.watch(None)
        if self.watch is not None:
            self.watch.cancel()


class Inference:
    """Answers requests for runs of one version of a model.

    Args:
        served: the model.
        limits: of the server.
        shared: of the server.
        admission: the queue of the model, which its versions share.
        log: called after each request, with its scope, its status, the bytes of its answer and its seconds.
    """

    def __init__(
        self, served: Served, limits: Limits, shared: Shared, admission: Admission, log: Observer | None = None
    ) -> None:
        self.served = served
        self.admission = admission
        self.requests = Requests()
        self._log = log
        self._limits = limits
        self._shared = shared
        elements = sum(port.elements for port in served.inputs.values())
        items = limits.max_queue if served.batched else 1
        self.max_body = min(limits.max_body, items * elements * ELEMENT + SPARE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, as ASGI has it."""
        began = perf_counter()
        exchange = Exchange(asyncio.current_task(), began)
        self._shared.begin(exchange)
        status, items = 200, 0
        headers: Headers = ()
        body = b""
        cancelled: asyncio.CancelledError | None = None
        try:
            items, headers, body = await self._answered(scope, receive, exchange)
        except Refused as refused:
            status, headers, body = refused.status, *refusal(refused)
        except _GoneError:
            status = GONE
        except asyncio.CancelledError as error:  # by the server around this application
            cancelled = error
            status, headers, body = 503, *refusal(_stopped())
        except ContextLostError:
            status, headers, body = 503, *refusal(_stopped())
        except MLError as error:
            _log.warning("%s: %s", self.served.name, error)
            status, headers, body = 500, *refusal(Refused(500, f"the run failed: {str(error).splitlines()[0]}"))
        except Exception:
            _log.exception("a request for %s failed", self.served.name)
            status, headers, body = 500, *refusal(Refused(500, "the server failed; its log has the reason"))
        finally:
            exchange.close()
            del self._shared.exchanges[exchange]
        connection = scope.get(CONNECTION)
        if status != GONE and (connection is None or not connection.answer(scope, status, headers, body)):
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": body})
        seconds = perf_counter() - began
        self.requests.count(status, seconds, items)
        if self._log is not None:
            self._log(scope, status, len(body), seconds)
        if cancelled is not None:
            raise cancelled

    async def _answered(self, scope: Scope, receive: Receive, exchange: Exchange) -> tuple[int, Headers, bytes]:
        """The number of items, and the headers and the body of the answer."""
        served, admission, shared = self.served, self.admission, self._shared
        connection = scope.get(CONNECTION)
        if connection is not None and connection.is_closing:
            raise _GoneError
        length, header = _lengths(scope["headers"])
        if not admission.has_room():  # before the body is received
            if not shared.give_up_left():
                raise self._full(1)
            await self._while_waiting(exchange, _breathe(), 504, "the queue was full")  # they leave it meanwhile
            if not admission.has_room():
                raise self._full(1)
        if length is not None and length > self.max_body:
            raise self._too_large()
        try:
            body = await self._while_waiting(
                exchange, self._received(exchange, receive), 408, "the body was not received"
            )
            large = len(body) > LARGE
            if large:
                exchange.watch_client(scope, receive)
                await self._while_waiting(exchange, shared.turn.acquire(), 504, "the body was not read")
            try:
                if large:  # twice, since what the loop meets in its first turn comes behind this in the second
                    await self._while_waiting(exchange, _breathe(), 504, "the body was not read")
                call = call_of(body, header, served.inputs, served.outputs, self._limits.max_queue)
            finally:
                if large:
                    shared.turn.release()
            items = call.items
            if not admission.has_room(items):
                raise self._full(items)
            if call.seconds is not None:
                self._hurry(exchange, call.seconds)
            exchange.promises = served.start(call.inputs, items)
            exchange.task = None
            admission.enter(items, perf_counter())
            done = False
            try:
                if not large:
                    exchange.watch_client(scope, receive)
                results = [await promise for promise in exchange.promises]
                done = True
            except CancelledError:
                raise self._ended(exchange, 504, "the run was not done") from None
            finally:
                admission.leave(items, perf_counter(), done=done)
                exchange.promises = ()
            return items, *answer(served.name, served.version, call, served.joined(results))
        finally:
            shared.bodies -= exchange.held

    async def _while_waiting(self, exchange: Exchange, waiting: Awaitable[T], status: int, what: str) -> T:
        """The result of `waiting`, which ends when the exchange does."""
        try:
            return await waiting
        except asyncio.CancelledError:
            if not exchange.why:
                raise
            if exchange.task is not None:
                exchange.task.uncancel()
            raise self._ended(exchange, status, what) from None

    def _ended(self, exchange: Exchange, status: int, what: str) -> Exception:
        """The end of a request that was ended before its answer was there."""
        if exchange.why == LEFT:
            return _GoneError()
        if exchange.why == LATE:
            return Refused(status, f"{what} in time")
        return _stopped()

    def _hurry(self, exchange: Exchange, seconds: float) -> None:
        """The client wants its answer within `seconds` from now."""
        if seconds < self._limits.timeout:
            exchange.timer = asyncio.get_running_loop().call_later(seconds, exchange.end, LATE)

    def _full(self, items: int) -> Refused:
        admission = self.admission
        if items > admission.most:
            return Refused(400, f"{items} items are more than the queue takes, which is {admission.most}")
        wait = admission.retry_after
        message = f"the queue of {self.served.name!r} is full: {admission.items} items; try again in {wait} s"
        return Refused(503, message, ((b"retry-after", b"%d" % wait),))

    def _hold(self, exchange: Exchange, size: int) -> None:
        """So many bytes of a body have come. Not what it announces: those who leave would take the place of others."""
        if self._shared.bodies + size > self._limits.max_bodies:
            message = "the server has no memory for more requests; try again in 1 s"
            raise Refused(503, message, ((b"retry-after", b"1"),))
        exchange.held += size
        self._shared.bodies += size

    def _too_large(self) -> Refused:
        return Refused(413, f"the body is larger than {self.max_body} bytes, which is the most for this model")

    async def _received(self, exchange: Exchange, receive: Receive) -> bytes:
        """The whole body."""
        parts: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _GoneError
            part: bytes = message.get("body", b"")
            size += len(part)
            if size > self.max_body:
                raise self._too_large()
            self._hold(exchange, len(part))
            parts.append(part)
            if not message.get("more_body", False):
                return part if len(parts) == 1 else b"".join(parts)


async def _breathe() -> None:
    """Give the event loop two turns."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)


def _stopped() -> Refused:
    return Refused(503, "the server is shutting down", ((b"retry-after", b"1"),))


def _lengths(headers: Sequence[tuple[bytes, bytes]]) -> tuple[int | None, bytes | None]:
    """The length of the body, if it is given, and that of its JSON."""
    length: int | None = None
    header: bytes | None = None
    for name, value in headers:
        if name == b"content-length":
            length = int(value) if value.isdigit() and len(value) < 19 else None
        elif name == HEADER_LENGTH:
            header = value
        elif name == b"content-encoding" and value != b"identity":
            raise Refused(415, "compressed requests are not supported: send it without Content-Encoding")
    return length, header


def refusal(refused: Refused) -> tuple[Headers, bytes]:
    """The headers and the body of the answer to a request that was refused."""
    body = written({"error": refused.message})
    return [(b"content-type", JSON), (b"content-length", b"%d" % len(body)), *refused.headers], body
