"""Connections that have ended, whose clients may still be sending.

To close a socket while something arrives resets the connection, and the system of the client then drops the answer that
it has not read yet. So the server says that it sends no more, and reads what comes until the client has closed its
side, too (RFC 9112, section 9.6).
"""

from __future__ import annotations

import asyncio
import socket
from typing import Final

from webnn.serving.polling import Polling

__all__ = ["Lingering"]

SILENT: Final = 1.0
"""Seconds without data after which the client is not waited for."""
LONGEST: Final = 5.0
"""Seconds after which it is not in any case."""
READS: Final = 16
"""Reads in a row, after which others have their turn."""


class Lingering:
    """The socket of a connection that has ended, which is closed when the client has closed its side.

    Args:
        loop: has the clock.
        polling: tells when there is something to read, and closes the socket early if no more files may be open.
        connection: the socket, which this owns.
        memory: may be overwritten in each call of `readable`.
    """

    runs = False
    is_waited_for = False
    is_between = True

    def __init__(
        self, loop: asyncio.AbstractEventLoop, polling: Polling, connection: socket.socket, memory: memoryview
    ) -> None:
        self._loop = loop
        self._polling = polling
        self._socket = connection
        self._memory = memory
        self._received = False
        self._until = loop.time() + LONGEST
        try:
            connection.shutdown(socket.SHUT_WR)
        except OSError:  # the client has left
            connection.close()
            return
        polling.lingering[self] = None
        polling.change(connection, self, reads=True, writes=False)
        self._timer = loop.call_later(SILENT, self._look)

    def _look(self) -> None:
        """Close it if nothing has come since the last look, or for too long."""
        if self._received and self._loop.time() < self._until:
            self._received = False
            self._timer = self._loop.call_later(SILENT, self._look)
        else:
            self.end()

    def readable(self) -> bool:
        """Drop what has come. Gives whether there may be more."""
        try:
            for _ in range(READS):
                if not self._socket.recv_into(self._memory):
                    self.end()
                    return False
                self._received = True
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            self.end()
            return False
        return True

    def writable(self) -> None:
        """Nothing is to be written."""

    def gone(self) -> None:
        """The client has left."""

    def left(self) -> None:
        """Nothing is under way."""

    def end(self) -> None:
        """Close the socket."""
        if self._polling.lingering.pop(self, self) is None:
            self._timer.cancel()
            self._polling.remove(self._socket)
            self._socket.close()
