"""Children that are forked from a test: what they find out comes back through a pipe, and no wait is without end."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any, Final, NoReturn

__all__ = ["PATIENCE", "Child", "Parent", "in_child", "split"]

PATIENCE: Final = 20.0
"""Seconds after which a child counts as one that waits for ever."""


class Parent:
    """This process is the parent."""

    def __init__(self, pid: int, connection: Connection) -> None:
        self._pid = pid
        self._connection = connection

    def outcome(self) -> Any:
        """What the child has left with: a value, or an exception that is raised here. The child has ended then."""
        try:
            if not self._connection.poll(PATIENCE):
                raise AssertionError(f"the child has not answered for {PATIENCE} s")
            returned, outcome = self._connection.recv()
        except EOFError:
            raise AssertionError("the child ended without an answer") from None
        finally:
            os.kill(self._pid, signal.SIGKILL)  # it has nothing more to do; it is there still, since nobody has waited
            os.waitpid(self._pid, 0)
            self._connection.close()
        if returned:
            return outcome
        raise outcome


class Child:
    """This process is the child."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def leave(self, outcome: object) -> NoReturn:
        """End this process, and tell the parent."""
        try:
            self._connection.send((True, outcome))
        finally:
            os._exit(0)

    def leave_with(self, function: Callable[[], object]) -> NoReturn:
        """End this process, and tell the parent what `function` returns or raises."""
        try:
            self._connection.send((True, function()))
        except BaseException as error:
            self._connection.send((False, error))
        finally:
            os._exit(0)


def split() -> Parent | Child:
    """Fork; which of the two processes this one is. The child must call `leave` or `leave_with`."""
    reader, writer = Pipe(duplex=False)
    pid = os.fork()
    if pid == 0:
        reader.close()
        return Child(writer)
    writer.close()
    return Parent(pid, reader)


def in_child(function: Callable[[], Any]) -> Any:
    """What `function` returns in a child that is forked now; what it raises is raised here."""
    side = split()
    if isinstance(side, Child):
        side.leave_with(function)
    return side.outcome()
