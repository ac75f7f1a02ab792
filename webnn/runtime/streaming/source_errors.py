"""Errors of the source of a stream: a cancellation among them, and those that its consumer does not see."""

from __future__ import annotations

import logging
import sys

__all__ = ["log_unseen", "parted"]

_log = logging.getLogger("webnn")


def parted(error: BaseException) -> tuple[BaseException | None, BaseException | None]:
    """The part of `error` that cancels a task of asyncio or trio, and the rest."""
    loops = (("asyncio", "CancelledError"), ("trio", "Cancelled"))
    kinds = tuple(getattr(sys.modules[module], name) for module, name in loops if module in sys.modules)
    if isinstance(error, BaseExceptionGroup):
        cancellation, failure = error.split(kinds)
        return (cancellation, failure) if cancellation is not None else (None, error)
    return (error, None) if isinstance(error, kinds) else (None, error)


def log_unseen(error: BaseException) -> None:
    """Log an error of a source that nobody is left to raise it to."""
    if not isinstance(error, GeneratorExit):  # the loop was closed around the source
        _log.error("the source of a stream failed after its consumer had left", exc_info=error)
