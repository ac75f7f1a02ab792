"""Connections with limits that uvicorn's own lack: of heads and trailers, in size and time, and of requests in a row.

They also send a whole answer at once. The interface between servers and applications has two messages for it, each of
which would be a call of the system and a packet: together a third of the work on a request of a small model.

A request for a run that arrives in one piece, as nearly all do, needs no scope, no task and no objects of uvicorn.
It goes straight to the model (`Inference.take`), which replies when it has run. The rest goes to uvicorn and to the
application: a body in pieces, a request behind another one. The pieces of a large body of bytes come straight into the
memory that the model reads.

What is wrong with a request is answered in its turn, after the requests before it. A request that asks for another
protocol is answered as if it did not, as HTTP has it.
"""

from __future__ import annotations

import asyncio
import math
import socket
from collections.abc import Callable, Mapping
from typing import Any, Final

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from webnn.serving.endings import refusal
from webnn.serving.exchanges import CONNECTION, Asked, Body, Headers, Scope
from webnn.serving.hosts import (
    FIELDS,
    HEAD,
    LARGE_HEAD,
    MANY_FIELDS,
    head_size,
    head_without_upgrade,
    refused_address,
    refused_host,
)
from webnn.serving.inference import Inference
from webnn.serving.listening import has_left
from webnn.serving.protocol import Refused
from webnn.serving.transports import Flow, Transport
from webnn.serving.uploads import Upload

__all__ = ["Connection"]

PIPELINE: Final = 16
"""The most requests that wait behind one that is under way, and that one read may bring. Those after them the client
has to send again on another connection, as all that send requests in a row must be able to (RFC 9112, 9.3.2)."""
HEAD_SECONDS: Final = 20.0
"""The most seconds from the first byte of a request to the end of its headers."""


class _Full(Exception):  # noqa: N818 (it ends the parsing, and is no error)
    """Enough requests wait, or one was refused: no more is read."""


