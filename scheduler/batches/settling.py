"""Settles requests that were computed: those that tasks of one event loop wait for together, and on that loop."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from weakref import ref

from webnn.scheduler.batches.batch import Batch
from webnn.scheduler.batches.request import Request
from webnn.scheduler.bridge import Bridge, Waiter

__all__ = ["settle"]


def settle(batch: Batch, requests: Sequence[Request]) -> None:
    """Settle requests that were computed, those of each event loop together and there."""
    on_loops: dict[object, tuple[Waiter | Bridge, list[Request]]] = {}
    for request in requests:
        loop = request.loop()
        if loop is None:
            request.settle()
        elif (known := on_loops.get(loop.loop)) is not None:
            known[1].append(request)
        else:
            on_loops[loop.loop] = loop, [request]
    for loop, those in on_loops.values():
        delivery = _Delivery(batch, those, loop.loop)
        if not loop.post(delivery):
            delivery()


class _Delivery:
    """The call that settles requests on their event loop. If that loop is closed before, a lane settles them."""

    __slots__ = ("__weakref__", "_batch", "_dropped", "_loop", "_requests")

    def __init__(self, batch: Batch, requests: list[Request], loop: object) -> None:
        self._batch = batch
        self._loop = loop
        self._requests = requests
        self._dropped: ref[_Delivery] | None = ref(self, partial(_settle_elsewhere, batch, requests))

    def __call__(self) -> None:
        try:
            self._dropped = None
            _settle_together(self._requests, self._loop)
        except BaseException:  # an interrupt
            _settle_elsewhere(self._batch, self._requests)
            raise


def _settle_together(requests: Sequence[Request], loop: object) -> None:
    """Settle requests on the thread of `loop`, whose tasks wait for them.

    Most of them have a small result, for which nothing is left to let go, and one waiter.
    """
    for request in requests:
        promise = request()
        if promise is None or request.result is None or request.deadline is not None:
            request.settle()
        else:
            request.resolve(promise, request.result, loop)


def _settle_elsewhere(batch: Batch, requests: list[Request], _: object = None) -> None:
    def settle() -> None:
        for request in requests:
            request.settle_here()

    batch.call(settle)
