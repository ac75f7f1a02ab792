"""Which connections have something to read, and which clients have left: the requests of those who stay come first.

An event loop handles what its sockets have to tell in the order in which it came. If a thousand clients leave at once,
a client that asks after them waits for the end of a thousand connections. So the connections have an epoll of their
own, which the loop polls like one socket. It tells who has left together with who has sent something. First the runs of
those who have left are given up, and some of their places in the queues. Then the requests of those who stay are read.
All else about those who have left is done little by little, while the server has nothing else to do.

Of these requests, that which began last and that which began first are read in turn. The bodies of those who leave may
be so large that the system has room for a part of them only, and does not know yet that their clients have left. A
client that comes after a thousand of them does not wait for all of these bodies, nor one that came before them.

The epoll tells each change once (it is edge-triggered). So a client that has left costs no call of the system, and one
line of Python, until its connection is closed. In return, what cannot be read at once is remembered here.

Systems without epoll get all of it from the event loop, in its order.
"""

from __future__ import annotations

import asyncio
import select
import socket
from collections import deque
from collections.abc import Callable, Sequence
from itertools import count, islice
from time import perf_counter
from typing import Final, Protocol

from webnn.serving.memory import Memory

__all__ = ["Epoll", "Polled", "Polling", "polling"]

LEFT: Final = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR if hasattr(select, "epoll") else 0
EDGES: Final = select.EPOLLET | select.EPOLLRDHUP if hasattr(select, "epoll") else 0
READING: Final = 0.001
"""Seconds for which requests are read before the epoll is asked again who has left."""
PLACES: Final = 16
"""Places in queues that are given up before requests are read: full queues have room for some then."""
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

    @property
    def is_between(self) -> bool:
        """Whether nothing of a request has been received that has not all been received."""

    def readable(self) -> bool:
        """There is something to read. Gives whether there may be more after that."""

    def writable(self) -> None:
        """There is room to write."""

    def gone(self) -> None:
        """The client has left. Called once, and does no more than to note that; `end` follows."""

    def left(self) -> None:
        """Give up what is under way for a client that has left."""

    def end(self) -> None:
        """Give up what is still under way for a client that has left, and close the connection to it."""


