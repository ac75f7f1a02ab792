"""A model at work in one process: its context, its inputs, and the runs of any number of items."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from webnn.backends.processors import usable_cores
from webnn.forking import reentrant_lock
from webnn.model.graphs import Graphs, OutputAxis
from webnn.model.signature import Array, Feeds, Shapes, Signature, along
from webnn.model.sizes import SEEN, Piece, ShapePlans
from webnn.model.threads import on_thread
from webnn.runtime.context import MLContext
from webnn.runtime.parts import device_of
from webnn.scheduler.bridge import Bridge, current_bridge
from webnn.scheduler.promise import Promise, resolve

__all__ = ["Call", "Loaded", "Outputs", "Slots"]

Outputs = dict[str, Array]

CHUNK: Final = 8
"""How many of the largest batches a plan is for."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the model, checked.

    Attributes:
        feeds: the inputs.
        shapes: the shapes of the open inputs, which choose the graph.
        count: the number of items; None if the model has no batch.
    """

    feeds: Feeds
    shapes: Shapes
    count: int | None


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
        self._ahead = 2 * usable_cores()
        """The runs of one call that are queued at once at most, since their inputs are copied."""
        seen = 1 if signature.only_batch_is_open else SEEN
        self._beside = ShapePlans(sizes, seen)
        """For runs on threads that run graphs side by side."""
        self._alone = ShapePlans(sizes, seen, len(device_of(context).lanes))

    @property
    def is_lost(self) -> bool:
        """Whether the device of its context is gone. A context that the program has destroyed stays in its place."""
        return device_of(self.context).is_dead

    def call(self, inputs: Mapping[str, Any] | Any) -> Call:
        """The call for `inputs`, checked.

        Raises:
            ValidationError: they do not fit.
        """
        signature = self.signature
        feeds = signature.feeds(inputs)
        call = Call(feeds, signature.shapes(feeds), None if signature.batch is None else signature.count(feeds))
        self.calls += 1
        self.items += 1 if call.count is None else call.count
        return call

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

    def goes_one_by_one(self, shapes: Shapes, count: int, *, here: bool) -> bool:
        """Whether `count` items would be computed one after the other, and so need not be put together."""
        runs = (self._beside if here else self._alone).of(shapes).plan(count)
        return len(runs) == count > 1 and all(piece.size == 1 for piece in runs)

    def compute(self, call: Call, *, here: bool = False) -> Outputs:
        """The outputs; blocks this thread until they are there.

        Args:
            call: the call.
            here: whether to run on this thread, for a thread beside others that do the same.
        """
        if call.count is None:
            return self.context.compute(self.graphs.get(call.shapes), call.feeds)
        plans = (self._beside if here else self._alone).of(call.shapes)
        parts: list[Outputs] = []
        start = 0
        while start < call.count:
            runs = plans.plan(min(CHUNK * self.sizes[-1], call.count - start))
            axes = self._axes(call, runs)
            began = time.perf_counter_ns()
            if here or len(runs) == 1:
                for piece in runs:
                    began = time.perf_counter_ns()
                    graph = self.graphs.get(call.shapes, piece.size)
                    outputs = self.context.compute(graph, self._cut(call, piece, start))
                    parts.append(self._part(outputs, piece, axes))
                    plans.record([piece], time.perf_counter_ns() - began)
            else:
                parts += self._side_by_side(call, runs, start, axes)
                plans.record(runs, time.perf_counter_ns() - began)
            start += sum(piece.count for piece in runs)
        return self._joined(call, parts)

    def _side_by_side(
        self, call: Call, runs: Sequence[Piece], start: int, axes: Mapping[str, OutputAxis]
    ) -> list[Outputs]:
        queued: deque[tuple[Piece, Promise[Outputs]]] = deque()
        parts: list[Outputs] = []
        for piece in runs:
            graph = self.graphs.get(call.shapes, piece.size)
            queued.append((piece, self.context.run(graph, self._cut(call, piece, start))))
            if len(queued) > self._ahead:
                first, promise = queued.popleft()
                parts.append(self._part(promise.result(), first, axes))
        return parts + [self._part(promise.result(), piece, axes) for piece, promise in queued]

    async def run(self, call: Call, left: Callable[[], float | None]) -> Outputs:
        """The outputs, for an event loop. Graphs of new sizes are made on a thread.

        Args:
            call: the call.
            left: gives the seconds that are left for it, or None for no limit.

        Raises:
            TimeoutError: no seconds are left.
        """
        if call.count is None:
            if self.graphs.find(call.shapes) is None:
                await on_thread(self.graphs.get, call.shapes, seconds=left())
            return await self.context.run(self.graphs.get(call.shapes), call.feeds, timeout=left())
        plans = self._alone.of(call.shapes)
        parts: list[Outputs] = []
        start = 0
        while start < call.count:
            alone = self.slots.taken == 1  # otherwise it waits for others, too
            runs = plans.plan(min(CHUNK * self.sizes[-1], call.count - start), measured=alone)
            if not self._is_ready(call, runs):
                await on_thread(self._prepare, call, runs, seconds=left())
            axes = self._axes(call, runs)
            began = time.perf_counter_ns()
            queued: deque[tuple[Piece, Promise[Outputs]]] = deque()
            for piece in runs:
                graph = self.graphs.get(call.shapes, piece.size)
                queued.append((piece, self.context.run(graph, self._cut(call, piece, start), timeout=left())))
                if len(queued) > self._ahead:
                    first, promise = queued.popleft()
                    parts.append(self._part(await promise, first, axes))
            while queued:
                first, promise = queued.popleft()
                parts.append(self._part(await promise, first, axes))
            if alone and self.slots.taken == 1:
                plans.record(runs, time.perf_counter_ns() - began)
            start += sum(piece.count for piece in runs)
        if not parts and not self._is_ready(call, ()):
            await on_thread(self._prepare, call, (), seconds=left())
        return self._joined(call, parts)

    def _is_ready(self, call: Call, runs: Sequence[Piece]) -> bool:
        """Whether every graph that the runs need is made."""
        sizes = {piece.size for piece in runs}
        return self.graphs.has_axes(call.shapes) and all(self.graphs.find(call.shapes, size) for size in sizes)

    def _prepare(self, call: Call, runs: Sequence[Piece]) -> None:
        """Make the graphs that the runs need; they compile in the background."""
        for piece in runs:
            self.graphs.get(call.shapes, piece.size)
        self._axes(call, runs)

    def axes(self, call: Call) -> Mapping[str, OutputAxis]:
        """Where the outputs of a call, which has been computed, have the items."""
        return self.graphs.axes(call.shapes, self.sizes[0])

    def _axes(self, call: Call, runs: Sequence[Piece]) -> Mapping[str, OutputAxis]:
        return self.graphs.axes(call.shapes, runs[0].size if runs else self.sizes[0])

    def _cut(self, call: Call, piece: Piece, start: int) -> Feeds:
        """The inputs of one run; padding repeats the last item, whose values are sure to be valid."""
        feeds: Feeds = {}
        begin = start + piece.start
        for row in self.signature.rows:
            array = call.feeds[row.name]
            if row.axis is None or array.shape[row.axis] == piece.count == piece.size:
                feeds[row.name] = array
            elif piece.count == piece.size:
                feeds[row.name] = along(array, row.axis, begin, begin + piece.count)
            else:
                rows = np.minimum(np.arange(begin, begin + piece.size), begin + piece.count - 1)
                feeds[row.name] = array.take(rows, row.axis)
        self.padded += piece.size - piece.count
        return feeds

    @staticmethod
    def _part(outputs: Outputs, piece: Piece, axes: Mapping[str, OutputAxis]) -> Outputs:
        if piece.count == piece.size:
            return outputs
        return {
            name: along(array, axes[name].axis, 0, piece.count * axes[name].rows) for name, array in outputs.items()
        }

    def _joined(self, call: Call, parts: list[Outputs]) -> Outputs:
        if len(parts) == 1:
            return parts[0]
        axes = self.axes(call)
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
    loops of several threads may share it: only promises cross between them. A loop that was closed while its tasks
    waited is passed over.
    """

    def __init__(self, most: int) -> None:
        self._most = self._free = most
        self._waiting: deque[tuple[Promise[None], Bridge | None]] = deque()
        self._lock = reentrant_lock()  # around both

    @property
    def taken(self) -> int:
        """The calls that are under way."""
        return self._most - self._free

    async def take(self) -> None:
        """Wait for a slot and take it."""
        with self._lock:
            if self._free > 0:
                self._free -= 1
                return
            turn: Promise[None] = Promise()
            self._waiting.append((turn, current_bridge()))
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
                turn, bridge = self._waiting.popleft()
            # Without the lock: it may wake another thread's event loop. One that has ended would keep the slot.
            if (bridge is None or bridge.post(_nothing)) and resolve(turn, None):
                return


def _nothing() -> None:
    """For a loop that is asked whether it has ended."""
