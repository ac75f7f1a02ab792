"""The socket of a server: how it begins to listen, and how it ends without losing a connection.

A client is connected as soon as the system has completed its handshake, which is before the server accepts it. What the
queue of a listening socket holds when it is closed is lost, and between the last accept and the close one more may
come. So a server that stops lets no handshake begin any more, waits for those that have, accepts them, and closes.
"""

from __future__ import annotations

import ctypes
import logging
import socket
import struct
import sys
from typing import Final

from webnn.errors import ValidationError

__all__ = ["BACKLOG", "has_left", "listen", "refuse_new"]

BACKLOG: Final = 2048

_STATE: Final = getattr(socket, "TCP_INFO", None)
"""The option that tells the state of a connection, in its first byte; None on systems without it."""
_OPEN: Final = 1
"""The state of a connection that neither side has closed."""
_ATTACH_FILTER: Final = 26
"""Linux's SO_ATTACH_FILTER."""
_NO_HANDSHAKE: Final = b"".join(
    struct.pack("HBBI", *instruction)
    for instruction in (
        (0x30, 0, 0, 13),  # load the byte with the flags of the TCP header
        (0x45, 0, 1, 0x02),  # if SYN is set,
        (0x06, 0, 0, 0),  # drop the packet,
        (0x06, 0, 0, 0xFFFFFFFF),  # otherwise keep all of it
    )
)
"""A filter for packets, in the instructions of classic BPF."""
_log = logging.getLogger("webnn.serving")


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens on `host` and `port`; port 0 is any free one.

    Raises:
        ValidationError: `host` is not an address of this machine.
        OSError: the port is in use or not allowed.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror as error:
        raise ValidationError(f"--host {host}: {error.strerror}") from None
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise OSError(error.errno, error.strerror, f"{host}:{port}") from None
    return listener


def refuse_new(listener: socket.socket) -> None:
    """Let no client begin to connect any more; those that have begun still can.

    Clients try again after a second, and are refused when the socket is closed by then. Systems other than Linux go on
    connecting clients.
    """
    if sys.platform != "linux":
        return
    instructions = ctypes.create_string_buffer(_NO_HANDSHAKE)
    program = struct.pack("HP", len(_NO_HANDSHAKE) // 8, ctypes.addressof(instructions))
    try:
        listener.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, program)
    except OSError as error:  # a sandbox may lack it
        _log.info("connections go on coming until the socket is closed: %s", error)


def has_left(connection: socket.socket) -> bool:
    """Whether the client has closed the connection, which the system knows before its data has been read."""
    return _STATE is not None and connection.getsockopt(socket.IPPROTO_TCP, _STATE, 1)[0] != _OPEN
