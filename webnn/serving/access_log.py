"""The access log: a line for each request. Lines are kept back and written a few times a second, so no answer waits."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Final, Protocol

from webnn.graph.arguments import printable
from webnn.serving.exchanges import Scope

__all__ = ["AccessLog"]

DELAY: Final = 0.2
"""Seconds for which lines are gathered."""


class _Text(Protocol):
    def write(self, text: str, /) -> object: ...

    def flush(self) -> object: ...


class AccessLog:
    """Writes a line for each request.

    Args:
        file: a text file, open for writing.
    """

    def __init__(self, file: _Text) -> None:
        self._file = file
        self._lines: list[str] = []

    def __call__(self, scope: Scope, status: int, size: int, seconds: float) -> None:
        """A request has ended."""
        if not self._lines:
            asyncio.get_running_loop().call_later(DELAY, self.flush)
        client = scope.get("client")
        now = datetime.now(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00")
        path = printable(scope["path"][:500])
        self._lines.append(
            f'{now}Z {client[0] if client else "-"} "{scope["method"]} {path}" {status} {size} {seconds:.6f}\n'
        )

    def flush(self) -> None:
        """Write the lines that were kept back."""
        lines, self._lines = self._lines, []
        self._file.write("".join(lines))
        self._file.flush()
