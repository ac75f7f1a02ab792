"""A thread beside an event loop that holds what was read."""

from __future__ import annotations

import queue
import threading
import time
from typing import Final, Self

import numpy as np

import webnn
from tests.soak.kinds import Array

__all__ = ["PATIENCE", "Elsewhere"]

PATIENCE: Final = 10.0
"""Seconds after which something that must come is given up."""


class Elsewhere:
    """A thread that waits for reads, compares them after a while, and releases them."""

    def __init__(self) -> None:
        self._reads: queue.SimpleQueue[tuple[webnn.Promise[Array], Array] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._compare)
        self._errors: list[BaseException] = []
        self.compared = 0

    def take(self, promise: webnn.Promise[Array], expected: Array) -> None:
        """Compare what `promise` gives."""
        self._reads.put((promise, expected))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._reads.put(None)
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "a thread waits for ever"
        if self._errors and error is None:
            raise self._errors[0]

    def _compare(self) -> None:
        try:
            while (read := self._reads.get()) is not None:
                array = read[0].result(PATIENCE)
                time.sleep(0)
                assert np.array_equal(array, read[1]), "a cache that was lent to another thread has changed"
                self.compared += 1
                del read, array
        except BaseException as error:
            self._errors.append(error)