class Polling:
    """Tells connections when their sockets can be read or written, by the event loop's own means.

    Attributes:
        memory: has what the connections have to send, since their clients do not take it.
        lingering: connections that have ended, whose clients may still be sending.

    Args:
        loop: calls them.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.memory = Memory()
        self.lingering: dict[Polled, None] = {}
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

    def close_later(self, connection: socket.socket) -> None:
        """Close the socket of a client that had left when it was accepted, now or when there is nothing else to do."""
        connection.close()

    def close_left(self) -> None:
        """Close the connections that have ended or whose clients have left now: no more files may be open."""
        for each in list(self.lingering):
            each.end()

    def close(self) -> None:
        """End the polling: no connection is left but those that have ended."""
        for each in list(self.lingering):
            each.end()


class Epoll(Polling):
    """Tells connections when their sockets can be read or written, by an epoll.

    Args:
        loop: polls it.
        is_busy: whether runs are under way, or clients wait to be accepted.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, is_busy: Callable[[], bool] | None = None) -> None:
        super().__init__(loop)
        self._is_busy = is_busy or bool
        self._epoll = select.epoll()
        self._polled: dict[int, Polled] = {}
        self._ready: dict[int, int] = {}
        """What connections have told that has not been looked at, by the number of their socket."""
        self._began: dict[int, int] = {}
        """How many requests had begun before the last one of each connection."""
        self._requests = count()
        self._goes_on = False
        """Whether the epoll is polled in the next turn of the loop, since there is more to read."""
        self._from_last = False
        """Whether the request that began last is read next. It is kept: a single read may take the time of a turn."""
        self._leaving: deque[Callable[[], object]] = deque()
        """Each ends the connection of a client that has left."""
        self._latest = 0.0
        """The time of the loop's clock from which on connections are closed even while runs are under way."""
        loop.add_reader(self._epoll.fileno(), self._poll)

    def change(self, connection: socket.socket, polled: Polled, *, reads: bool, writes: bool) -> None:
        """From now on, tell `polled` when `connection` can be read or written, and when its client has left."""
        number = connection.fileno()
        wanted = EDGES | (select.EPOLLIN if reads else 0) | (select.EPOLLOUT if writes else 0)
        if number in self._polled:
            self._ready.pop(number, None)  # it is told again
            self._epoll.modify(number, wanted)
        else:
            self._epoll.register(number, wanted)
            self._polled[number] = polled
            self._began[number] = next(self._requests)

    def remove(self, connection: socket.socket) -> None:
        """Stop watching `connection`, which is about to be closed."""
        if self._polled.pop(connection.fileno(), None) is not None:
            self._ready.pop(connection.fileno(), None)
            self._epoll.unregister(connection)

    def close(self) -> None:
        """End the polling: no connection is left but those that have ended."""
        super().close()
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()

    def _poll(self) -> None:
        if not self._goes_on:  # otherwise it is polled in this turn of the loop in any case, and once is enough
            self._look()

    def _go_on(self) -> None:
        self._goes_on = False
        self._look()

    def _look(self) -> None:
        polled, ready, began = self._polled, self._ready, self._began
        running: list[Polled] = []
        others: list[Polled] = []
        for number, events in self._epoll.poll(0, len(polled) + 1):
            connection = polled.get(number)
            if connection is None:  # it is about to be closed
                continue
            if not events & LEFT:
                if number not in ready and connection.is_between:
                    began[number] = next(self._requests)
                ready[number] = events
                continue
            del polled[number]
            ready.pop(number, None)
            connection.gone()
            (running if connection.runs else others).append(connection)
        if running or others:
            self._end_later([connection.end for connection in (*running, *others)])
        for connection in running:
            connection.left()
        for connection in islice((each for each in others if each.is_waited_for), PLACES):
            connection.left()
        if ready:
            self._read()

    def _read(self) -> None:
        polled, ready = self._polled, self._ready
        until = perf_counter() + READING
        order = deque(sorted(ready, key=self._began.__getitem__))
        while order:
            from_last, self._from_last = self._from_last, not self._from_last
            number = order.pop() if from_last else order.popleft()
            events = ready.pop(number, None)
            if events is None:  # closed, or told to wait, by what was called for another one
                continue
            if events & select.EPOLLIN and polled[number].readable():
                ready[number] = select.EPOLLIN
                if from_last:
                    order.append(number)
            if events & select.EPOLLOUT and number in polled:
                polled[number].writable()
            if perf_counter() > until:  # by now others may have left
                break
        if ready:
            self._goes_on = True
            self._loop.call_soon(self._go_on)

    def _end_later(self, ends: Sequence[Callable[[], object]]) -> None:
        if not self._leaving:
            self._latest = self._loop.time() + PATIENCE
            self._loop.call_soon(self._end_some)
        self._leaving += ends

    def _end_some(self) -> None:
        is_busy = bool(self._ready) or self._is_busy()
        if not is_busy or self._loop.time() >= self._latest:
            until = perf_counter() + ENDING
            while self._leaving:
                self._leaving.popleft()()
                if perf_counter() > until:
                    break
        if self._leaving:
            self._loop.call_later(PAUSE if is_busy else 0, self._end_some)

    def close_later(self, connection: socket.socket) -> None:
        """Close it when there is nothing else to do."""
        self._end_later([connection.close])

    def close_left(self) -> None:
        """Close all of these connections now."""
        super().close_left()
        while self._leaving:
            self._leaving.popleft()()


def polling(loop: asyncio.AbstractEventLoop, is_busy: Callable[[], bool] | None = None) -> Polling:
    """An `Epoll` where the system has one, else a `Polling`.

    Args:
        loop: the event loop of the connections.
        is_busy: whether runs are under way, or clients wait to be accepted. The connections to those who have left can
            wait then.
    """
    return Epoll(loop, is_busy) if hasattr(select, "epoll") else Polling(loop)
