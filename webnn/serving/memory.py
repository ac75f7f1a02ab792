"""The memory of a server's requests and answers, and its limit.

Bodies are refused where they would exceed it. Answers cannot be: their runs are done by then. So the room for an answer
is taken before its run begins, and the run waits if there is none. It is free again when the client has taken the
answer, or has been closed because it did not.

Large answers get half of it, so that clients which do not read them do not keep the requests of others out.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Final

__all__ = ["SMALL", "Memory"]

SMALL: Final = 64 * 1024
"""Bytes up to which an answer is small, and may take room beyond the half that large ones get."""


class Memory:
    """The bytes that are held for clients.

    Attributes:
        most: the limit of both kinds together.
        bodies: the bytes of all bodies that are being received and worked on.
        answers: the bytes of all answers whose runs are under way or that their clients have not taken.

    Args:
        most: the limit.
    """

    def __init__(self, most: int = sys.maxsize) -> None:
        self.most = most
        self.bodies = 0
        self.answers = 0
        self.freed: Callable[[], object] | None = None
        """Called when answers have become less."""

    @property
    def used(self) -> int:
        """The bytes of bodies and answers."""
        return self.bodies + self.answers

    def has_room_for_body(self, size: int) -> bool:
        """Whether `size` more bytes of bodies can be held."""
        return self.used + size <= self.most

    def has_room_for_answer(self, size: int) -> bool:
        """Whether an answer of `size` bytes can be held; one always can if there is no other."""
        if not self.answers:
            return True
        share = self.most if size <= SMALL else self.most // 2
        return self.answers + size <= share and self.used + size <= self.most

    def keep(self, size: int) -> None:
        """An answer takes `size` bytes."""
        self.answers += size

    def free(self, size: int) -> None:
        """An answer takes `size` bytes less."""
        if size:
            self.answers -= size
            if self.freed is not None:
                self.freed()
