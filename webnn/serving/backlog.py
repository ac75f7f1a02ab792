"""The backlog: requests that wait in the server, since the runtime has enough to do.

A run that has been handed to the runtime is behind those before it, and to give it up takes longer than to forget a
request here. So no more is handed over than keeps the lanes busy until the event loop has its next turn. What comes
after that waits, in the order in which it came, and when its turn has come, the system is asked whether its client is
still there. If a thousand clients send requests and leave, the next one waits for the few runs of theirs that had been
handed over, and not for those that the event loop would give up before it gets to its request.

How much is enough is a matter of time, not of numbers: some milliseconds of work, as the requests before took. Runs
that are gathered in batches need company, too.

A run also waits while there is no memory for its answer. Those behind it whose answers are smaller do not.

The module is pure: no thread and no clock.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from webnn.serving.admission import Admission
from webnn.serving.exchanges import Exchange
from webnn.serving.memory import Memory

__all__ = ["Backlog"]

ENOUGH: Final = 0.004
"""Seconds of work. While more is under way in the runtime, requests wait."""


class Backlog:
    """The requests of a server that wait, and what is under way in the runtime.

    Args:
        lanes: runs that go side by side.
        memory: has room for answers or not.
    """

    def __init__(self, lanes: int, memory: Memory) -> None:
        self.items = 0
        """The runs that are under way in the runtime."""
        self._lanes = lanes
        self._memory = memory
        memory.freed = self._memory_freed
        self._seconds = 0.0
        self._waiting: OrderedDict[Exchange, None] = OrderedDict()
        self._without_memory: OrderedDict[Exchange, None] = OrderedDict()
        """Those that came to their turn when there was no memory for their answers. They come first when there is."""
        self._advances = False

    @property
    def lacks_memory(self) -> bool:
        """Whether a request waits for memory."""
        return bool(self._without_memory)

    def enter(self, exchange: Exchange) -> bool:
        """Whether `exchange`, whose call is known, may begin now. If not, its `begin` is called later."""
        if self._waiting or not self._has_room(exchange.admission):
            self._waiting[exchange] = None
            return False
        if not self._memory.has_room_for_answer(exchange.answer):
            self._without_memory[exchange] = None
            return False
        self._hand_over(exchange)
        return True

    def leave(self, exchange: Exchange) -> None:
        """`exchange` has ended, whether it had begun or not. Others may begin."""
        items, exchange.handed = exchange.handed, 0
        if items:
            self.items -= items
            exchange.admission.handed -= items
            self._seconds = max(0.0, self._seconds - exchange.cost) if self.items else 0.0
        else:
            for waiting in (self._waiting, self._without_memory):
                waiting.pop(exchange, None)
        self._advance()

    def _memory_freed(self) -> None:
        if self._without_memory:
            self._advance()

    def _advance(self) -> None:
        if self._advances:
            return
        self._advances = True
        try:
            while (exchange := self._next()) is not None:
                begin, exchange.begin = exchange.begin, None
                assert begin is not None
                self._hand_over(exchange)
                begin()
        finally:
            self._advances = False

    def _next(self) -> Exchange | None:
        """The next one that may begin, which waits no longer."""
        return self._next_of(self._without_memory) or self._next_of(self._waiting)

    def _next_of(self, waiting: OrderedDict[Exchange, None]) -> Exchange | None:
        while waiting and self._has_room(next(iter(waiting)).admission):
            exchange = _popped(waiting)
            if exchange is None:
                break
            has_memory = self._memory.has_room_for_answer(exchange.answer)
            if has_memory and self._has_room(exchange.admission):
                return exchange
            if has_memory or waiting is self._without_memory:  # it stays the first one
                waiting[exchange] = None
                waiting.move_to_end(exchange, last=False)
                break
            self._without_memory[exchange] = None
        return None

    def _has_room(self, admission: Admission) -> bool:
        return self._seconds < ENOUGH or self.items <= self._lanes or admission.handed < admission.company

    def _hand_over(self, exchange: Exchange) -> None:
        admission, call = exchange.admission, exchange.call
        assert call is not None
        exchange.handed = call.items
        exchange.cost = call.items * admission.pace
        self.items += call.items
        admission.handed += call.items
        self._seconds += exchange.cost
        self._memory.keep(exchange.answer)
        exchange.kept = exchange.answer


def _popped(waiting: OrderedDict[Exchange, None]) -> Exchange | None:
    """The first one whose client is there. Those before it, maybe a thousand, wait no longer, either.

    They are given up when the event loop comes to that: it costs nothing meanwhile.
    """
    while waiting:
        exchange, _ = waiting.popitem(last=False)
        if exchange.begin is not None and not exchange.has_left:
            return exchange
        exchange.begin = None
    return None
