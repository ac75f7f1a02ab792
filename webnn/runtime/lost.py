"""The end of a context that nobody has asked for, and what `MLContext.lost` tells of any end.

Spec: https://www.w3.org/TR/webnn/#api-mlcontext
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from dataclasses import dataclass

from webnn.errors import ContextLostError
from webnn.runtime.graph import MLGraph
from webnn.scheduler.lane import Lane
from webnn.scheduler.promise import Promise
from webnn.scheduler.timeline import Timeline

__all__ = ["MLContextLostInfo", "forget"]


@dataclass(frozen=True, slots=True)
class MLContextLostInfo:
    """What `context.lost` resolves to."""

    message: str


def forget(
    timeline: Timeline, build_lane: Lane, graphs: Iterable[MLGraph], lost: weakref.ref[Promise[MLContextLostInfo]]
) -> None:
    """End a context that was forgotten: nobody has it or its graphs any more, or the program is at its end."""
    message = "the context was forgotten"
    for graph in list(graphs):
        graph._cancellation.cancel()
    build_lane.close(wait=False)
    timeline.destroy(ContextLostError(f"the context was lost: {message}"), wait=False)
    promise = lost()
    if promise is not None:
        promise.resolve(MLContextLostInfo(message))
