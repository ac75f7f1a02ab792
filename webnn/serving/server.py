"""The server's process: a socket, uvicorn, and a shutdown that answers every request that was accepted.

The first SIGTERM or SIGINT begins the drain. The server is not ready from then on, and each answer closes its
connection; connections that are waiting to be accepted still are. After a moment it listens no more, and ends when the
last request has been answered, with exit code 0. A second signal answers what is left with 503. Clients that do not
take their answers do not hold up the end.

Uvicorn's own handling of signals is not used: it raises the signal again after the drain, so that a clean end looks
like a crash. Its timeout cancels requests, which are then answered with a plain text: here it comes when all have
ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import signal
import socket
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Final

import uvicorn

from webnn.serving.application import Application
from webnn.serving.arrivals import Arrivals
from webnn.serving.connections import Connection
from webnn.serving.listening import BACKLOG, has_left, refuse_new
from webnn.serving.polling import Polling, polling
from webnn.serving.transports import Transport

__all__ = ["Server"]

GRACE: Final = 0.3
"""Seconds for which a server that stops still accepts connections, so that those on their way to it are answered."""
LINGER: Final = 0.2
"""Seconds for which it then lets handshakes end that have begun, and after that keeps connections open that have no
request yet: one may be on its way."""
ACCEPTING: Final = 0.001
"""Seconds for which connections are accepted in one turn of the event loop."""
REST: Final = 0.1
"""Seconds without accepting where no more files may be open."""
IDLE: Final = 75
"""Seconds after which an idle connection is closed: longer than the pools of most clients and proxies keep one."""
IDLE_IF_FULL: Final = 1.0
"""The same while no more files may be open: clients that ask nothing would keep others out."""
UNREAD: Final = 30.0
"""Seconds after which a connection is closed whose client takes nothing of its answer."""
UNREAD_IF_FULL: Final = 1.0
"""The same while a run waits for memory for its answer, or answers take more than half of all memory. Then a client has
to take all of a tensor within the timeout of requests, too."""
UNREAD_AT_END: Final = 5.0
"""The same for a server that stops."""
LINGERING_AT_END: Final = 1.0
"""Seconds for which it then waits for clients that may not have read their last answer yet, since they still send."""
LAST: Final = 30
"""Seconds to send the answers of a server that stops, after the last of its requests has been answered."""
_log = logging.getLogger("webnn.serving")
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class Server(uvicorn.Server):
    """Serves an application until a signal arrives and every request that was accepted has been answered.

    Args:
        application: what is served.
        started: called when requests are answered.
    """

    def __init__(self, application: Application, started: Callable[[], object] | None = None) -> None:
        super().__init__(
            uvicorn.Config(
                application,
                http=Connection,
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="warning",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                backlog=BACKLOG,
                timeout_graceful_shutdown=math.ceil(application.limits.timeout) + LAST,
            )
        )
        self._application = application
        self._announce = started
        self._drain: asyncio.Task[None] | None = None
        self._listeners: list[socket.socket] = []
        self._accepts = False
        """Whether more clients wait to be accepted."""
        self._unread = UNREAD
        self._polling: Polling
        self._arrivals: Arrivals

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer requests."""
        await super().startup([])
        backlog = self._application.backlog
        self._polling = polling(asyncio.get_running_loop(), lambda: backlog.items > 0 or self._accepts)
        self._arrivals = Arrivals(asyncio.get_running_loop(), self._polling, self._connect)
        self._polling.memory = self._application.shared.memory
        self._listeners = sockets or []
        for listener in self._listeners:
            listener.setblocking(False)
            self._listen(listener)
        self._close_idle()
        self._close_unread()
        if self._announce is not None:
            self._announce()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Wait until all has been answered."""
        self._arrivals.close_before(math.inf)
        await super().shutdown(sockets)
        loop = asyncio.get_running_loop()
        until = loop.time() + LINGERING_AT_END
        while self._polling.lingering and loop.time() < until:  # noqa: ASYNC110 (they tell nobody)
            await asyncio.sleep(0.02)
        self._polling.close()

    # Not uvloop's server: it accepts one connection in each turn of the loop (findings/one_accept_a_turn.sh), so that a
    # client waits for all those before it, also for those that have left; and the connections that wait when it closes
    # its socket are lost.

    def _listen(self, listener: socket.socket) -> None:
        if self._drain is None:
            asyncio.get_running_loop().add_reader(listener, self._accept, listener)

    def _accept(self, listener: socket.socket) -> bool:
        """Accept connections that wait, and close those whose clients have left; gives whether more may wait."""
        loop = asyncio.get_running_loop()
        until = perf_counter() + ACCEPTING
        self._accepts = True
        try:
            while perf_counter() < until:
                connection, _ = listener.accept()
                if has_left(connection):
                    self._polling.close_later(connection)
                else:
                    self._arrivals.add(connection)
        except (InterruptedError, ConnectionAbortedError):
            pass
        except BlockingIOError:
            self._accepts = False
            return False
        except OSError as error:  # no more files may be open: others may be closed soon
            self._accepts = False
            _log.warning("cannot accept a connection: %s", error)
            self._polling.close_left()
            self._close_idle_before(loop.time() - IDLE_IF_FULL)
            loop.remove_reader(listener)
            loop.call_later(REST, self._listen, listener)
            return False
        return True

    def _connect(self, connection: socket.socket) -> Transport | None:
        """The connection to a client that has sent something; None if it has left."""
        loop = asyncio.get_running_loop()
        protocol = Connection(
            connection,
            self._application.by_url,
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
            _loop=loop,
        )
        try:
            return Transport(loop, self._polling, connection, protocol)
        except OSError:
            connection.close()
            return None

    def _close_idle(self) -> None:
        """Close the connections that have been idle for too long, now and again."""
        loop = asyncio.get_running_loop()
        self._close_idle_before(loop.time() - IDLE)
        loop.call_later(IDLE / 10, self._close_idle)

    def _close_idle_before(self, since: float) -> None:
        """Close the connections that have been idle since a time of the loop's clock."""
        self._arrivals.close_before(since)
        for connection in list(self.server_state.connections):
            if isinstance(connection, Connection):
                connection.close_if_idle(since)

    def _close_unread(self) -> None:
        """Close the connections whose clients have not taken their answers for too long, now and again."""
        loop, unread, begun = asyncio.get_running_loop(), self._unread, -math.inf
        memory, backlog = self._application.shared.memory, self._application.backlog
        if backlog.lacks_memory or memory.answers > memory.most // 2:
            unread = min(unread, UNREAD_IF_FULL)
            begun = loop.time() - self._application.limits.timeout
        if memory.answers:
            for connection in list(self.server_state.connections):
                if isinstance(connection, Connection):
                    connection.close_if_unread(loop.time() - unread, begun)
        loop.call_later(min(1.0, self._unread / 10), self._close_unread)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Drain at a signal, and end as usual afterwards."""
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self.stop)
        try:
            yield
        finally:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)

    def stop(self) -> None:
        """Begin the drain; called again, end it."""
        if self._drain is None:
            self._unread = UNREAD_AT_END
            self._application.draining = True
            for headers in (self.server_state.default_headers, self.config.encoded_headers):
                headers.append((b"connection", b"close"))  # the first are made of the second, once a second
            self._drain = asyncio.create_task(self._end())
        else:
            self._unread = LINGER
            self._application.shared.stop()

    async def _end(self) -> None:
        await asyncio.sleep(GRACE)
        for listener in self._listeners:
            refuse_new(listener)
        await asyncio.sleep(LINGER)
        for listener in self._listeners:
            while self._accept(listener):  # noqa: ASYNC110 (it takes a turn of the loop at a time)
                await asyncio.sleep(0)
            asyncio.get_running_loop().remove_reader(listener)
            listener.close()
        await asyncio.sleep(LINGER)
        self.should_exit = True
