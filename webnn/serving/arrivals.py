"""Clients that have connected and not sent anything yet: a socket, and nothing else.

What a connection needs to read requests takes longer to make than the socket to accept. If a thousand clients connect
and leave, the next one waits for it. So it is made when there is something to read.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from webnn.serving.polling import Polled, Polling

__all__ = ["Arrival", "Arrivals"]


class Arrivals:
    """The clients of a server that have not sent anything yet.

    Args:
        loop: has the clock.
        polling: tells who sends something and who leaves.
        connect: makes the connection for a socket; None if its client has left.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, polling: Polling, connect: Callable[[socket.socket], Polled | None]
    ) -> None:
        self.loop = loop
        self.polling = polling
        self.connect = connect
        self.waiting: dict[Arrival, None] = {}
        """In the order in which they came."""

    def add(self, connection: socket.socket) -> None:
        """A client has connected."""
        connection.setblocking(False)
        arrival = Arrival(self, connection)
        self.waiting[arrival] = None
        self.polling.change(connection, arrival, reads=True, writes=False)

    def close_before(self, when: float) -> None:
        """Close the connections of those who came before a time of the loop's clock."""
        for arrival in list(self.waiting):
            if arrival.came >= when:
                return
            arrival.end()


class Arrival:
    """A client that has not sent anything yet.

    Args:
        arrivals: has it until then.
        connection: its socket, which this owns.
    """

    __slots__ = ("_arrivals", "_socket", "came")

    runs = False
    is_waited_for = False
    is_between = True

    def __init__(self, arrivals: Arrivals, connection: socket.socket) -> None:
        self._arrivals = arrivals
        self._socket = connection
        self.came = arrivals.loop.time()

    def readable(self) -> bool:
        """The client has sent something: from now on the connection is polled instead."""
        arrivals = self._arrivals
        del arrivals.waiting[self]
        arrivals.polling.remove(self._socket)
        connection = arrivals.connect(self._socket)
        return connection is not None and connection.readable()

    def writable(self) -> None:
        """Nothing is to be written."""

    def gone(self) -> None:
        """The client has left."""

    def left(self) -> None:
        """Nothing is under way."""

    def end(self) -> None:
        """Close the socket."""
        if self._arrivals.waiting.pop(self, self) is None:
            self._arrivals.polling.remove(self._socket)
            self._socket.close()
