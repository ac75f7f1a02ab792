"""Which connections have something to read, and which clients have left: the requests of those who stay come first.

An event loop handles what its sockets have to tell in the order in which it came. If a thousand clients leave at once,
a client that asks after them waits for the end of a thousand connections. So the connections have an epoll of their
own, which the loop polls like one socket. It tells who has left together with who has sent something. First the runs of
those who have left are given up, and some of their places in the queues. Then the requests of those who stay are read,
and only then the other clients that have left are looked at. All their connections are closed little by little, while
the server has nothing else to do.

Systems without epoll get all of it from the event loop, in its order.
"""

from __future__ import annotations

import asyncio
import select
import socket
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice
from time import perf_counter
from typing import Final, Protocol

__all__ = ["Epoll", "Polled", "Polling", "polling"]

LEFT: Final = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR if hasattr(select, "epoll") else 0
READING: Final = 0.001
"""Seconds for which requests are read before the epoll is asked again who has left."""
PLACES: Final = 16
"""Places in queues that are given up before requests are read: full queues have room for some then."""
LEAVING: Final = 0.0005
"""Seconds for which it is told at a time that clients have left for whom nothing runs."""
ENDING: Final = 0.0003
"""Seconds for which connections are closed at a time."""
PAUSE: Final = 0.005
"""Seconds between these times while runs are under way, which need the cores."""
PATIENCE: Final = 1.0
"""Seconds after which connections are closed even then."""


class Polled(Protocol):
    """A connection that is told when its socket can be read or written."""

    @property
    def runs(self) -> bool:
        """Whether something may run for its client."""

    @property
    def is_waited_for(self) -> bool:
        """Whether a request of its client may have a place in a queue."""

    def readable(self) -> None:
        """There is something to read."""

    def writable(self) -> None:
        """There is room to write."""

    def left(self) -> None:
        """The client has left: give up what is under way for it. `end` follows."""

    def end(self) -> None:
        """Close the connection to a client that has left."""


class Polling:
    """Tells connections when their sockets can be read or written, by the event loop's own means.

    Args:
        loop: calls them.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def change(self, connection: socket.socket, polled: Polled, *, reads: bool, writes: bool) -> None:
        """From now on, tell `polled` when `connection` can be read or written."""
        if reads:
            self._loop.add_reader(connection, polled.readable)
        else:
            self._loop.remove_reader(connection)
        if writes:
            self._loop.add_writer(connection, polled.writable)
        else:
            self._loop.remove_writer(connection)

    def remove(self, connection: socket.socket) -> None:
        """Stop watching `connection`, which is about to be closed."""
        self._loop.remove_reader(connection)
        self._loop.remove_writer(connection)

    def close_left(self) -> None:
        """Close the connections to those who have left as soon as possible: no more files may be open."""

    def close(self) -> None:
        """End the polling: no connection is left."""


class Epoll(Polling):
    """Tells connections when their sockets can be read or written, by an epoll.

    Args:
        loop: polls it.
        is_busy: whether runs are under way.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, is_busy: Callable[[], bool] | None = None) -> None:
        super().__init__(loop)
        self._is_busy = is_busy or bool
        self._epoll = select.epoll()
        self._polled: dict[int, Polled] = {}
        self._leaving: deque[Polled] = deque()
        self._latest = 0.0
        """The time of the loop's clock from which on connections are closed even while runs are under way."""
        loop.add_reader(self._epoll.fileno(), self._poll)

    def change(self, connection: socket.socket, polled: Polled, *, reads: bool, writes: bool) -> None:
        """From now on, tell `polled` when `connection` can be read or written, and when its client has left."""
        number = connection.fileno()
        wanted = select.EPOLLRDHUP | (select.EPOLLIN if reads else 0) | (select.EPOLLOUT if writes else 0)
        if number in self._polled:
            self._epoll.modify(number, wanted)
        else:
            self._epoll.register(number, wanted)
            self._polled[number] = polled

    def remove(self, connection: socket.socket) -> None:
        """Stop watching `connection`, which is about to be closed."""
        if self._polled.pop(connection.fileno(), None) is not None:
            self._epoll.unregister(connection)

    def close(self) -> None:
        """End the polling: no connection is left."""
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()

    def _poll(self) -> None:
        polled, staying, others = self._polled, [], []
        for number, events in self._epoll.poll(0, len(polled) + 1):
            if not events & LEFT:
                staying.append((number, events))
            elif polled[number].runs:
                self._leave(number)
            else:
                others.append(number)
        waiting = (number for number in others if number in polled and polled[number].is_waited_for)
        for number in list(islice(waiting, PLACES)):
            if number in polled:
                self._leave(number)
        self._read(staying)
        until = perf_counter() + LEAVING
        for number in others:
            if number in polled:  # not closed by what was called for another one, nor told already
                self._leave(number)
                if perf_counter() > until:  # the rest is told again
                    return

    def _leave(self, number: int) -> None:
        self._epoll.unregister(number)
        connection = self._polled.pop(number)
        connection.left()
        if not self._leaving:
            self._latest = self._loop.time() + PATIENCE
            self._loop.call_soon(self._end_some)
        self._leaving.append(connection)

    def _read(self, staying: Sequence[tuple[int, int]]) -> None:
        polled = self._polled
        until = perf_counter() + READING
        for number, events in staying:
            if number not in polled:  # closed by what was called for another one
                continue
            if events & select.EPOLLIN:
                polled[number].readable()
            if events & select.EPOLLOUT and number in polled:
                polled[number].writable()
            if perf_counter() > until:  # the rest is told again, and by then others may have left
                return

    def _end_some(self) -> None:
        is_busy = self._is_busy()
        if not is_busy or self._loop.time() >= self._latest:
            until = perf_counter() + ENDING
            while self._leaving:
                self._leaving.popleft().end()
                if perf_counter() > until:
                    break
        if self._leaving:
            self._loop.call_later(PAUSE if is_busy else 0, self._end_some)

    def close_left(self) -> None:
        """Close all of these connections now."""
        while self._leaving:
            self._leaving.popleft().end()


def polling(loop: asyncio.AbstractEventLoop, is_busy: Callable[[], bool] | None = None) -> Polling:
    """An `Epoll` where the system has one, else a `Polling`.

    Args:
        loop: the event loop of the connections.
        is_busy: whether runs are under way. The connections to those who have left can wait then.
    """
    return Epoll(loop, is_busy) if hasattr(select, "epoll") else Polling(loop)
