"""A body that comes in many pieces, received straight into its own memory.

The pieces of a body of 600 KB would be copied by the parser, by uvicorn and when they are joined, in more time than the
system takes to hand them over. Nothing in a body whose length is known needs a parser.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from webnn.serving.exchanges import Exchange, Headers

__all__ = ["LARGEST", "Upload"]

LARGEST: Final = 4_000_000
"""The most bytes that are set aside for a body before they have come, which they may never do. They take memory only as
they come, since for less than 4 MB NumPy does not ask the system for huge pages."""


class Upload:
    """The body of a request that a model waits for.

    Attributes:
        exchange: the request.
        headers: its headers.
        body: its bytes, the first `received` of which are there. The others are not set to anything before, which would
            take longer than to receive them.

    Args:
        length: the bytes of the body.
    """

    __slots__ = ("body", "exchange", "headers", "received")

    def __init__(self, exchange: Exchange, headers: Headers, length: int) -> None:
        self.exchange = exchange
        self.headers = headers
        self.body = np.empty(length, np.uint8).data
        self.received = 0

    @property
    def missing(self) -> int:
        """The bytes that are to come."""
        return len(self.body) - self.received

    @property
    def is_wanted(self) -> bool:
        """Whether the request has not been answered before its body is there."""
        return self.exchange.connection is not None

    def add(self, data: memoryview) -> None:
        """Copy bytes of the body that were received elsewhere. `received` is not changed."""
        if self.is_wanted:
            self.body[self.received : self.received + len(data)] = data
