"""Errors of backends, as those who wait for a result get them."""

from __future__ import annotations

import traceback
from collections.abc import Callable

from webnn.errors import DeviceLostError, MLError, UnknownError
from webnn.graph.arguments import described

__all__ = ["explained", "forget_frames", "tell_if_lost"]


def tell_if_lost(error: BaseException, lost: Callable[[str], object]) -> None:
    """Call `lost` with the reason, if a backend has said with `error` that its device is gone."""
    if isinstance(error, DeviceLostError):
        lost(str(error))


def explained(what: str, error: BaseException) -> MLError:
    """`error` if it is one of this package, otherwise an error that says `what` and has it as its cause."""
    if isinstance(error, MLError):
        return error
    explained = UnknownError(f"{what}: {described(error)}")
    explained.__cause__ = error
    return explained


def forget_frames(error: BaseException) -> None:
    """Turn the traceback of `error` into text, and remove the tracebacks of its causes.

    The error lives as long as it can be read. The frames of its traceback would keep arrays alive that long.
    """
    if error.__traceback__ is not None and not isinstance(error, MLError):
        error.add_note("raised in the backend:\n" + "".join(traceback.format_tb(error.__traceback__)).rstrip())
    each: BaseException | None = error
    while each is not None and each.__traceback__ is not None:
        each.__traceback__ = None
        each = each.__cause__ or each.__context__
