"""What contexts and graphs are made of, for the packages above the runtime: models, the server, checks for a browser.

Programs have no use for these parts, so they are no properties of the objects.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from webnn.graph.ir import Graph
from webnn.runtime.device import Device

if TYPE_CHECKING:
    from webnn.runtime.context import MLContext
    from webnn.runtime.graph import MLGraph
    from webnn.scheduler.batches.batcher import Batcher

__all__ = ["batcher_of", "device_of", "failure_of", "operators_of"]


def device_of(context: MLContext) -> Device:
    """The lanes, the timeline and the backend of a context, and whether it is dead."""
    return context._device


def operators_of(graph: MLGraph) -> Graph:
    """The operators from which a graph was compiled."""
    return graph._graph


def batcher_of(graph: MLGraph) -> Batcher | None:
    """What gathers the runs of a graph; None if they are not gathered."""
    return graph._batcher


def failure_of(graph: MLGraph) -> BaseException | None:
    """The error with which all runs of a graph fail, since it could not be compiled; None if there is none."""
    return graph._work.error