class Connection(HttpToolsProtocol):
    """A connection of uvicorn, which is closed if the head of a request is too large or too slow.

    Args:
        connection: its socket, which its transport owns.
        inferences: take the requests for runs; by the path, as it was sent.
        options: the options of uvicorn.
    """

    def __init__(
        self, connection: socket.socket, inferences: Mapping[bytes, Inference] | None = None, **options: Any
    ) -> None:
        super().__init__(**options)
        self.left: Callable[[], object] | None = None
        self.runs = False
        """Whether runs are under way for the client."""
        self._socket = connection
        self._inferences = inferences or {}
        self._inference: Inference | None = None
        """What the request is for that is being received, unless the application gets it."""
        self._parts: list[bytes] = []
        """Of its body."""
        self._upload: Upload | None = None
        """Its body, if a model waits for the rest of it."""
        self._under_way: RequestResponseCycle | None = None
        """What uvicorn has of the request that the application answers. Not in its scope, which that has: nothing is to
        be left to the garbage collector, least of all a body."""
        self._asked = Asked()
        self._in_head = self._in_body = False
        self._ends = False
        """Whether nothing is read any more: the connection ends when all has been answered."""
        self._last_words: Refused | None = None
        """What is answered then."""
        self._since_chunk: int | None = None
        """Bytes received after the head of a chunk without any of its data: of trailers. None elsewhere."""
        self._idle_since = 0.0
        self._head_bytes = self._read = 0  # of a head in the reads before, about, and of this read
        self._began = False
        """Whether the last request began in this read."""
        self._head_timer: asyncio.TimerHandle | None = None

    @property
    def is_closing(self) -> bool:
        """Whether the client has gone away."""
        return self.transport.is_closing()

    @property
    def has_left(self) -> bool:
        """Whether the client has gone away, as the system knows it, which may be before the event loop sees it."""
        try:
            return self.transport.is_closing() or has_left(self._socket)
        except OSError:  # it is closed
            return True

    @property
    def is_between(self) -> bool:
        """Whether no part of a request has been received."""
        return not (self._in_head or self._in_body)

    @property
    def may_send(self) -> bool:
        """Whether the client may be sending what will not be answered."""
        return self._ends or bool(self.pipeline) or not self.is_between

    @property
    def is_waited_for(self) -> bool:
        """Whether a request of the client has a place in a queue."""
        return self.left is not None and self._upload is None

    @property
    def body_memory(self) -> memoryview | None:
        """Where the rest of a body is received, if not by `data_received`."""
        upload = self._upload
        return upload.body[upload.received :] if upload is not None and upload.is_wanted else None

    def watch(self, left: Callable[[], object] | None) -> None:
        """Call `left` when the client goes away; None ends this. See `CONNECTION`."""
        self.left = left
        self.flow.resume_reading()  # it may be paused behind a large body, and then the end is not seen

    def answer(self, scope: Scope, status: int, headers: Headers, body: Body) -> bool:
        """Send the whole answer to a request; False if the client reads too slowly for that.

        Args:
            scope: the scope of the request. Its method is not HEAD.
            status: the HTTP status.
            headers: with the length of the body among them.
            body: the body of the answer.
        """
        cycle = self._under_way
        if cycle is None or cycle.scope is not scope or cycle.disconnected:  # the client has left
            return True
        if self.transport.is_closing():  # it has been told what is wrong with the rest of the request
            cycle.disconnected = True
            return True
        if self.flow.write_paused:
            return False
        cycle.waiting_for_100_continue = False
        cycle.response_started = True
        if cycle is self.cycle and self._in_body and (self.expect_100_continue or status == 408):
            cycle.keep_alive = False  # the rest of its body may never come
        self._send(cycle, status, headers, body)
        cycle.message_event.set()
        cycle.on_response()
        return True

    def answer_nothing(self, scope: Scope) -> None:
        """The request of `scope` has ended without an answer, since its client has left.

        Uvicorn knows that of the last request of a connection only.
        """
        cycle = self._under_way
        if cycle is not None and cycle.scope is scope:
            cycle.disconnected = True

    def reply(self, status: int, headers: Headers, body: Body) -> None:
        """Send the whole answer to a request that a model has taken, if the client is still there."""
        if not self.transport.is_closing():
            if self._in_body and status == 408:
                self._asked.keep_alive = False  # the rest of it may never come
            self._send(self._asked, status, headers, body)
            self.on_response_complete()
        self._asked.response_complete = True

    def _send(self, cycle: Any, status: int, headers: Headers, body: Body) -> None:
        lines = [STATUS_LINE[status]]
        for name, value in (*self.server_state.default_headers, *headers):
            if name == b"connection":  # the server stops
                cycle.keep_alive = False
            else:
                lines += (name, b": ", value, b"\r\n")
        lines.append(b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n")
        cycle.response_complete = True
        if isinstance(body, bytes):
            lines.append(body)
            self.transport.write(b"".join(lines))
        else:
            self.transport.writelines([b"".join(lines), *body])
        if not cycle.keep_alive:
            self.transport.close()

    def scope_for_log(self) -> Scope:
        """The method, the path and the client of the request that a model has taken."""
        return {"method": "POST", "path": self._asked.url.decode("ascii"), "client": self.client}

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The connection was accepted."""
        super().connection_made(transport)
        self.flow = Flow(transport, self.pipeline)
        self._idle_since = self.loop.time()

    def data_received(self, data: bytes) -> None:
        """Bytes were received."""
        if self._ends:
            return
        if self._upload is not None:
            missing = self._upload.missing
            self._upload.add(memoryview(data)[:missing])
            self.body_received(min(missing, len(data)))
            if len(data) <= missing:
                return
            data = data[missing:]
        if self._since_chunk is not None:
            self._since_chunk += len(data)
        self._read = len(data)
        self._began = False
        self._parse(data)
        if self._ends:
            self._end_head()
            return
        if self._inference is not None:  # more of its body is to come
            self._expect_more(self._inference)
        if self._in_head:
            # Where it began in this read, a large body may come before it. What this leaves out is known at its end.
            self._head_bytes += head_size(self.url, self.headers) if self._began else len(data)
            if self._head_bytes > HEAD:
                self._refuse(LARGE_HEAD)
            elif self._head_timer is None:
                slow = Refused(408, f"the head of the request took longer than {HEAD_SECONDS:g} s")
                self._head_timer = self.loop.call_later(HEAD_SECONDS, self._refuse, slow)
        elif self._head_timer is not None:
            self._end_head()
        if self._since_chunk is not None and self._since_chunk > HEAD:
            self._refuse(Refused(431, f"the trailers of the request are larger than {HEAD} bytes"))

    def _parse(self, data: bytes) -> None:
        try:
            begin = self._parse_until_upgrade(data)
            while begin:  # the parser takes what follows for another protocol
                if self.parser.get_method() == b"CONNECT":
                    self._refuse(Refused(400, "this server is not a proxy"))
                    return
                version = self.parser.get_http_version()
                head = head_without_upgrade(self.parser.get_method(), self.url, version, self.headers)
                data = data[begin:]
                self._renew_parser()
                self.parser.feed_data(head)
                begin = self._parse_until_upgrade(data)
        except httptools.HttpParserError:
            if not self._ends:
                self._refuse(Refused(400, "the request is not valid HTTP"))

    def _parse_until_upgrade(self, data: bytes) -> int:
        """Where the data after a request begins that asks for another protocol; 0 if there is none."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            begin: int = upgrade.args[0]
            return begin
        return 0

    def _renew_parser(self) -> None:
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn has it

    def _expect_more(self, inference: Inference) -> None:
        """Have a model wait for the rest of the body that is being received, or call the application."""
        self._upload = inference.expect(self, self.headers)
        if self._upload is None:
            self._call_application()
            return
        self._ask()
        parts, self._parts = b"".join(self._parts), []
        self._upload.add(memoryview(parts))
        self.body_received(len(parts))

    def _ask(self) -> None:
        """The request that is being received goes to a model."""
        asked = self._asked
        asked.response_complete = False
        asked.url = self.url  # which may be that of the next request when this one is logged
        asked.keep_alive = self.parser.should_keep_alive() and self.parser.get_http_version() != "1.0"
        self.cycle = asked  # type: ignore[assignment]

    def body_received(self, size: int) -> None:
        """So many bytes of a body were received in `body_memory`."""
        upload, inference = self._upload, self._inference
        assert upload is not None
        assert inference is not None
        if upload.missing == size:  # the parser has not seen the rest of the body
            self._upload = self._inference = None
            self._in_body = False
            self._renew_parser()
        inference.received(upload, size)

    def eof_received(self) -> None:
        """The client has left: what is under way for it is given up at once, and `connection_lost` follows."""
        self._disconnect()
        if self.left is not None:
            self.left()
        self._upload = None

    def _disconnect(self) -> None:
        """Nothing more is sent: neither for the last request nor for one under way before it."""
        for cycle in (self.cycle, self._under_way):
            if cycle is not None and not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended."""
        self._end_head()
        self._upload = None
        self._disconnect()
        super().connection_lost(exc)
        if self.left is not None:
            self.left()
        # All of these lead back here.
        self.parser = self.cycle = self.scope = self._under_way = None  # type: ignore[assignment]
        self.pipeline.clear()

    def on_message_begin(self) -> None:
        """A request begins."""
        if len(self.pipeline) >= PIPELINE:
            self.pipeline[0][0].keep_alive = False  # the last one
            self._ends = True
            raise _Full
        self._end_head()  # that of the request before it may have begun in the read before
        self._in_head = self._began = True
        self.url = b""
        self.expect_100_continue = False
        self.headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header was received, or a trailer, which nothing here needs."""
        if self._in_head:
            if len(self.headers) == FIELDS:
                self._refuse(MANY_FIELDS)
                raise _Full
            super().on_header(name, value.rstrip(b" \t"))  # which the parser leaves

    def on_headers_complete(self) -> None:
        """The body follows."""
        cycle, parser = self.cycle, self.parser
        if parser.should_upgrade():  # the same comes again, without that
            return
        inference = self._inferences.get(self.url)
        refused = refused_host(self.headers, parser.get_http_version())
        if refused is None and inference is None:
            refused = refused_address(self.url)
        if (self._read > HEAD or not self._began) and head_size(self.url, self.headers) > HEAD:
            refused = LARGE_HEAD
        if refused is not None:
            self._refuse(refused)
            raise _Full
        self._in_head, self._in_body = False, True
        if self.expect_100_continue and parser.get_http_version() == "1.0":
            self.expect_100_continue = False  # RFC 9110, section 10.1.1
        if (
            inference is not None
            and parser.get_method() == b"POST"
            and (cycle is None or cycle.response_complete)
            and not (self.expect_100_continue or self.flow.write_paused)
        ):
            self._inference = inference
        else:
            self._call_application()

    def _call_application(self) -> None:
        """Call the application for the request whose head has been received, as uvicorn does."""
        self._inference = None
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers += headers  # the scope has this list
        scope = self.scope
        scope[CONNECTION] = self  # type: ignore[typeddict-unknown-key]
        super().on_headers_complete()
        parts, self._parts = self._parts, []
        if parts:
            super().on_body(b"".join(parts))

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Have the application answer a request: the next one, or one that has waited behind others."""
        self._under_way = cycle
        super()._start_asgi_task(cycle, app)

    def on_chunk_header(self) -> None:
        """A chunk of the body begins, or its trailers."""
        self._since_chunk = 0

    def on_body(self, body: bytes) -> None:
        """A part of the body was received."""
        self._since_chunk = None
        if self._inference is None:
            super().on_body(body)
        else:
            self._parts.append(body)

    def on_message_complete(self) -> None:
        """The whole body was received."""
        if self._in_head:  # it asks for another protocol
            return
        self._in_body, self._since_chunk = False, None
        inference = self._inference
        if inference is None:
            super().on_message_complete()
            return
        before, parts = self.cycle, self._parts
        self._ask()
        self._inference = None
        if inference.take(self, self.headers, parts[0] if len(parts) == 1 else b"".join(parts)):
            self._parts = []
        else:
            self._asked.response_complete = True
            self.cycle = before
            self._call_application()
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """The whole answer has been sent. No timer is set, as uvicorn does it: that would take longer than the rest."""
        self.server_state.total_requests += 1
        under_way, self._under_way = self._under_way, None
        if under_way is not None:
            under_way.body.clear()  # what the application has not read of it
        if self.transport.is_closing():
            return
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self._last_words is not None:
            self._answer_last(self._last_words)
        elif self._in_body and self.expect_100_continue and self.cycle.response_complete:
            self.transport.close()  # the body may never come, and what comes would be taken for it
        else:
            self._idle_since = self.loop.time()
        self.flow.resume_reading()

    def close_if_idle(self, since: float) -> None:
        """Close it if nothing has been asked since a time of the loop's clock."""
        if self._idle_since < since and (self.cycle is None or self.cycle.response_complete):
            self.transport.close()

    def close_if_unread(self, since: float, begun: float = -math.inf) -> None:
        """Close it if its client does not take what waits to be sent.

        Args:
            since: it has taken nothing since this time of the loop's clock;
            begun: or is still taking what it began to take before this time.
        """
        transport = self.transport
        if isinstance(transport, Transport) and (transport.waits_since(since) or transport.sends_since(begun)):
            transport.abort()

    def _end_head(self) -> None:
        self._head_bytes = 0
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse(self, refused: Refused) -> None:
        """Answer, after the requests before, and close."""
        self._end_head()
        self._ends = True
        if self.transport.is_closing():
            return
        if self._in_body and self._inference is None:  # it has been given to the application
            if self.cycle.response_complete:
                self.transport.close()
                return
            if not self.pipeline:
                self._answer_last(refused)
                return
            self.pipeline.popleft()
            self._last_words = refused
        elif self.cycle is not None and not self.cycle.response_complete:
            self._last_words = refused
        else:
            self._answer_last(refused)
        self._inference = None

    def _answer_last(self, refused: Refused) -> None:
        headers, body = refusal(refused)
        always = [header for header in self.server_state.default_headers if header[0] != b"connection"]
        lines = [b"%s: %s\r\n" % header for header in (*always, *headers, (b"connection", b"close"))]
        if self.parser.get_method() == b"HEAD":  # RFC 9110, section 9.3.2
            body = b""
        self.transport.write(b"".join((STATUS_LINE[refused.status], *lines, b"\r\n", body)))
        self.transport.close()
