"""The progress of `model.map`, on a terminal, drawn by `rich` if it is installed.

`rich` draws the bars of the command line too, in terminals and notebooks. Without it, nothing is shown: a bar is no
reason for another dependency. No thread refreshes it, so programs may fork meanwhile.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from typing import Any, Final

from webnn.forking import import_lock

__all__ = ["Progress", "bar_of"]

PATIENCE: Final = 1.0
"""Seconds before a bar is shown."""
INTERVAL: Final = 0.1
"""Seconds between two pictures of it."""


class Progress:
    """Counts items, and shows them from time to time.

    Args:
        total: the number of items, or None if it is not known.
        show: called with the number of items that are done, and the total.
        patience: seconds before the first call of `show`.
        close: called at the end, if `show` was called.
        clock: gives the time in seconds.
    """

    def __init__(
        self,
        total: int | None,
        show: Callable[[int, int | None], object] | None,
        *,
        patience: float = 0.0,
        close: Callable[[], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._total = total
        self._show = show
        self._close = close
        self._clock = clock
        self._done = 0
        self._next = clock() + patience
        self._shown = False

    def advance(self) -> None:
        """One more item is done."""
        self._done += 1
        if self._show is not None and (now := self._clock()) >= self._next:
            self._next = now + INTERVAL
            self._shown = True
            self._show(self._done, self._total)

    def end(self) -> None:
        """No more items come. Calling it again is fine."""
        show, self._show = self._show, None
        if show is not None and self._shown:
            show(self._done, self._total)
            if self._close is not None:
                self._close()


def bar_of(total: int | None, title: str, given: bool | Callable[[int, int | None], object]) -> Progress:
    """The progress of a map.

    Args:
        total: as for `Progress`.
        title: stands before the bar.
        given: True for a bar on a terminal, False for none, or the function that shows it.
    """
    if callable(given):
        return Progress(total, given)
    if not given or not _has_terminal() or find_spec("rich") is None:
        return Progress(total, None)
    bar = _Bar(title)
    return Progress(total, bar.show, patience=PATIENCE, close=bar.close)


def _has_terminal() -> bool:
    """Whether there is one. A program without a console, or a daemon, may have no stderr, or a closed one."""
    return sys.stderr is not None and not sys.stderr.closed and sys.stderr.isatty()


class _Bar:
    """A bar of `rich`, which is imported when it is shown first."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._bar: Any = None
        self._task: Any = None

    def show(self, done: int, total: int | None) -> None:
        if self._bar is None:
            with import_lock:
                from rich.console import Console  # noqa: PLC0415
                from rich.errors import LiveError  # noqa: PLC0415
                from rich.progress import (  # noqa: PLC0415
                    BarColumn,
                    MofNCompleteColumn,
                    Progress,
                    TextColumn,
                    TimeElapsedColumn,
                    TimeRemainingColumn,
                )

            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                console=Console(stderr=True),
                auto_refresh=False,
                transient=True,
            )
            self._task = self._bar.add_task(self._title, total=total)
            with suppress(LiveError):  # the program has a display of its own
                self._bar.start()
        self._bar.update(self._task, completed=done)
        if self._bar.live.is_started:
            self._bar.refresh()

    def close(self) -> None:
        self._bar.stop()
