"""Connections with limits that uvicorn's own lack: of the size of a request's head, and of the time that it takes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from webnn.serving.inference import CONNECTION, refusal
from webnn.serving.listening import has_left
from webnn.serving.protocol import Refused

__all__ = ["Connection"]

HEAD: Final = 64 * 1024
"""The most bytes of a request's line and headers."""
HEAD_SECONDS: Final = 20.0
"""The most seconds from the first byte of a request to the end of its headers."""


class Connection(HttpToolsProtocol):
    """A connection of uvicorn, which is closed if the head of a request is too large or too slow.

    Args:
        connection: its socket, which its transport owns.
        options: of uvicorn.
    """

    def __init__(self, connection: socket.socket, **options: Any) -> None:
        super().__init__(**options)
        self.left: Callable[[], object] | None = None
        self._socket = connection
        self._head_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None

    @property
    def is_closing(self) -> bool:
        """Whether the client has gone away."""
        return self.transport.is_closing()

    def watch(self, left: Callable[[], object] | None) -> None:
        """Call `left` when the client goes away; None ends this. See `CONNECTION`."""
        self.left = left
        self.flow.resume_reading()  # it may be paused behind a large body, and then the end is not seen

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """It has been accepted."""
        super().connection_made(transport)
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        if has_left(self._socket):  # nobody waits for the answer, and others wait for their turn
            self.transport.abort()
            return
        super().data_received(data)
        cycle = self.cycle
        if self.scope is None or (cycle is not None and cycle.scope is self.scope):  # not inside of a head
            if self._head_bytes:
                self._end_head()
            return
        self._head_bytes += len(data)
        if self._head_bytes > HEAD:
            self._refuse(Refused(431, f"the head of the request is larger than {HEAD} bytes"))
        elif self._head_timer is None:
            slow = Refused(408, f"the head of the request took longer than {HEAD_SECONDS:g} s")
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self._refuse, slow)

    def connection_lost(self, exc: Exception | None) -> None:
        """It has ended."""
        self._end_head()
        super().connection_lost(exc)
        if self.left is not None:
            self.left()

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self.scope[CONNECTION] = self  # type: ignore[typeddict-unknown-key]

    def send_400_response(self, msg: str) -> None:
        """Refuse bytes that are not HTTP."""
        self._refuse(Refused(400, msg))

    def _end_head(self) -> None:
        self._head_bytes = 0
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse(self, refused: Refused) -> None:
        """Answer and close."""
        self._end_head()
        if not self.transport.is_closing():
            headers, body = refusal(refused)
            lines = [b"%s: %s\r\n" % header for header in (*headers, (b"connection", b"close"))]
            self.transport.write(b"".join((STATUS_LINE[refused.status], *lines, b"\r\n", body)))
            self.transport.close()
