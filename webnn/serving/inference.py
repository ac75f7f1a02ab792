"""The answer to a request for a run: read, queued, computed, written; or refused, given up, late.

It is an ASGI application without a framework around it, since the computation of a small model takes less time than a
router. A request that arrived in one piece over a connection of `connections.py` needs no task either: the connection
hands it to `take`, and the answer is written when the last of its runs has ended. Both ways begin and end with the same
methods.

A request ends in one of these ways, each of which frees its place in the queue at once:

    200 answered        4xx not valid          503 no room, or the server stops
    499 client gone     408 body too slow      504 late              500 the run failed
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError
from functools import partial
from time import perf_counter
from typing import Any, Final, Protocol, TypeAlias, TypeVar

import numpy as np

from webnn.scheduler.promise import Promise
from webnn.serving.admission import Admission
from webnn.serving.backlog import Backlog
from webnn.serving.calls import DIGITS, Calls, lengths_of
from webnn.serving.endings import GoneError, ended, full, outcome_of
from webnn.serving.exchanges import (
    CONNECTION,
    LATE,
    Body,
    Exchange,
    Headers,
    Limits,
    Observer,
    Receive,
    Scope,
    Send,
    Shared,
)
from webnn.serving.figures import GONE, Requests
from webnn.serving.protocol import Refused
from webnn.serving.repository import Served
from webnn.serving.tensors import Call, Content, numbers_in_json
from webnn.serving.turns import in_turns
from webnn.serving.uploads import LARGEST, Upload

__all__ = ["Inference"]

T = TypeVar("T")
Array: TypeAlias = np.ndarray[Any, Any]

LARGE: Final = 64 * 1024
"""Bytes of a body from which on bodies are read one by one, and the event loop has its turn before each: a hundred
large ones at once would keep it from seeing that their clients have left."""
MANY_NUMBERS: Final = 16 * 1024
"""Numbers of an answer from which on they are written as JSON a little at a time."""
ELEMENT: Final = 64
"""Bytes that a number may take in JSON, indented and nested."""
SPARE: Final = 64 * 1024
"""Bytes that a request may have beside its numbers."""


class Asker(Protocol):
    """The connection of a request that arrived in one piece."""

    def watch(self, left: Callable[[], object] | None) -> None:
        """Call `left` when the client goes away; None ends this."""

    def reply(self, status: int, headers: Headers, body: Body) -> None:
        """Send the answer, if the client is still there."""

    def scope_for_log(self) -> Scope:
        """The method, the path and the client."""


class Inference:
    """Answers requests for runs of one version of a model.

    Args:
        served: the model.
        limits: the limits of the server.
        shared: the state that all models of the server share.
        admission: the queue of the model, which its versions share.
        backlog: the backlog of the server.
        log: called after each request, with its scope, its status, the bytes of its answer and its seconds.
    """

    def __init__(
        self,
        served: Served,
        limits: Limits,
        shared: Shared,
        admission: Admission,
        backlog: Backlog,
        *,
        log: Observer | None = None,
    ) -> None:
        self.served = served
        self._backlog = backlog
        self.admission = admission
        self.requests = Requests()
        self._calls = Calls(served.name, served.version, served.inputs, served.outputs, limits.max_queue)
        self._log = log
        self._limits = limits
        self._shared = shared
        elements = sum(port.elements for port in served.inputs.values())
        items = limits.max_queue if served.batched else 1
        self.max_body = min(limits.max_body, items * elements * ELEMENT + SPARE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, as ASGI has it."""
        exchange = Exchange(asyncio.current_task(), perf_counter(), self.admission)
        self._shared.begin(exchange)
        status, items = 200, 0
        headers: Headers = ()
        body: Body = b""
        cancelled: asyncio.CancelledError | None = None
        try:
            items, headers, body = await self._answered(scope, receive, exchange)
        except asyncio.CancelledError as error:  # by the server around this application
            cancelled = error
            status, headers, body = outcome_of(error, self.served.name)
        except Exception as error:
            status, headers, body = outcome_of(error, self.served.name)
        finally:
            self._close(exchange)
        connection = scope.get(CONNECTION)
        try:
            if status == GONE:
                if connection is not None:
                    connection.answer_nothing(scope)
            elif connection is None or not connection.answer(scope, status, headers, body):
                content = body if isinstance(body, bytes) else b"".join(body)
                await send({"type": "http.response.start", "status": status, "headers": headers})
                await send({"type": "http.response.body", "body": content})
        finally:
            self._free(exchange)
        seconds = perf_counter() - exchange.began
        self.requests.count(status, seconds, items)
        if self._log is not None:
            self._log(scope, status, _size(body), seconds)
        if cancelled is not None:
            raise cancelled

    def take(self, connection: Asker, headers: Headers, body: bytes) -> bool:
        """Answer a request that arrived in one piece, without a task.

        Args:
            connection: is told the answer, now or later.
            headers: the headers of the request.
            body: the body of the request.

        Returns:
            False if the request has to wait before it can be read; the application is to be called for it.
        """
        if len(body) > LARGE or len(body) > self.max_body:
            return False
        has_room = self.admission.has_room()
        if not has_room and self._shared.give_up_left():
            has_room = self.admission.has_room()
            if not has_room:  # some of them leave it in the next turns of the event loop
                return False
        exchange = self._asked(connection)
        try:
            if not has_room:
                raise full(self.admission, self.served.name, 1)
            self._hold(exchange, len(body))
            self._take(exchange, body, headers)
        except Exception as error:
            self._reply(exchange, *outcome_of(error, self.served.name))
        return True

    def expect(self, connection: Asker, headers: Headers) -> Upload | None:
        """Begin a request with a large body of bytes that are to come in pieces, without a task.

        Args:
            connection: is told the answer, which may come before the body. Otherwise it calls `received` after each
                piece.
            headers: the headers of the request.

        Returns:
            None if it is something else, or refused; the application is to be called for it.
        """
        try:
            length, header = lengths_of(headers)
        except Refused:
            return None
        if length is None or not LARGE < length <= min(self.max_body, LARGEST):
            return None
        if header is None or len(header) > DIGITS or not self.admission.has_room():
            return None
        exchange = self._asked(connection)
        exchange.given_up = partial(self._give_up, exchange, 408, "the body was not received")
        connection.watch(exchange.leave)
        return Upload(exchange, headers, length)

    def received(self, upload: Upload, size: int) -> None:
        """So many bytes more of a body have come: answer the request if these are all."""
        upload.received += size
        exchange = upload.exchange
        if not upload.is_wanted:
            return
        try:
            self._hold(exchange, size)
            if not upload.missing:
                exchange.given_up = None
                if exchange.has_left:
                    raise GoneError
                self._take(exchange, upload.body, upload.headers)
        except Exception as error:
            self._reply(exchange, *outcome_of(error, self.served.name))

    def _asked(self, connection: Asker) -> Exchange:
        """A request without a task."""
        exchange = Exchange(None, perf_counter(), self.admission)
        exchange.connection = connection
        self._shared.begin(exchange)
        return exchange

    def _take(self, exchange: Exchange, body: Content, headers: Headers) -> None:
        """Start the runs of a request without a task, whose body is there, or have them wait."""
        exchange.connection.watch(exchange.leave)
        self._read(exchange, body, lengths_of(headers)[1])
        if self._backlog.enter(exchange):
            self._run(exchange)
        else:
            exchange.begin = partial(self._run_later, exchange)
            exchange.given_up = partial(self._give_up, exchange, 504, "the run was not done")

    def _run(self, exchange: Exchange) -> None:
        """Start the runs of a request without a task."""
        self._start(exchange)
        ended = partial(self._run_ended, exchange)
        for promise in exchange.promises:
            promise.add_done_callback(ended)

    def _run_later(self, exchange: Exchange) -> None:
        """The same for one that has waited."""
        exchange.given_up = None
        try:
            self._run(exchange)
        except Exception as error:
            self._reply(exchange, *outcome_of(error, self.served.name))

    def _give_up(self, exchange: Exchange, status: int, what: str) -> None:
        """A request without a task was ended while it waited."""
        self._reply(exchange, *outcome_of(ended(exchange, status, what), self.served.name))

    def _run_ended(self, exchange: Exchange, promise: Promise[Any]) -> None:
        """A run of a request without a task has ended: answer if it was the last one, or if it failed."""
        call, exchange.waiting = exchange.call, exchange.waiting - 1
        if call is None or (exchange.waiting and not promise.cancelled() and promise.exception() is None):
            return
        promises, status = exchange.promises, 200
        try:
            results = [each.result() for each in promises] if exchange.waiting == 0 else [promise.result()]
            if call.answer > MANY_NUMBERS and numbers_in_json(call) > MANY_NUMBERS:  # a number takes a byte at least
                self._backlog.leave(exchange)
                exchange.promises = ()
                writing = asyncio.create_task(in_turns(self._calls.answer_in_steps(call, results), self._shared.turn))
                exchange.task = writing
                writing.add_done_callback(partial(self._answer_written, exchange))
                return
            headers, body = self._calls.answer(call, results)
        except CancelledError:
            status, headers, body = outcome_of(ended(exchange, 504, "the run was not done"), self.served.name)
        except Exception as error:
            status, headers, body = outcome_of(error, self.served.name)
        self._reply(exchange, status, headers, body)
        for each in promises if exchange.waiting else ():
            each.cancel()

    def _answer_written(self, exchange: Exchange, writing: asyncio.Task[tuple[Headers, Body]]) -> None:
        """An answer that takes long to write has been written, or given up, maybe before its task has begun."""
        status = 200
        try:
            headers, body = writing.result()
        except asyncio.CancelledError:
            status, headers, body = outcome_of(ended(exchange, 504, "the answer was not written"), self.served.name)
        except Exception as error:
            status, headers, body = outcome_of(error, self.served.name)
        self._reply(exchange, status, headers, body)

    def _reply(self, exchange: Exchange, status: int, headers: Headers, body: Body) -> None:
        """Answer a request without a task."""
        items = 0 if exchange.call is None else exchange.call.items
        connection: Asker = exchange.connection
        self._close(exchange)
        exchange.connection = None
        self._shared.memory.bodies -= exchange.held
        if status != GONE:
            connection.reply(status, headers, body)
        self._free(exchange)
        self._leave(exchange, done=status == 200)
        seconds = perf_counter() - exchange.began
        self.requests.count(status, seconds, items)
        if self._log is not None:
            self._log(connection.scope_for_log(), status, _size(body), seconds)

    def _free(self, exchange: Exchange) -> None:
        """The answer to a request has been written, or there is none."""
        kept, exchange.kept = exchange.kept, 0
        self._shared.memory.free(kept)

    def _read(self, exchange: Exchange, body: Content, header: bytes | None) -> None:
        """Read a request, which is in the queue of the model from now on."""
        self._enter(exchange, self._calls.read(body, header))

    def _enter(self, exchange: Exchange, call: Call) -> None:
        """A request has been read, and is in the queue of the model from now on."""
        if not self.admission.has_room(call.items):
            self._shared.give_up_left()
            if not self.admission.has_room(call.items):
                raise full(self.admission, self.served.name, call.items)
        if call.seconds is not None:
            self._hurry(exchange, call.seconds)
        exchange.call = call
        exchange.answer = call.answer
        self.admission.company = self.served.company
        self.admission.enter(call.items, perf_counter())

    def _start(self, exchange: Exchange) -> None:
        """Start the runs of a request that has been read."""
        call = exchange.call
        assert call is not None
        exchange.promises = self.served.start(call.inputs, call.items)
        exchange.waiting = len(exchange.promises)
        exchange.runs()

    def _leave(self, exchange: Exchange, *, done: bool) -> None:
        """A request has ended, with its runs if it had any."""
        call, exchange.call, exchange.promises = exchange.call, None, ()
        if call is not None:
            self.admission.leave(call.items, perf_counter(), done=done)
            self._backlog.leave(exchange)

    def _close(self, exchange: Exchange) -> None:
        exchange.close()
        del self._shared.exchanges[exchange]

    async def _answered(self, scope: Scope, receive: Receive, exchange: Exchange) -> tuple[int, Headers, Body]:
        """The number of items, and the headers and the body of the answer."""
        admission, shared = self.admission, self._shared
        connection = scope.get(CONNECTION)
        if connection is not None and connection.is_closing:
            raise GoneError
        length, header = lengths_of(scope["headers"])
        if not admission.has_room():  # before the body is received
            if not shared.give_up_left():
                raise full(self.admission, self.served.name, 1)
            await self._while_waiting(exchange, _breathe(), 504, "the queue was full")  # they leave it meanwhile
            if not admission.has_room():
                raise full(self.admission, self.served.name, 1)
        if length is not None and length > self.max_body:
            raise self._too_large()
        try:
            body = await self._while_waiting(
                exchange, self._received(exchange, receive), 408, "the body was not received"
            )
            large = len(body) > LARGE
            if large:
                exchange.watch_client(scope, receive)
                await self._read_in_turn(exchange, body, header)
            else:
                self._read(exchange, body, header)
            body = b""  # the inputs have what they need of it
            call = exchange.call
            assert call is not None
            done = False
            try:
                if not large:
                    exchange.watch_client(scope, receive)
                if not self._backlog.enter(exchange):
                    turn = asyncio.get_running_loop().create_future()
                    exchange.begin = partial(_begin, turn)
                    await self._while_waiting(exchange, turn, 504, "the run was not done")
                exchange.task = None
                self._start(exchange)
                results = [await promise for promise in exchange.promises]
                done = True
                exchange.task = asyncio.current_task()
            except CancelledError:
                raise ended(exchange, 504, "the run was not done") from None
            finally:
                self._leave(exchange, done=done)
            if numbers_in_json(call) > MANY_NUMBERS:
                writing = in_turns(self._calls.answer_in_steps(call, results), shared.turn)
                written = await self._while_waiting(exchange, writing, 504, "the answer was not written")
                return call.items, *written
            return call.items, *self._calls.answer(call, results)
        finally:
            shared.memory.bodies -= exchange.held

    async def _read_in_turn(self, exchange: Exchange, body: bytes | bytearray, header: bytes | None) -> None:
        """Read a large request, as `_read` does, in turn with others."""
        turn = self._shared.turn
        await self._while_waiting(exchange, turn.acquire(), 504, "the body was not read")
        try:
            if exchange.has_left:
                raise GoneError
            # Twice, since what the loop meets in its first turn comes behind this in the second.
            await self._while_waiting(exchange, _breathe(), 504, "the body was not read")
            if header is not None and len(header) <= DIGITS:
                self._read(exchange, body, header)
                return
        finally:
            turn.release()
        reading = in_turns(self._calls.read_in_steps(body, header), turn)
        call = await self._while_waiting(exchange, reading, 504, "the body was not read")
        if header is None:  # the numbers take its place
            size = sum(array.nbytes for array in call.inputs.values())
            self._shared.memory.bodies += size - exchange.held
            exchange.held = size
        self._enter(exchange, call)

    async def _while_waiting(self, exchange: Exchange, waiting: Awaitable[T], status: int, what: str) -> T:
        """The result of `waiting`, which ends when the exchange does."""
        try:
            return await waiting
        except asyncio.CancelledError:
            if not exchange.why:
                raise
            if exchange.task is not None:
                exchange.task.uncancel()
            raise ended(exchange, status, what) from None

    def _hurry(self, exchange: Exchange, seconds: float) -> None:
        """The client wants its answer within `seconds` from now."""
        if seconds < self._limits.timeout:
            exchange.timer = asyncio.get_running_loop().call_later(seconds, exchange.end, LATE)

    def _hold(self, exchange: Exchange, size: int) -> None:
        """So many bytes of a body have come. Not what it announces: those who leave would take the place of others."""
        memory = self._shared.memory
        if not (memory.has_room_for_body(size) or (self._shared.give_up_left() and memory.has_room_for_body(size))):
            message = "the server has no memory for more requests; try again in 1 s"
            raise Refused(503, message, ((b"retry-after", b"1"),))
        exchange.held += size
        memory.bodies += size

    def _too_large(self) -> Refused:
        return Refused(413, f"the body is larger than {self.max_body} bytes, which is the most for this model")

    async def _received(self, exchange: Exchange, receive: Receive) -> bytes | bytearray:
        """The whole body."""
        body = bytearray()  # which grows as it comes: to join the parts of a large one takes long
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise GoneError
            part: bytes = message.get("body", b"")
            if len(body) + len(part) > self.max_body:
                raise self._too_large()
            self._hold(exchange, len(part))
            if not (body or message.get("more_body", False)):
                return part
            body += part
            if not message.get("more_body", False):
                return body


def _size(body: Body) -> int:
    """The bytes of a body."""
    return len(body) if isinstance(body, bytes) else sum(map(len, body))


def _begin(turn: asyncio.Future[None]) -> None:
    """It is the turn of a request that waits, if that has not been ended meanwhile."""
    if not turn.done():
        turn.set_result(None)


async def _breathe() -> None:
    """Give the event loop two turns."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)
