"""The choice between one thread and all cores for the batches of one size."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.scripted import PATIENCE, ScriptedBackend
from tests.stepped import SMALL, Function, Rig
from webnn.backends.base import Cancellation, CompileOptions, Executable
from webnn.backends.session_cache import session_cache
from webnn.errors import OperationError
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.ir import Graph
from webnn.memory.pool import Shelf
from webnn.runtime.batch_sizes import BatchSizes
from webnn.runtime.context import MLContext
from webnn.runtime.graph import MLGraph
from webnn.scheduler.batches.size import FIRST, Size
from webnn.scheduler.batching import SAMPLES
from webnn.scheduler.crowd import EVERY, Crowd
from webnn.scheduler.trials import ALL, ONE, PAUSE
from webnn.scheduler.width import Width

ALONE = 1000
"""Nanoseconds of a request that is run alone."""
LONG_TRIAL = 600
"""More batches than it takes to decide."""


class Batches:
    """Batches of two requests, whose graph takes `times[way]` nanoseconds for each batch."""

    def __init__(
        self, times: dict[int, int], *, first: int = ONE, cores: int = 2, alone: int = ALONE, has_choice: bool = True
    ) -> None:
        self.times = times
        self.ready = 1
        """The threads of the machine that run or are ready to run."""
        crowd = Crowd(cores, cores, lambda: self.ready)
        self.has_choice = has_choice
        self.wanted: list[tuple[int, int]] = []
        self.ran: list[int] = []
        """The ways of the batches."""
        self.rig = Rig(
            descriptor=MLOperandDescriptor(SMALL.data_type, [1, *SMALL.shape]), lanes=2, width=Width(cores, crowd)
        )
        work = self.rig.work("alone", cost=alone, measured=False)
        self.batcher = self.rig.timeline.batcher(
            work,
            [self.rig.shelf],
            [("y", self.rig.shelf)],
            max_batch=2,
            max_delay=0,
            compile=lambda size, way: self.wanted.append((size, way)),
        )
        policy = self.batcher.policy
        policy.cheap = 0
        policy.meets_company(alone)
        for _ in range(SAMPLES):
            policy.measured(1, alone)
        policy._compiling.add(2)
        self.compiled(first)
        for _ in range(SAMPLES):
            policy.measured(2, alone)

    def compiled(self, way: int) -> None:
        """The executable for `way` has been compiled."""
        self.batcher.computation.compiled(
            2, Size(Function(lambda x: self.compute(way, x)), *self.shelves(), way=way, has_choice=self.has_choice)
        )

    def shelves(self) -> tuple[list[Shelf], list[Shelf]]:
        shelf = self.rig.pool.shelf(MLOperandDescriptor(SMALL.data_type, [2, *SMALL.shape]))
        return [shelf], [shelf]

    def compute(self, way: int, x: Any) -> Any:
        self.ran.append(way)
        self.rig.clock.now += self.times[way]
        return x + 1

    def run(self, batches: int) -> list[int]:
        """Runs so many batches. Returns their ways."""
        self.ran = []
        for _ in range(batches):
            data = np.ones(self.rig.shelf.descriptor.shape, np.float32)
            promises = [self.batcher.run([(self.rig.shelf, data)]) for _ in range(2)]
            self.rig.run_all()
            assert [promise.result(timeout=0)["y"][0, 0] for promise in promises] == [2, 2]
        return self.ran


@pytest.mark.parametrize("first", [ONE, ALL])
@pytest.mark.parametrize("fastest", [ONE, ALL])
def test_both_ways_are_tried_and_the_faster_one_is_used(first: int, fastest: int) -> None:
    other = ALL if first == ONE else ONE
    batches = Batches({ONE: 800, ALL: 800, fastest: 600}, first=first)
    assert batches.run(FIRST - 1) == [first] * (FIRST - 1)
    assert not batches.wanted
    batches.run(1)
    assert batches.wanted == [(2, other)]
    assert batches.run(FIRST) == [first] * FIRST, "it is not compiled yet"
    batches.compiled(other)
    assert set(batches.run(LONG_TRIAL)) == {ONE, ALL}
    assert batches.run(FIRST) == [fastest] * FIRST
    assert batches.wanted == [(2, other)], "only once"


def test_what_the_loop_does_between_batches_counts() -> None:
    """All cores end the batch sooner here, but the event loop works beside one thread, and after them otherwise."""
    batches = Batches({ONE: 800, ALL: 600})
    step = batches.rig.run_all

    def run_all() -> None:
        step()
        batches.rig.clock.now += 100 if batches.ran[-1] == ONE else 700

    batches.rig.run_all = run_all  # type: ignore[method-assign]
    batches.run(FIRST)
    batches.compiled(ALL)
    assert ALL in batches.run(LONG_TRIAL)
    assert batches.run(FIRST) == [ONE] * FIRST


def test_a_long_pause_does_not_count_since_nobody_has_waited() -> None:
    size = Size(Function(lambda x: x), [], [], way=ONE, has_choice=True)
    size.try_ways()
    for _ in range(FIRST):
        size.measured(None, ONE, 2, 1000, 10 * PAUSE)
    assert size._trials is not None
    assert size._trials._runs == FIRST
    size._trials._begin((ONE, ALL))
    size.executables[ALL] = size.executables[ONE]
    size.measured(None, ONE, 2, 1000, 10 * PAUSE)  # the first one of a block is not counted
    size.measured(None, ONE, 2, 1000, 10 * PAUSE)
    size.measured(None, ONE, 2, 1000, 100)
    assert size._trials._times[ONE] == [500, 550]


@pytest.mark.parametrize(
    "options",
    [{"cores": 3}, {"alone": 1_000_000}, {"has_choice": False}],
    ids=["batches run beside each other", "dear requests have all cores", "the backend has no choice"],
)
def test_nothing_is_tried_where_there_is_no_choice(options: dict[str, Any]) -> None:
    batches = Batches({ONE: 800, ALL: 600}, **options)
    assert batches.run(4 * FIRST) == [ONE] * 4 * FIRST
    assert not batches.wanted


def test_batches_have_one_thread_while_other_programs_use_the_cores() -> None:
    batches = Batches({ONE: 400_000, ALL: 200_000}, alone=210_000)
    batches.run(FIRST)
    batches.compiled(ALL)
    batches.run(LONG_TRIAL)
    batches.ready = 2 + 1  # with the event loop, and a lane that settles
    assert batches.run(FIRST) == [ALL] * FIRST
    batches.ready, batches.times[ALL] = 8, 2_000_000
    assert batches.run(FIRST) == [ALL, *[ONE] * (FIRST - 1)], "the first one was late"
    batches.ready, batches.times[ALL] = 1, 200_000
    ways = batches.run(3 * EVERY)
    assert ways[-1] == ALL
    assert ways == sorted(ways, reverse=True), "one change"


def test_a_new_size_has_the_way_of_the_one_that_it_is_measured_against() -> None:
    batches = Batches({ONE: 800, ALL: 600})
    batches.run(FIRST)
    batches.compiled(ALL)
    batches.run(LONG_TRIAL)
    batches.wanted.clear()
    policy = batches.batcher.policy
    policy.sizes, policy.pays = (2, 4), True
    batches.batcher._max_batch = 4
    data = np.ones(batches.rig.shelf.descriptor.shape, np.float32)
    for _ in range(4):
        promises = [batches.batcher.run([(batches.rig.shelf, data)]) for _ in range(4)]
        batches.rig.run_all()
        assert all(promise.done() for promise in promises)
    assert batches.wanted == [(4, ALL)]


# With a backend: what is compiled, and what becomes of it.


class TwoWays(ScriptedBackend):
    """Compiles a graph for one thread or for all cores."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: list[int] = []
        self.fails = False
        """Whether nothing can be compiled for all cores any more."""

    def narrow_options(self, graph: Graph, options: CompileOptions) -> CompileOptions | None:
        return None if options.threads else replace(options, threads=1)

    def compile(self, graph: Graph, options: CompileOptions, cancellation: Cancellation) -> Executable:
        self.threads.append(options.threads)
        if self.fails and not options.threads:
            raise OperationError("no memory")
        return super().compile(graph, options, cancellation)


