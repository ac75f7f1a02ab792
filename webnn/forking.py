"""Forks: every lock of this package is free in the child, and the parent's objects are marked as lost there.

A fork copies the memory of a process, but only the thread that forks. A lock that another thread held would stay locked
in the child for ever, and the data that it guards could be half changed. So every lock of the package is made here, and
the forking thread takes all of them before the fork. Both processes release them afterwards. The child first runs the
functions given to `on_fork`, which mark everything made before the fork as lost.

Deadlocks. The locks have no common order here, so the forking thread never waits for one of them while it holds
another. If one is busy, the thread releases all that it has, waits for that one alone, and starts again with it.
"""

from __future__ import annotations

import ctypes
import logging
import os
import sys
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from types import ModuleType, TracebackType
from typing import Any, Final, Protocol

__all__ = [
    "Hold",
    "belongs_to",
    "hold_of",
    "import_lock",
    "import_whole",
    "keep_for_ever",
    "late_names",
    "on_fork",
    "reentrant_lock",
]

_log = logging.getLogger("webnn")

_births: Final = threading.RLock()  # held during a fork, so that no lock is made that the forking thread has not taken
_locks: Final[weakref.WeakSet[threading.RLock]] = weakref.WeakSet()
_taken: Final[list[threading.RLock]] = []  # guarded by `_births`
_functions: Final[list[Callable[[int], object]]] = []
_pid = 0  # of the forking process; the child cannot look it up once its parent has ended


def reentrant_lock() -> threading.RLock:
    """A new lock, which is never left locked in a forked child.

    Reentrant, since the garbage collector may run a finalizer at any allocation, and a signal handler may fork.
    """
    lock = threading.RLock()
    with _births:
        _locks.add(lock)
    return lock


class Hold(Protocol):
    """A reentrant lock."""

    def acquire(self) -> bool:
        """Take it, or wait for it."""
        ...

    def release(self) -> None:
        """Give it back."""
        ...

    def __enter__(self) -> bool: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...


def hold_of(lock: threading.RLock) -> Hold:
    """An object for which `with` takes `lock` a third faster, for locks that are taken in every call.

    Python looks `__enter__` and `__exit__` up in the class, and makes a bound method of each. In the class that is made
    here they are bound already. The methods are the same, so an interrupt finds the lock either taken or not, as usual.
    """
    own = {"acquire": lock.acquire, "release": lock.release, "__enter__": lock.__enter__, "__exit__": lock.__exit__}
    hold: Hold = type("Hold", (), {"__slots__": (), **own})()
    return hold


def on_fork(function: Callable[[int], object]) -> None:
    """Call `function(pid)` in every child that is forked from now on, with the parent's process id.

    The caller holds all locks meanwhile. The function must not start threads, and must not call code of the program:
    event loops and callbacks from before the fork belong to the parent.
    """
    _functions.append(function)


import_lock: Final = reentrant_lock()
"""Held by threads that import modules late, so that a fork waits for them. Otherwise Python's own lock on a module that
is being imported would stay locked in the child, which could never import that module."""


def import_whole(name: str) -> ModuleType:
    """The module `name`; a fork on another thread waits until it is imported."""
    with import_lock:
        return import_module(name)


def late_names(
    module: str, places: Mapping[str, Sequence[str]], elsewhere: Mapping[str, str] | None = None
) -> Callable[[str], Any]:
    """The function `__getattr__` of a module whose import is to be fast, and which has some names only on demand.

    Args:
        module: the module's name.
        places: names by the modules that define them, which are imported when one of the names is used.
        elsewhere: names of other libraries, each with the end of its error: what to write here.
    """
    homes = {name: home for home, names in places.items() for name in names}

    def imported(name: str) -> Any:
        home = homes.get(name)
        if home is None:
            if elsewhere is not None and name in elsewhere:
                raise AttributeError(f"module {module!r} has no attribute {name!r}: {elsewhere[name]}")
            raise AttributeError(f"module {module!r} has no attribute {name!r}", name=name, obj=sys.modules[module])
        value = getattr(import_whole(home), name)
        setattr(sys.modules[module], name, value)
        return value

    return imported


def belongs_to(parent: int) -> str:
    """The end of a message: why an object from before the fork cannot be used in the child, and what to do."""
    return (
        f"it belongs to the process that made it (pid {parent}), from which this one was forked, and its threads are"
        " not in this process. Make a context in each process after the fork, with webnn.create_context()"
    )


def keep_for_ever(objects: Iterable[object]) -> None:
    """Never destroy `objects`, not even at exit, when the variables of modules are cleared too."""
    for each in objects:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(each))


def _before() -> None:
    """Take all locks."""
    global _pid  # noqa: PLW0603
    first = _births
    interrupt: BaseException | None = None
    while True:
        try:
            with first:  # the only lock that is waited for, and no other is held meanwhile
                busy = _try_all()
            if busy is None:
                _pid = os.getpid()
                break
            first = busy
        except BaseException as error:  # from a signal handler: the process forks anyway
            interrupt = error
            _release_all()
    if interrupt is not None:
        raise interrupt


def _try_all() -> threading.RLock | None:
    """Take all locks, or none. Returns the lock that was busy, if there was one."""
    if not _births.acquire(blocking=False):
        return _births
    for lock in list(_locks):
        _taken.append(lock)  # first, so that a signal handler that raises here leaves no lock locked
        if not lock.acquire(blocking=False):
            _taken.pop()
            _release_all()
            return lock
    return None


def _release_all() -> None:
    while _taken:
        with suppress(RuntimeError):  # an interrupt came before it was taken
            _taken[-1].release()
        _taken.pop()
    with suppress(RuntimeError):
        _births.release()


def _in_child() -> None:
    for function in _functions:
        try:
            function(_pid)
        except Exception:  # the other functions must still run
            _log.exception("something from before the fork could not be given up")
    _release_all()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_release_all, after_in_child=_in_child)
