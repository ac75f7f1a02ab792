"""`Program`: dispatches that are recorded once, and queued together by `context.replay`.

A replay does what the dispatches would do one by one, in the order in which they were recorded. A program goes through
these stages:
1. Its dispatches are recorded.
2. Its first replays queue one task for each dispatch, whose runs are measured.
3. Cheap dispatches that follow each other are merged, and the merged graphs are compiled in the background. Replays
   still queue one task for each dispatch.
4. Replays queue one task for each merged graph. If its runs fail, or take longer than those of the single graphs, the
   program goes back to one task for each dispatch.

A dispatch whose results are all overwritten, later in the program, before anything reads them, is never queued.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Hashable, Iterable, MutableMapping, Sequence
from dataclasses import replace
from functools import partial
from math import inf
from types import TracebackType
from typing import ClassVar, Final, Self

from webnn.errors import ContextLostError, DestroyedError, InvalidStateError, ValidationError
from webnn.forking import reentrant_lock
from webnn.graph.merging import Link, groups, merged, needed
from webnn.graph.quick_dataclass import dataclass
from webnn.graph.unpicklable import Unpicklable
from webnn.runtime.checks import recorder
from webnn.runtime.device import Device
from webnn.runtime.graph import MLGraph
from webnn.runtime.merged_chains import merged_options
from webnn.runtime.tensor import MLTensor
from webnn.scheduler.plan import Calls, Plan
from webnn.scheduler.promise import Promise
from webnn.scheduler.results import Dispatch
from webnn.scheduler.task import MergedWork

__all__ = ["Program"]

_log = logging.getLogger("webnn")

MEASURED: Final = 3
"""Replays after which the costs of the graphs are taken as known. First runs are slower than later ones."""
DOUBTED: Final = 32
"""Replays before a dispatch is left alone for its cost, which is too high while the machine does other things, too."""
FUSED_COST: Final = 50_000
"""Nanoseconds. A dispatch that costs more gains little from being merged with others, and could run beside them."""
TASK_COST: Final = 5_000
"""Nanoseconds that a task costs beside the run of its graph."""
TRIED: Final = 16
"""Replays of merged graphs after which their cost is compared with that of the single graphs."""

RECORDING, MEASURING, COMPILING, TRYING, SETTLED = range(5)


@dataclass(frozen=True, slots=True)
class Recorded:
    """One dispatch of a program: the arguments of the call."""

    graph: MLGraph
    inputs: Sequence[MLTensor]
    outputs: Sequence[MLTensor]


class RecordedDispatch(Dispatch):
    """The handle of a dispatch that was recorded. Awaiting it waits for nothing."""

    __slots__ = ("_program",)

    def __init__(self, program: Program) -> None:
        self._program = program
        self._timeline = program._device.timeline

    def finished(self) -> Promise[None]:
        """Raise: there is nothing to wait for."""
        raise InvalidStateError(
            "this dispatch was recorded, not queued: wait for context.replay(program).finished() instead"
        )

    def __repr__(self) -> str:
        return "<Dispatch recorded>"


class Program(Unpicklable):
    """Dispatches that were recorded, to be queued together: `context.replay(program)`.

    Made by `MLContext.record`, as the target of a `with` block. It may be replayed any number of times, from any
    thread. It keeps its graphs and tensors alive, and ends with its context.
    """

    _why_unpicklable: ClassVar[str] = (
        "its graphs and tensors are on a device of this process. Send a function that records it on a context of the"
        " process that uses it"
    )

    def __init__(self, context: object, device: Device, recordings: MutableMapping[Hashable, Program]) -> None:
        self._context = context
        self._device = device
        self._recordings = recordings
        self._recorder: Hashable = None
        self._recorded: list[Recorded] = []
        self._lock = reentrant_lock()  # around the change from one stage to the next
        self._stage = RECORDING
        self._replays = 0
        self._calls = Calls(())
        self._links: Sequence[Link] = ()
        self._graphs: Sequence[MLGraph] = ()
        self._held: Collection[MLGraph] = ()
        self._tensors: Collection[MLTensor] = ()
        self._parts: Sequence[Sequence[int]] = ()
        self._one_by_one: _Way
        self._way: _Way
        self._fused: Sequence[_Fused] = ()

    # Recording.

    def __enter__(self) -> Self:
        key = recorder()
        if self._stage is not RECORDING or self._recorder is not None:
            raise InvalidStateError(f"record: {self!r} was recorded before; make another one with context.record()")
        if key in self._recordings:
            raise InvalidStateError("record: this thread or task is recording already; end that block first")
        self._device.check_not_lost()
        self._recorder = key
        self._recordings[key] = self
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._recordings.pop(self._recorder, None)
        if error is None:
            self._complete()

    def _record(self, graph: MLGraph, inputs: Sequence[MLTensor], outputs: Sequence[MLTensor]) -> Dispatch:
        """Add a dispatch with valid arguments, in the graph's order."""
        self._recorded.append(Recorded(graph, inputs, outputs))
        return RecordedDispatch(self)

    def _include(self, program: Program) -> Dispatch:
        """Add the dispatches of another program, which can be replayed."""
        self._recorded += program._recorded
        return RecordedDispatch(self)

    def _complete(self) -> None:
        """Number the values, and leave out the dispatches whose results are overwritten unread."""
        recorded = self._recorded
        self._calls = calls = Calls(
            ([tensor._name for tensor in each.inputs], [tensor._name for tensor in each.outputs]) for each in recorded
        )
        links = [Link(each.graph._graph, *values) for each, values in zip(recorded, calls.values, strict=True)]
        kept = set(needed(links, calls.final))
        self._links = [link for link in links if link in kept]
        self._graphs = [each.graph for each, link in zip(recorded, links, strict=True) if link in kept]
        self._held = set(self._graphs)
        self._tensors = {tensor for each in recorded for tensor in (*each.inputs, *each.outputs)}
        self._way = self._one_by_one = self._laid_out(self._single(range(len(self._links))))
        self._stage = MEASURING if len(self._links) > 1 else SETTLED

    def _single(self, positions: Iterable[int]) -> list[_Part]:
        return [_Part(self._graphs[i], self._links[i].inputs, self._links[i].outputs) for i in positions]

    def _laid_out(self, parts: Sequence[_Part]) -> _Way:
        shelves = [tuple(shelf for _, shelf in part.graph._output_shelves) for part in parts]
        plan = self._calls.plan((part.inputs, part.outputs, taken) for part, taken in zip(parts, shelves, strict=True))
        return _Way(plan, [part.graph for part in parts])

    # Replaying.

    def _check(self, device: Device, call: str) -> None:
        """Raise if it cannot be replayed on `device`."""
        if self._device is not device:
            raise ValidationError(f"{call}: {self!r} belongs to another context")
        if self._stage is RECORDING:
            state = "is still being recorded" if self._recorder in self._recordings else "was not recorded completely"
            raise InvalidStateError(f"{call}: the program {state}; replay it after its block, if that raises no error")
        for graph in self._held:
            if graph._destroyed:
                device.check_not_lost()
                self._end()
                raise InvalidStateError(f"{call}: {graph!r}, which the program runs, was destroyed; record it again")
        for tensor in self._tensors:
            if tensor._destroyed:
                device.check_not_lost()
                self._end()
                raise DestroyedError(f"{call}: {tensor!r}, which the program uses, was destroyed; record it again")

    def _end(self) -> None:
        """It can never be replayed again: give back what was compiled for it."""
        for fused in self._fused:
            fused.graph.destroy()

    def _replay(self) -> Dispatch:
        if self._stage is not SETTLED:
            self._advance()
        way = self._way
        for fused in self._fused:
            if fused.is_used and fused.work.failed:
                self._keep_single("a run of them failed")
                way = self._way
        if way is not self._one_by_one:
            for name in way.plan.names:
                if name.value is not None and name.value.error is not None:
                    way = self._one_by_one  # so that only the dispatches fail that depend on it
        return self._device.timeline.replay(way.plan, [graph._work for graph in way.graphs])

    def _advance(self) -> None:
        """Go to the next stage if it is time."""
        with self._lock:
            self._replays += 1
            if self._stage is MEASURING and self._replays > MEASURED:
                works = [graph._work for graph in self._graphs]
                # Those with several threads lose more by having only one than they gain.
                costs = [work.cost if work.widths is None else max(work.cost, FUSED_COST) for work in works]
                if all(cost < FUSED_COST for cost in costs) or (self._replays > DOUBTED and inf not in costs):
                    self._stage = COMPILING
                    self._device.build_lane.wake(partial(self._merge, costs))
            elif self._stage is TRYING and self._replays > TRIED:
                self._judge()

    def _merge(self, costs: Sequence[float]) -> bool:
        """Compile the links that are cheap together, on the build lane. Returns False: there is nothing more to do."""
        try:
            parts = groups(self._links, [cost < FUSED_COST for cost in costs])
            fused = [self._merged(positions, costs) for positions in parts if len(positions) > 1]
            for each in fused:
                each.graph._compile()
                error = each.work.error
                if each.graph._destroyed:  # with the context or the program
                    return False
                if error is not None:
                    each.is_used = False
                    _log.warning("%r: dispatches cannot be compiled together, and are replayed singly: %s", self, error)
        except ContextLostError:
            return False
        with self._lock:
            self._parts, self._fused = parts, fused
            self._choose()
            self._replays = 0
            self._stage = TRYING if fused else SETTLED
        return False

    def _merged(self, positions: Sequence[int], costs: Sequence[float]) -> _Fused:
        inside = set(positions)
        elsewhere = {number for i, link in enumerate(self._links) if i not in inside for number in link.inputs}
        whole = merged([self._links[i] for i in positions], elsewhere | self._calls.final.keys())
        options = replace(merged_options(self._device.options), repeated=True)
        graph = MLGraph(self._context, self._device, whole.graph, options=options, dispatches=len(positions))
        self._device.register(graph)
        graph.label = f"{len(positions)} dispatches of a program"
        limit = sum(costs[i] + TASK_COST for i in positions)
        assert isinstance(graph._work, MergedWork)
        return _Fused(positions[0], graph, graph._work, whole.inputs, whole.outputs, limit)

    def _judge(self) -> None:
        """Keep only the merged graphs that are worth it, once all of them have been run."""
        used = [fused for fused in self._fused if fused.is_used]
        if all(fused.work.total < inf for fused in used):
            for fused in used:
                fused.is_used = fused.work.total < fused.limit
            self._fused = [
                fused for fused in used if fused.is_used
            ]  # the others are freed once they do not run any more
            self._choose()
            self._stage = SETTLED

    def _keep_single(self, reason: str) -> None:
        """Replay one by one from now on."""
        with self._lock:
            self._fused = ()
            self._choose()
            self._stage = SETTLED
        _log.warning("%r: dispatches are no longer run together, since %s", self, reason)

    def _choose(self) -> None:
        merged_at = {fused.position: fused for fused in self._fused if fused.is_used}
        parts = []
        for positions in self._parts:
            fused = merged_at.get(positions[0])
            if fused is not None:
                parts.append(_Part(fused.graph, fused.inputs, fused.outputs))
            else:
                parts += self._single(positions)
        self._way = self._laid_out(parts) if self._fused else self._one_by_one

    def __len__(self) -> int:
        """The number of recorded dispatches."""
        return len(self._recorded)

    @property
    def tasks(self) -> int:
        """The number of tasks that a replay queues now: as many as dispatches, or fewer if some are merged."""
        return len(self._way.graphs)

    def __repr__(self) -> str:
        if self._stage is RECORDING:
            return f"<Program of {len(self)} dispatches, not complete>"
        return f"<Program of {len(self)} dispatches in {self.tasks} tasks>"


@dataclass(frozen=True, slots=True)
class _Part:
    """A graph of a program, single or merged, and the numbers of the values that it reads and makes."""

    graph: MLGraph
    inputs: Sequence[int]
    outputs: Sequence[int]


@dataclass(frozen=True, slots=True)
class _Way:
    """One of the ways to replay a program."""

    plan: Plan
    graphs: Sequence[MLGraph]


@dataclass(slots=True)
class _Fused:
    """Several links as one graph."""

    position: int
    """Of the first of them."""
    graph: MLGraph
    work: MergedWork
    """Of the graph."""
    inputs: Sequence[int]
    outputs: Sequence[int]
    limit: float
    """Nanoseconds of a run beyond which the single graphs are faster."""
    is_used: bool = True
