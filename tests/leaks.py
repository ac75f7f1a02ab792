"""What a test must not leave behind: threads of ours, promises that are pending, errors that were only logged.

Promises are remembered, weakly, from the moment this module is imported. What was there before a test began (contexts
that a whole session shares) is not the test's.
"""

from __future__ import annotations

import gc
import logging
import threading
import time
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest

from webnn import Promise
from webnn.scheduler.lane import ThreadLane
from webnn.scheduler.promise import PENDING

__all__ = ["ErrorLog", "Snapshot", "watched"]

PATIENCE: Final = 5.0
"""Seconds that a thread may take to end."""
BRIEFLY: Final = 0.1
"""Seconds that most threads take at most."""

_promises: set[weakref.ref[Promise[Any]]] = set()
_lanes: set[weakref.ref[ThreadLane]] = set()


def _remember(kind: type[Any], made: set[weakref.ref[Any]]) -> None:
    def new(cls: type[Any], *_: object, **__: object) -> Any:
        instance = object.__new__(cls)
        made.add(weakref.ref(instance, made.discard))
        return instance

    setattr(kind, "__new__", new)  # noqa: B010 (type checkers know better than to assign it)


_remember(Promise, _promises)
_remember(ThreadLane, _lanes)


def _alive(made: Iterable[weakref.ref[Any]]) -> list[Any]:
    return [instance for reference in list(made) if (instance := reference()) is not None]


class ErrorLog(logging.Handler):
    """Collects what is logged as an error; a test that expects it takes it out of `records`."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


class Snapshot:
    """What is there at one moment."""

    def __init__(self) -> None:
        self._promises = _promises.copy()
        self._lanes = _lanes.copy()
        self._threads = set(threading.enumerate())

    def newer(self) -> list[str]:
        """What is running or pending now and was not there then, in words."""
        # A lane that was there before may start its thread later.
        excused = self._threads | {lane._thread for lane in _alive(self._lanes)}
        threads = [t for t in threading.enumerate() if t.name.startswith("webnn") and t not in excused]
        promises = [p for p in _alive(_promises - self._promises) if p._status is PENDING]
        return [f"thread {t.name!r} is running" for t in threads] + [f"{p!r} is pending" for p in promises]


def _patiently(before: Snapshot, patience: float) -> list[str]:
    """What is newer, unless it ends soon: threads, and promises of graphs that are still being compiled."""
    deadline = time.monotonic() + patience
    while (found := before.newer()) and time.monotonic() < deadline:
        time.sleep(0.001)
    return found


@contextmanager
def watched(log: ErrorLog) -> Iterator[None]:
    """Fail if what is done in the block leaves something behind."""
    before = Snapshot()
    logger = logging.getLogger("webnn")
    logger.addHandler(log)
    try:
        yield
    finally:
        logger.removeHandler(log)
    found = _patiently(before, BRIEFLY)
    if found:  # collecting garbage takes too long to do it after every test
        gc.collect()
        found = _patiently(before, PATIENCE)
    found += [f"an error was only logged: {record.getMessage()}" for record in log.records]
    if found:
        pytest.fail("the test left something behind: " + "; ".join(found))
