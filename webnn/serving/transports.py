"""Transports that do not read the data of clients that have left.

Asyncio's transports, and uvloop's, read all that has come before they notice that the client has gone. A thousand
clients that leave in the middle of a request would cost the others as much time as a thousand that stay: what they have
sent is copied, parsed and queued, and dropped when its end is met. Here it is thrown away with the socket.

They implement the part of `asyncio.Transport` that this server uses, over `polling.py`. All connections read into the
same memory, one after the other.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import deque
from collections.abc import Collection, Sequence
from typing import Any, Final

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from webnn.serving.lingering import Lingering
from webnn.serving.polling import Polling

__all__ = ["FEW", "Flow", "Transport"]

READ: Final = 256 * 1024
"""The most bytes of one read of a body into its own memory."""
PARSED: Final = 80 * 1024
"""The most bytes of one read that a protocol parses: a request that needs no task, with its head. Pieces of a few bytes
take so long to parse that more would hold up the others for tens of milliseconds."""
HIGH: Final = 64 * 1024
"""Bytes that wait to be sent above which the protocol is told to write no more."""
LOW: Final = 16 * 1024
"""Bytes that wait to be sent at which it may write again."""
AT_ONCE: Final = 512
"""Parts that are given to the system in one call, which takes twice as many."""
FEW: Final = 8
"""Requests that wait behind another one up to which more is read: on systems without epoll, the end of a connection is
seen only by reading."""
BEHIND: Final = 64 * 1024
"""Bytes of their bodies up to which more is read. `memory.py` does not count these before their turn."""
DISCARDED: Final = 16
"""Reads before a socket is closed."""
_log = logging.getLogger("webnn.serving")
_memory: Final = memoryview(bytearray(PARSED))
"""Read into by all connections: a process has one loop that serves."""

_nothing: Final = asyncio.Protocol()
"""The protocol of connections that have ended."""


class Transport(asyncio.Transport):
    """The transport of a connection that was accepted, which calls its protocol as those of asyncio do.

    `data_received` gets memory that is valid only during that call. If the protocol has a `body_memory` that is not
    None, data is received there instead, and `body_received` is called with the number of bytes. `eof_received` is
    called when the client has left, and a little later `connection_lost`.

    Args:
        loop: runs the protocol.
        polling: tells the transport when its socket can be read or written.
        connection: its socket, which this owns.
        protocol: is told the data that arrives, and the end.

    Raises:
        OSError: the client has left; the socket is still open.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        polling: Polling,
        connection: socket.socket,
        protocol: asyncio.Protocol,
    ) -> None:
        super().__init__()
        self._loop = loop
        self._polling = polling
        self._socket = connection
        self._protocol = protocol
        self._reads = True
        self._closing = self._gone = self._ended = self._paused = False
        self._told = False
        """Whether the protocol knows that the client has left."""
        self._outgoing: deque[memoryview] = deque()
        self._waiting = 0
        self._kept = 0
        """The bytes of all that waits to be sent, and of what has been sent of the first part of it."""
        self._taken = 0.0
        """The time of the loop's clock at which the client last took something, or began to be waited for."""
        self._first_since = 0.0
        """The same for when the first part of what waits to be sent came to its turn."""
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._peer = connection.getpeername()
        protocol.connection_made(self)
        self._poll()

    def _poll(self) -> None:
        self._polling.change(self._socket, self, reads=self._reads, writes=bool(self._outgoing))

    # Reading.

    def is_reading(self) -> bool:
        """Whether data is received."""
        return self._reads and not self._closing

    def pause_reading(self) -> None:
        """Receive no data until `resume_reading` is called."""
        if self._reads and not self._closing:
            self._reads = False
            self._poll()

    def resume_reading(self) -> None:
        """Receive data again."""
        if not self._reads and not self._closing:
            self._reads = True
            self._poll()

    def readable(self) -> bool:
        """There is something to read. Gives whether there may be more after that."""
        body: memoryview | None = getattr(self._protocol, "body_memory", None)
        memory = _memory if body is None else body[:READ]
        try:
            size = self._socket.recv_into(memory)
        except InterruptedError:
            return True
        except BlockingIOError:
            return False
        except OSError as error:
            self._end(error)
            return False
        if not size:
            self._end(None)
        else:
            try:
                if body is not None:
                    self._protocol.body_received(size)  # type: ignore[attr-defined]  # one that has `body_memory`
                else:
                    self._protocol.data_received(_memory[:size])  # type: ignore[arg-type]  # the parser takes any buffer
            except Exception:  # others have sent something, too, and are read next
                _log.exception("a connection is closed, since its data could not be handled")
                self.abort()
        return size == len(memory) and self.is_reading()

    # Writing.

    def get_write_buffer_size(self) -> int:
        """The bytes that wait to be sent."""
        return self._waiting

    def waits_since(self, since: float) -> bool:
        """Whether the client has taken nothing since a time of the loop's clock, though something waits to be sent."""
        return bool(self._outgoing) and self._taken < since

    def sends_since(self, since: float) -> bool:
        """Whether the client has been taking the same part, an answer or a tensor of it, since a time of that clock."""
        return bool(self._outgoing) and self._first_since < since

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Send `data` now, or as soon as the client takes it."""
        if self._ended or self._gone or not data:
            return
        sent = 0
        if not self._outgoing:
            try:
                sent = self._socket.send(data)
            except (BlockingIOError, InterruptedError):
                pass
            except OSError:
                self.abort()
                return
            if sent == len(data):
                return
        self._send_later((data,), sent)

    def writelines(self, parts: Sequence[bytes | bytearray | memoryview[Any]]) -> None:  # type: ignore[override]
        """Send `parts`, one after the other, without joining them."""
        if self._ended or self._gone:
            return
        sent = 0
        if not self._outgoing:
            try:
                sent = self._socket.sendmsg(parts[:AT_ONCE])
            except (BlockingIOError, InterruptedError):
                pass
            except OSError:
                self.abort()
                return
        self._send_later(parts, sent)

    def _send_later(self, parts: Sequence[bytes | bytearray | memoryview[Any]], sent: int) -> None:
        """Send what follows the first `sent` bytes as soon as the client takes it."""
        waited, kept = self._waiting, 0
        for part in parts:
            size = len(part)
            if sent < size:
                self._outgoing.append(memoryview(part)[sent:])
                self._waiting += size - sent
                kept += size
            sent = max(0, sent - size)
        if not kept:
            return
        self._polling.memory.keep(kept)
        self._kept += kept
        if not waited:
            self._taken = self._first_since = self._loop.time()
            self._poll()
        if self._waiting > HIGH and not self._paused:
            self._paused = True
            self._protocol.pause_writing()

    def writable(self) -> None:
        """There is room to write."""
        try:
            while self._outgoing:
                sent = self._socket.send(self._outgoing[0])
                self._waiting -= sent
                self._taken = self._loop.time()
                if sent < len(self._outgoing[0]):
                    self._outgoing[0] = self._outgoing[0][sent:]
                    break
                self._first_since = self._taken
                self._free(memoryview(self._outgoing.popleft().obj).nbytes)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._end(error)
            return
        if self._paused and self._waiting <= LOW:
            self._paused = False
            self._protocol.resume_writing()
        if not self._outgoing and not self._ended:
            if self._closing:
                self._end(None)
            else:
                self._poll()

    def _free(self, size: int) -> None:
        """So many bytes are kept no longer; others may use their memory."""
        self._kept -= size
        self._polling.memory.free(size)

    # The end.

    def is_closing(self) -> bool:
        """Whether it is closed, or will be when all has been sent."""
        return self._closing

    def close(self) -> None:
        """Close it when all has been sent."""
        if not self._closing:
            self._closing, self._reads = True, False
            if self._outgoing:
                self._poll()
            else:
                self._polling.remove(self._socket)
                self._loop.call_soon(self._end, None)

    def abort(self) -> None:
        """Close it now. The protocol is told in the next turn of the loop."""
        if not self._ended:
            self._closing = True
            self._polling.remove(self._socket)
            self._loop.call_soon(self._end, None)

    @property
    def runs(self) -> bool:
        """Whether something may run for the client: the `runs` of a protocol that has it."""
        return getattr(self._protocol, "runs", True)

    @property
    def is_between(self) -> bool:
        """Whether no part of a request has been received: the `is_between` of a protocol that has it."""
        return getattr(self._protocol, "is_between", True)

    @property
    def is_waited_for(self) -> bool:
        """Whether something may wait for the client: the `is_waited_for` of a protocol that has it."""
        return getattr(self._protocol, "is_waited_for", True)

    def gone(self) -> None:
        """The client has left."""
        self._closing = self._gone = True

    def left(self) -> None:
        """Tell the protocol that the client has left, once."""
        if not self._told:
            self._told = True
            self._protocol.eof_received()

    def end(self) -> None:
        """Close the connection to a client that has left."""
        self.left()
        self._end(ConnectionResetError())

    def _end(self, error: Exception | None) -> None:
        """Tell the protocol, and close the socket."""
        if self._ended:
            return
        self._closing = self._ended = True
        self._polling.remove(self._socket)
        lingers = error is None and self._discard() and not self._gone
        self._outgoing.clear()
        self._waiting = 0
        try:
            self._protocol.connection_lost(error)
        finally:
            if lingers:
                Lingering(self._loop, self._polling, self._socket, _memory)
            else:
                self._socket.close()
            self._protocol = _nothing  # a cycle, and a thousand of them hold up requests when they are collected
            self._free(self._kept)

    def _discard(self) -> bool:
        """Drop the data that has arrived: to close a socket with unread data resets it, and may lose the answer.

        Gives whether more may come. A protocol knows that by its `may_send`.
        """
        more = getattr(self._protocol, "may_send", False)
        try:
            for _ in range(DISCARDED):
                if not self._socket.recv_into(_memory):
                    return False
                more = True
        except (BlockingIOError, InterruptedError):
            pass
        except OSError:
            return False
        return more

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """The "socket" or the "peername"."""
        return {"socket": self._socket, "peername": self._peer}.get(name, default)


class Flow(FlowControl):
    """Pauses and resumes a transport, as uvicorn does it, and reads nothing while requests wait behind one another.

    Args:
        transport: is paused and resumed.
        pipeline: the requests that wait.
    """

    def __init__(self, transport: asyncio.Transport, pipeline: Collection[tuple[RequestResponseCycle, object]]) -> None:
        super().__init__(transport)
        self._pipeline = pipeline

    def resume_reading(self) -> None:
        """Read again, unless many requests wait, or large ones: each read may bring thousands more."""
        if len(self._pipeline) < FEW and sum(len(cycle.body) for cycle, _ in self._pipeline) <= BEHIND:
            super().resume_reading()
