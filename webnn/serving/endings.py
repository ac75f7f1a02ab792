"""How requests end that are not answered as they asked: refused, given up, late, or failed."""

from __future__ import annotations

import asyncio
import logging
from typing import TypeAlias

from webnn.errors import ContextLostError, MLError
from webnn.serving.admission import Admission
from webnn.serving.exchanges import LATE, LEFT, Exchange, Headers
from webnn.serving.figures import GONE
from webnn.serving.json_text import written
from webnn.serving.protocol import JSON, Refused

__all__ = ["GoneError", "Outcome", "ended", "full", "outcome_of", "refusal"]

Outcome: TypeAlias = tuple[int, Headers, bytes]
"""A status, headers and a body."""

_log = logging.getLogger("webnn.serving")


class GoneError(Exception):
    """The client went away."""


def ended(exchange: Exchange, status: int, what: str) -> Exception:
    """The end of a request that was ended before its answer was there.

    Args:
        exchange: knows why.
        status: the HTTP status if it was late.
        what: what was not done in time.
    """
    if exchange.why == LEFT:
        return GoneError()
    if exchange.why == LATE:
        return Refused(status, f"{what} in time")
    return _stopped()


def full(admission: Admission, name: str, items: int) -> Refused:
    """So many items have no place in the queue of the model `name`."""
    if items > admission.most:
        return Refused(400, f"{items} items are more than the queue takes, which is {admission.most}")
    wait = admission.retry_after
    message = f"the queue of {name!r} is full: {admission.items} items; try again in {wait} s"
    return Refused(503, message, ((b"retry-after", b"%d" % wait),))


def outcome_of(error: BaseException, name: str) -> Outcome:
    """The answer to a request for the model `name` that has ended with an error, which is logged if it is ours."""
    match error:
        case Refused():
            return error.status, *refusal(error)
        case GoneError():
            return GONE, (), b""
        case asyncio.CancelledError() | ContextLostError():
            return 503, *refusal(_stopped())
        case MLError():
            _log.warning("%s: %s", name, error)
            return 500, *refusal(Refused(500, f"the run failed: {str(error).splitlines()[0]}"))
        case _:
            _log.error("a request for %s failed", name, exc_info=error)
            return 500, *refusal(Refused(500, "the server failed; its log has the reason"))


def refusal(refused: Refused) -> tuple[Headers, bytes]:
    """The headers and the body of the answer to a request that was refused."""
    body = written({"error": refused.message})
    return [(b"content-type", JSON), (b"content-length", b"%d" % len(body)), *refused.headers], body


def _stopped() -> Refused:
    return Refused(503, "the server is shutting down", ((b"retry-after", b"1"),))
