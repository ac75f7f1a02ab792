"""A model at work in one process: its context, its inputs, and the runs of any number of items."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from webnn.backends.processors import usable_cores
from webnn.forking import reentrant_lock
from webnn.model.graphs import Graphs, OutputAxis
from webnn.model.signature import Array, Feeds, Shapes, Signature
from webnn.model.sizes import Piece, pieces
from webnn.runtime.context import MLContext
from webnn.runtime.graph import MLGraph
from webnn.scheduler.promise import Promise, resolve

__all__ = ["Call", "Loaded", "Slots"]

Outputs = dict[str, Array]


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the model, checked.

    Attributes:
        feeds: the inputs.
        shapes: of the open inputs, which choose the graph.
        runs: the runs that compute it; one without a size, if the model has no batch.
    """

    feeds: Feeds
    shapes: Shapes
    runs: list[Piece] | None

    @property
    def sizes(self) -> list[int | None]:
        """The batch sizes that it needs."""
        return [None] if self.runs is None else list(dict.fromkeys(piece.size for piece in self.runs))


class Loaded:
    """What a model has in the process that uses it.

    Args:
        context: runs the graphs.
        signature: the inputs.
        graphs: by the sizes of the open dimensions.
        sizes: the batch sizes that may be compiled, in ascending order.
        concurrency: the most calls of `run` that are under way at once.
    """

    def __init__(
        self, context: MLContext, signature: Signature, graphs: Graphs, sizes: tuple[int, ...], concurrency: int
    ) -> None:
        self.context = context
        self.signature = signature
        self.graphs = graphs
        self.sizes = sizes
        self.slots = Slots(concurrency)
        self.calls = self.items = self.padded = 0

    def call(self, inputs: Mapping[str, Any] | Any) -> Call:
        """The call for `inputs`, checked.

        Raises:
            ValidationError: they do not fit.
        """
        signature = self.signature
        feeds = signature.feeds(inputs)
        self.calls += 1
        if signature.batch is None:
            self.items += 1
            return Call(feeds, signature.shapes(feeds), None)
        count = signature.count(feeds)
        runs = pieces(count, self.sizes)
        self.items += count
        self.padded += sum(piece.size - piece.count for piece in runs)
        return Call(feeds, signature.shapes(feeds), runs)

    def warm_up(self, sizes: Mapping[str, int | Sequence[int]]) -> None:
        """Compile the graph for open dimensions of these sizes, by name, and run it once on zeros.

        Raises:
            ValidationError: a dimension has no size.
        """
        signature = self.signature
        size = None
        if signature.batch is not None:
            given = sizes.get(signature.batch, self.sizes[0])
            size = given if isinstance(given, int) else self.sizes[0]
        shapes = signature.shapes_of(sizes)
        graph = self.graphs.get(shapes, size)
        zeros = {name: np.zeros(value.shape, value.dtype) for name, value in graph.inputs.items()}
        self.context.compute(graph, zeros)
        if size is not None:
            self.graphs.axes(shapes, size)

    def is_ready(self, call: Call) -> bool:
        """Whether every graph that the call needs is made."""
        return all(self.graphs.find(call.shapes, size) is not None for size in call.sizes) and (
            not call.runs or self.graphs.has_axes(call.shapes)
        )

    def prepare(self, call: Call) -> None:
        """Make the graphs that the call needs; they compile in the background."""
        for size in call.sizes or [self.sizes[0]]:
            self.graphs.get(call.shapes, size)
        if call.runs is not None:
            self.graphs.axes(call.shapes, (call.sizes or [self.sizes[0]])[0] or 1)

    def compute(self, call: Call, *, here: bool = False) -> Outputs:
        """The outputs; blocks this thread until they are there.

        Args:
            call: the call.
            here: run on this thread, for a thread beside others that do the same.
        """
        if call.runs is None:
            return self.context.compute(self.graphs.get(call.shapes), call.feeds)
        axes = self._axes(call)
        parts: list[Outputs] = []
        if here or len(call.runs) == 1:
            for piece in call.runs:
                graph = self.graphs.get(call.shapes, piece.size)
                parts.append(self._part(self.context.compute(graph, self._cut(call, piece)), piece, axes))
            return self._joined(call, parts, axes)
        queued: deque[tuple[Piece, Promise[Outputs]]] = deque()
        for piece in call.runs:
            graph = self.graphs.get(call.shapes, piece.size)
            queued.append((piece, self.context.run(graph, self._cut(call, piece))))
            if len(queued) > 2 * usable_cores():  # their inputs are copied
                first, promise = queued.popleft()
                parts.append(self._part(promise.result(), first, axes))
        parts += [self._part(promise.result(), piece, axes) for piece, promise in queued]
        return self._joined(call, parts, axes)

    async def run(self, call: Call, timeout: float | None) -> Outputs:  # noqa: ASYNC109 (see `Model.run`)
        """The outputs, for an event loop; the graphs are made."""
        if call.runs is None:
            return await self.context.run(self.graphs.get(call.shapes), call.feeds, timeout=timeout)
        axes = self._axes(call)
        queued: deque[tuple[Piece, Promise[Outputs]]] = deque()
        parts: list[Outputs] = []
        for piece in call.runs:
            graph: MLGraph = self.graphs.get(call.shapes, piece.size)
            queued.append((piece, self.context.run(graph, self._cut(call, piece), timeout=timeout)))
            if len(queued) > 2 * usable_cores():
                first, promise = queued.popleft()
                parts.append(self._part(await promise, first, axes))
        while queued:
            first, promise = queued.popleft()
            parts.append(self._part(await promise, first, axes))
        return self._joined(call, parts, axes)

    def _axes(self, call: Call) -> Mapping[str, OutputAxis]:
        return self.graphs.axes(call.shapes, (call.sizes or [self.sizes[0]])[0] or 1)

    def _cut(self, call: Call, piece: Piece) -> Feeds:
        """The inputs of one run; padding repeats the last item, whose values are sure to be valid."""
        feeds: Feeds = {}
        for row in self.signature.rows:
            array = call.feeds[row.name]
            if row.axis is None or array.shape[row.axis] == piece.count == piece.size:
                feeds[row.name] = array
            elif piece.count == piece.size:
                feeds[row.name] = _slice(array, row.axis, piece.start, piece.start + piece.count)
            else:
                last = piece.start + piece.count - 1
                rows = np.minimum(np.arange(piece.start, piece.start + piece.size), last)
                feeds[row.name] = array.take(rows, row.axis)
        return feeds

    @staticmethod
    def _part(outputs: Outputs, piece: Piece, axes: Mapping[str, OutputAxis]) -> Outputs:
        if piece.count == piece.size:
            return outputs
        return {
            name: _slice(array, axes[name].axis, 0, piece.count * axes[name].rows) for name, array in outputs.items()
        }

    def _joined(self, call: Call, parts: list[Outputs], axes: Mapping[str, OutputAxis]) -> Outputs:
        if len(parts) == 1:
            return parts[0]
        if parts:
            return {name: np.concatenate([part[name] for part in parts], where.axis) for name, where in axes.items()}
        empty: Outputs = {}
        for name, descriptor in self.graphs.get(call.shapes, self.sizes[0]).outputs.items():
            axis = axes[name].axis
            shape = (*descriptor.shape[:axis], 0, *descriptor.shape[axis + 1 :])
            empty[name] = np.empty(shape, descriptor.dtype)
        return empty


class Slots:
    """How many calls of `run` are under way, and those that wait for one to end.

    Frameworks start thousands of coroutines at once. Each run copies its inputs at the call, so they take turns. Event
    loops of several threads may share it: only promises cross between them.
    """

    def __init__(self, most: int) -> None:
        self._free = most
        self._waiting: deque[Promise[None]] = deque()
        self._lock = reentrant_lock()  # around both

    async def take(self) -> None:
        """Wait for a slot and take it."""
        with self._lock:
            if self._free > 0:
                self._free -= 1
                return
            turn: Promise[None] = Promise()
            self._waiting.append(turn)
        try:
            await turn
        except BaseException:
            if not turn.cancel():  # it has come in the meantime
                self.give_back()
            raise

    def give_back(self) -> None:
        """Give the slot to the one who has waited longest."""
        while True:
            with self._lock:
                if not self._waiting:
                    self._free += 1
                    return
                turn = self._waiting.popleft()
            if resolve(turn, None):  # without the lock: it may wake another thread's event loop
                return


def _slice(array: Array, axis: int, start: int, stop: int) -> Array:
    return array[(slice(None),) * axis + (slice(start, stop),)]
