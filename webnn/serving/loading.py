"""From a model file to a served model that has run: compiled, and with the sizes of its batches measured."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import wait
from dataclasses import replace
from typing import Final

import numpy as np

from webnn.errors import ValidationError
from webnn.formats.files import Source, load_model, outline_of, reader_of
from webnn.formats.outline import is_name
from webnn.runtime.context import MLContext
from webnn.runtime.graph import MLGraph
from webnn.scheduler.batching import FIRST
from webnn.serving.repository import Served

__all__ = ["load"]

TIMED: Final = 3
"""Runs that are timed, the shortest of which counts."""
TIMING: Final = 0.5
"""Seconds after which no further one is."""
SETTLING: Final = 1.0
"""Seconds of trial runs in company at most. By then a context knows in which batch sizes a graph runs, and whether that
pays, which clients would otherwise wait for."""
COMPANY: Final = 2
"""Trial runs that are under way at once, for each of the largest batch."""
BURST: Final = 0.1
"""Seconds of trial runs that are under way at once at most, unless there would be fewer than for each of a `FIRST`
batch. With more of them, those that take long would not get to the end of the measurements."""


def load(name: str, version: str, source: Source, context: MLContext, max_batch: int) -> tuple[Served, str]:
    """A model that is compiled and has run, and a message if its requests are limited to one item against its file.

    If all inputs share an open leading dimension, that is the dimension of the items, and a graph of one item is
    compiled. If the items depend on each other in that graph, the message says why. It is empty otherwise.

    Args:
        name: the name of the model.
        version: the version of the model.
        source: the file.
        context: runs it.
        max_batch: the `max_batch` of the context.

    Raises:
        ValidationError: another dimension is open.
        NotSupportedError: the file cannot be read, or has an input or output that the protocol lacks.
        DataError: it is not a valid model.
        OSError: it cannot be read.
    """
    items = _item_shapes(source)
    graph = load_model(source if items is None else replace(source, shapes={**source.shapes, **items}), context)
    graph.label = f"{name}/{version}"
    why = ""
    try:
        served = Served(name, version, graph, batched=items is not None)
    except ValidationError as error:
        why = str(error)
        served = Served(name, version, graph)
    served.pace = _warm_up(context, graph, max_batch)
    return served, why


def _item_shapes(source: Source) -> Mapping[str, int | Sequence[int]] | None:
    """The shapes of one item, if all inputs have the same open leading dimension and no other one."""
    outline = outline_of(source.path)
    if outline is None:
        return None
    found: dict[str, Sequence[int]] = {}
    leading: set[str] = set()
    for value in outline.inputs:
        if value.name in source.constants:
            continue
        if not value.shape or value.name in source.shapes:
            return None
        first, *rest = value.shape
        sizes = [source.shapes.get(size, size) if isinstance(size, str) else size for size in rest]
        if not isinstance(first, str) or first in source.shapes or not all(isinstance(size, int) for size in sizes):
            return None
        leading.add(first)
        found[value.name] = [1, *(int(size) for size in sizes if isinstance(size, int))]
    if len(leading) != 1:
        return None
    (dimension,) = leading
    if is_name(dimension):
        return {dimension: 1}
    return found if reader_of(source.path).whole_shapes else None


def _warm_up(context: MLContext, graph: MLGraph, max_batch: int) -> float:
    """Run it on zeros: alone, and then in company if its runs can be gathered. Gives the seconds of a run alone."""
    zeros = {name: np.zeros(each.shape, each.dtype) for name, each in graph.inputs.items()}
    context.compute(graph, zeros)
    pace, until = math.inf, time.perf_counter() + TIMING
    for _ in range(TIMED):  # the machine may pause in one of them
        began = time.perf_counter()
        context.compute(graph, zeros)
        ended = time.perf_counter()
        pace = min(pace, ended - began)
        if ended > until:
            break
    if max_batch == 1 or graph.explain().why_not_separable is not None:
        return pace
    burst = max(COMPANY * min(FIRST, max_batch), min(COMPANY * max_batch, int(BURST / pace)))
    given_up = context.statistics().batching.unprofitable
    until = time.monotonic() + SETTLING
    while time.monotonic() < until and context.statistics().batching.unprofitable == given_up:
        runs = [context.run(graph, zeros) for _ in range(burst)]
        wait(runs)
        for run in runs:
            run.result()
    return pace