@pytest.fixture
def two_cores(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("webnn.runtime.device.usable_cores", lambda: 2)
    yield
    session_cache.clear()


def sizes_of(context: MLContext, *, constants: int = 4) -> tuple[MLGraph, BatchSizes]:
    """A graph, and its batch sizes, of which 2 is compiled for one thread."""
    builder = context.create_graph_builder()
    x = builder.input("x", [1, constants], "float32")
    graph = builder.build({"y": builder.mul(x, builder.constant(np.full((1, constants), 2, np.float32)))})
    graph._compiled.result()
    sizes = graph._batch_sizes
    assert sizes is not None
    sizes.batcher.policy.meets_company(ALONE)
    sizes.batcher.policy._costs[1] = ALONE
    sizes.batcher.policy._compiling.add(2)
    start(context, sizes, ONE)
    return graph, sizes


def start(context: MLContext, sizes: BatchSizes, way: int) -> None:
    sizes._start(2, way)
    ended = threading.Event()
    assert context._device.slow_lane.call(ended.set)
    assert ended.wait(PATIENCE)


@pytest.mark.usefixtures("two_cores")
def test_the_other_way_is_compiled_beside_the_first_one() -> None:
    backend = TwoWays()
    with MLContext(backend, CompileOptions(), lanes=2, memory_budget=None, max_batch=2) as context:
        _graph, sizes = sizes_of(context)
        size = sizes.batcher.computation._sizes[2]
        assert list(size.executables) == [ONE]
        start(context, sizes, ALL)
        assert sizes.batcher.computation._sizes[2] is size
        assert list(size.executables) == [ONE, ALL]
        assert backend.threads == [0, 1, 0], "the graph itself, and two executables for batches"


@pytest.mark.usefixtures("two_cores")
def test_threads_that_were_chosen_by_hand_are_kept() -> None:
    with MLContext(TwoWays(), CompileOptions(threads=2), lanes=2, memory_budget=None, max_batch=2) as context:
        _graph, sizes = sizes_of(context)
        size = sizes.batcher.computation._sizes[2]
        assert not size.has_choice
        for _ in range(4 * FIRST):
            assert size.measured(None, ONE, 2, 1000, 0) is None


@pytest.mark.usefixtures("two_cores")
def test_a_size_that_cannot_be_compiled_for_the_other_way_stays_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    backend = TwoWays()
    with MLContext(backend, CompileOptions(), lanes=2, memory_budget=None, max_batch=2) as context:
        _graph, sizes = sizes_of(context)
        backend.fails = True
        start(context, sizes, ALL)
        assert list(sizes.batcher.computation._sizes[2].executables) == [ONE]
        assert sizes.batcher.computation.has(2)
    assert "no memory" in caplog.text


@pytest.mark.usefixtures("two_cores")
def test_a_memory_budget_without_room_for_weights_packed_again_forbids_the_other_way() -> None:
    backend = TwoWays()
    with MLContext(backend, CompileOptions(), lanes=2, memory_budget=1 << 19, max_batch=2) as context:
        _graph, sizes = sizes_of(context, constants=1 << 18)
        start(context, sizes, ALL)
        assert list(sizes.batcher.computation._sizes[2].executables) == [ONE]
        assert backend.threads == [0, 1]
