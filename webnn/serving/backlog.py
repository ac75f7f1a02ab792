"""The backlog: requests that wait in the server, since the runtime has enough to do.

A run that has been handed to the runtime is behind those before it, and to give it up takes longer than to forget a
request here. So no more is handed over than keeps the lanes busy until the event loop has its next turn. What comes
after that waits, in the order in which it came, and when its turn has come, the system is asked whether its client is
still there. If a thousand clients send requests and leave, the next one waits for the few runs of theirs that had been
handed over, and not for those that the event loop would give up before it gets to its request.

How much is enough is a matter of time, not of numbers: some milliseconds of work, as the requests before took. Runs
that are gathered in batches need company, too.

The module is pure: no thread and no clock.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from webnn.serving.admission import Admission
from webnn.serving.exchanges import Exchange

__all__ = ["Backlog"]

ENOUGH: Final = 0.004
"""Seconds of work. While more is under way in the runtime, requests wait."""


class Backlog:
    """The requests of a server that wait, and what is under way in the runtime.

    Args:
        lanes: runs that go side by side.
    """

    def __init__(self, lanes: int) -> None:
        self.items = 0
        """The runs that are under way in the runtime."""
        self._lanes = lanes
        self._seconds = 0.0
        self._waiting: OrderedDict[Exchange, None] = OrderedDict()
        self._advances = False

    def enter(self, exchange: Exchange) -> bool:
        """Whether `exchange`, whose call is known, may begin now. If not, its `begin` is called later."""
        if self._waiting or not self._has_room(exchange.admission):
            self._waiting[exchange] = None
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
            self._waiting.pop(exchange, None)
        if self._waiting and not self._advances:
            self._advances = True
            try:
                self._advance()
            finally:
                self._advances = False

    def _advance(self) -> None:
        waiting = self._waiting
        while waiting and self._has_room(next(iter(waiting)).admission):
            exchange, _ = waiting.popitem(last=False)
            begin, exchange.begin = exchange.begin, None
            # One whose client has left is given up when the event loop comes to that: it costs nothing meanwhile.
            if begin is not None and not exchange.has_left:
                self._hand_over(exchange)
                begin()

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
