"""Random programs give what doing everything at once and in order gives, however their work is interleaved.

The model is a dictionary: name to number. Values are small whole numbers, so float32 computes them exactly.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import webnn
from tests.loops import Loop, loop_named
from tests.stepped import LARGE, SMALL, Function, Rig, number_in
from webnn.errors import ContextLostError, InvalidStateError, OperationError
from webnn.scheduler.plan import Calls, Plan, Replay
from webnn.scheduler.promise import PENDING, Promise
from webnn.scheduler.results import Dispatch
from webnn.scheduler.task import QUEUED, RUNNING, TaskState, Work
from webnn.scheduler.value import Name, Value
from webnn.scheduler.width import Width, Widths

MODULUS: Final = 1009
LIMIT: Final = 1000
"""Nanoseconds of the works that may run inline: cheap ones cost half of it, dear ones twice as much."""

FAILED: Final = "failed"
"""The model's value of what cannot be computed."""

Number = float | str


@dataclass
class Kind:
    """A graph: `outputs[i] = (sum(inputs) * (i + 2) + offset) % MODULUS`."""

    label: str
    inputs: int
    outputs: int
    offset: int = 1
    cheap: bool = True
    fails: bool = False
    compiled: bool = True

    def of(self, numbers: Sequence[Number]) -> list[Number]:
        """What the model says."""
        if self.fails or FAILED in numbers:
            return [FAILED] * self.outputs
        total = sum(float(number) for number in numbers)
        return [(total * (i + 2) + self.offset) % MODULUS for i in range(self.outputs)]

    def on(self, *arrays: Any) -> Any:
        """What the timeline runs."""
        if self.fails:
            raise OperationError("this one always fails")
        total = sum(arrays)
        return tuple((total * (i + 2) + self.offset) % MODULUS for i in range(self.outputs))


KINDS: Final = (
    Kind("source", 0, 1, 7),
    Kind("cheap", 1, 1),
    Kind("dear", 1, 1, 2, cheap=False),
    Kind("join", 2, 1, 3),
    Kind("split", 1, 2, 4, cheap=False),
    Kind("late", 1, 1, 5, compiled=False),
    Kind("hopeless", 1, 1, compiled=False, fails=True),
    Kind("broken", 1, 1, fails=True),
)


Call = tuple[Kind, Sequence[Name], Sequence[Name]]
"""A dispatch of a kind: the names of its inputs and outputs."""


@dataclass
class Reading:
    """A read under way, or settled and kept."""

    promise: Promise[Any]
    name: Name
    value: Value
    expected: Number
    lent: bool
    """Whether its result keeps the value."""
    destroyed: bool = False

    @property
    def keeps(self) -> bool:
        """Whether the value's buffer cannot go because of this read."""
        if self.promise._status is PENDING:
            return True
        return self.lent and not self.promise.cancelled() and self.promise.exception(0) is None


class Programs(RuleBasedStateMachine):
    """Write, dispatch, read, destroy, cancel, compile; in between, steps of the lanes in any order."""

    lanes = 1
    descriptor = LARGE

    @initialize()
    def begin(self) -> None:
        self.rig = Rig(self.lanes, inline_limit=LIMIT, descriptor=self.descriptor)
        self.works: dict[str, Work] = {}
        for kind in KINDS:
            cost = LIMIT / 2 if kind.cheap else LIMIT * 2
            self.works[kind.label] = self.rig.work(
                kind.label, kind.on, cost=cost, measured=False, compiled=kind.compiled, outputs=kind.outputs
            )
        self.uncompiled = {kind.label for kind in KINDS if not kind.compiled}
        self.model: dict[Name, Number] = {}
        self.handles: list[Dispatch] = []
        self.plans: list[tuple[Plan, list[Call]]] = []
        self.readings: list[Reading] = []
        for _ in range(3):
            self.new_name()

    def pick(self, index: int) -> Name:
        names = list(self.model)
        return names[index % len(names)]

    @precondition(lambda self: len(self.model) < 5)
    @rule()
    def new_name(self) -> None:
        self.model[self.rig.name()] = 0.0

    @rule(name=st.integers(0, 4), number=st.integers(0, MODULUS - 1))
    def write(self, name: int, number: int) -> None:
        self.rig.write(self.pick(name), number)
        self.model[self.pick(name)] = float(number)

    @rule(kind=st.sampled_from(KINDS), names=st.permutations(range(5)))
    def dispatch(self, kind: Kind, names: Sequence[int]) -> None:
        chosen = list(dict.fromkeys(self.pick(i) for i in names))
        assume(len(chosen) >= max(kind.inputs, kind.outputs))
        # Unlike a context, the timeline allows a name on both sides.
        inputs, outputs = chosen[: kind.inputs], chosen[::-1][: kind.outputs]
        self.handles.append(self.rig.dispatch(self.works[kind.label], inputs, outputs))
        results = kind.of([self.model[name] for name in inputs])
        self.model.update(zip(outputs, results, strict=True))

    @rule(calls=st.lists(st.tuples(st.sampled_from(KINDS), st.permutations(range(5))), min_size=1, max_size=4))
    def record(self, calls: Sequence[tuple[Kind, Sequence[int]]]) -> None:
        """Several dispatches, to be queued by one call."""
        chosen: list[Call] = []
        for kind, names in calls:
            distinct = list(dict.fromkeys(self.pick(i) for i in names))
            if len(distinct) >= max(kind.inputs, kind.outputs):
                chosen.append((kind, distinct[: kind.inputs], distinct[::-1][: kind.outputs]))
        numbered = Calls((inputs, outputs) for _, inputs, outputs in chosen)
        shelf = self.rig.shelf
        plan = numbered.plan((read, made, [shelf] * len(made)) for read, made in numbered.values)
        self.plans.append((plan, chosen))

    @precondition(lambda self: self.plans)
    @rule(index=st.integers(-3, -1))
    def replay(self, index: int) -> None:
        plan, calls = self.plans[index % len(self.plans)]
        assume(all(name in self.model for _, *named in calls for names in named for name in names))
        handle = self.rig.timeline.replay(plan, [self.works[kind.label] for kind, _, _ in calls])
        for kind, inputs, outputs in calls:
            results = kind.of([self.model[name] for name in inputs])
            self.model.update(zip(outputs, results, strict=True))
        tasks = handle._tasks if isinstance(handle, Replay) else [handle._task]
        self.handles += [Dispatch(self.rig.timeline, task) for task in tasks]

    @rule(name=st.integers(0, 4), into=st.booleans())
    def read(self, name: int, into: bool) -> None:
        chosen = self.pick(name)
        out = np.empty(self.descriptor.shape, np.float32) if into else None
        promise = self.rig.read(chosen, out)
        assert chosen.value is not None
        lent = not into and self.descriptor is LARGE
        self.readings.append(Reading(promise, chosen, chosen.value, self.model[chosen], lent))

    @rule(lane=st.integers(0, 3))
    def step(self, lane: int) -> None:
        self.rig.step(lane % self.lanes)

    @precondition(lambda self: self.readings)
    @rule(index=st.integers(0, 20))
    def ask(self, index: int) -> None:
        reading = self.readings[index % len(self.readings)]
        if reading.promise.done():
            self.check(reading)

    @precondition(lambda self: self.readings and not self.uncompiled)
    @rule(index=st.integers(0, 20))
    def block(self, index: int) -> None:
        reading = self.readings[index % len(self.readings)]
        if not reading.promise.cancelled():
            reading.promise.exception()
        self.check(reading)

    @precondition(lambda self: self.readings)
    @rule(index=st.integers(0, 20))
    def cancel(self, index: int) -> None:
        reading = self.readings[index % len(self.readings)]
        pending = reading.promise._status is PENDING
        assert reading.promise.cancel() == (pending or reading.promise.cancelled())

    @precondition(lambda self: self.readings)
    @rule(index=st.integers(0, 20))
    def forget(self, index: int) -> None:
        reading = self.readings.pop(index % len(self.readings))
        if reading.promise.done():
            self.check(reading)
        reading.promise.cancel()

    @precondition(lambda self: self.uncompiled)
    @rule()
    def compile(self) -> None:
        label = min(self.uncompiled)
        self.uncompiled.discard(label)
        self.rig.compile(self.works[label], OperationError("cannot be compiled") if label == "hopeless" else None)

    @precondition(lambda self: len(self.model) > 1)
    @rule(name=st.integers(0, 4))
    def destroy(self, name: int) -> None:
        chosen = self.pick(name)
        for reading in self.readings:
            if reading.name is chosen and reading.promise._status is PENDING:
                reading.destroyed = True
        self.rig.timeline.destroy_name(chosen, InvalidStateError("it was destroyed"))
        del self.model[chosen]

    def check(self, reading: Reading) -> None:
        promise = reading.promise
        if promise.cancelled():
            return
        error = promise.exception(0)
        if reading.destroyed:
            assert isinstance(error, InvalidStateError), error
        elif reading.expected == FAILED:
            assert isinstance(error, OperationError), error
        else:
            assert number_in(promise.result(0)) == reading.expected

    def check_all(self, timeout: float | None) -> None:
        for reading in self.readings:
            if reading.promise.cancelled():
                continue
            if not isinstance(reading.promise.exception(timeout), ContextLostError):
                self.check(reading)

    @invariant()
    def the_accounts_are_exact(self) -> None:
        if not hasattr(self, "rig"):
            return
        self.rig.timeline.tidy()
        queued = [handle for handle in self.handles if handle._task.state in (QUEUED, RUNNING)]
        statistics = self.rig.timeline.statistics
        assert (statistics.queued, statistics.running) == (len(queued), 0)
        reachable = {name.value for name in self.model}
        reachable.update(value for handle in queued for value in handle._task.inputs)
        reachable.update(reading.value for reading in self.readings if reading.keeps)
        there = sum(value is not None and value.view is not None for value in reachable)
        there += sum(len(handle._task.memory or ()) for handle in queued)
        assert self.rig.pool.info().in_use == there * self.rig.size

    def teardown(self) -> None:
        if not hasattr(self, "rig"):
            return
        if not self.uncompiled:
            self.rig.run_all()
            self.check_all(timeout=None)
            self.the_accounts_are_exact()
        self.rig.end()
        self.check_all(timeout=0)
        for name in self.model:
            self.rig.timeline.destroy_name(name, InvalidStateError("it was destroyed"))
        ends = [handle._task.state for handle in self.handles]
        never = sum(h._task.state is TaskState.FAILED and h._task.work.error is not None for h in self.handles)
        self.readings.clear()
        self.handles.clear()
        self.plans.clear()
        if self.rig.in_use:  # the traceback of an error keeps the frames in which a task ran, and what they hold
            gc.collect()
        assert self.rig.in_use == 0
        assert not {QUEUED, RUNNING} & set(ends)
        assert self.rig.timeline.statistics.dropped == ends.count(TaskState.DROPPED)
        runs = sum(not label.endswith("merged") for label in self.rig.ran)
        assert runs <= len(ends) - ends.count(TaskState.DROPPED) - ends.count(TaskState.CANCELLED) - never


class ProgramsOnFourLanes(Programs):
    lanes = 4


class ChosenWidth(Width):
    """Makes runs narrow or wide as the test says."""

    chosen = False

    def prefers_narrow(self, widths: Widths, others: int) -> bool:
        super().prefers_narrow(widths, others)
        return self.chosen


class ProgramsOfTwoWidths(Programs):
    """Some graphs have a second executable from the start, and others get one at a random moment, or never."""

    lanes = 4

    @initialize()
    def begin(self) -> None:
        super().begin()
        self.width = self.rig.timeline.width = self.rig.timeline._execution.cores._width = ChosenWidth(4)
        self.asked: list[str] = []
        for label, work in self.works.items():
            work.widths = Widths(partial(self.ask_for, label))
            if label in ("cheap", "split"):
                work.widths.narrow = Function(next(kind for kind in KINDS if kind.label == label).on)

    def ask_for(self, label: str, widths: Widths) -> None:
        self.asked.append(label)

    @rule(narrow=st.booleans())
    def choose(self, narrow: bool) -> None:
        self.width.chosen = narrow

    @precondition(lambda self: self.asked)
    @rule()
    def compile_narrow(self) -> None:
        label = self.asked.pop(0)
        widths = self.works[label].widths
        assert widths is not None
        widths.narrow = Function(next(kind for kind in KINDS if kind.label == label).on)

    @rule()
    def work_in_a_piece(self) -> None:
        with self.width.piece():
            self.step(0)


class ProgramsOfSmallTensors(Programs):
    lanes = 2
    descriptor = SMALL


LINKS: Final = [kind for kind in KINDS if kind.label in ("cheap", "join")]


class ProgramsWithHotChains(Programs):
    """Some dispatches come in the same order again and again, so that they are merged, and with all else in between."""

    merged = 0

    @initialize()
    def begin(self) -> None:
        super().begin()
        self.chains = self.rig.merge(hot=0, checks=1, rest=0)
        self.loops: list[Sequence[tuple[Kind, Sequence[int]]]] = []
        while self.uncompiled:
            self.compile()

    @precondition(lambda self: len(self.loops) < 2)
    @rule(calls=st.lists(st.tuples(st.sampled_from(LINKS), st.permutations(range(5))), min_size=3, max_size=6))
    def new_loop(self, calls: Sequence[tuple[Kind, Sequence[int]]]) -> None:
        self.loops.append(calls)

    @precondition(lambda self: self.loops and len(self.model) > 1)
    @rule(index=st.integers(0, 1), times=st.integers(1, 12), into=st.booleans(), middle=st.integers(0, 9))
    def loop(self, index: int, times: int, into: bool, middle: int) -> None:
        """Each dispatch reads what the one before it has made. Sometimes there is a read in the middle, which waits."""
        for _ in range(times):
            made = 0
            for i, (kind, names) in enumerate(self.loops[index % len(self.loops)]):
                chosen = list(dict.fromkeys(i % len(self.model) for i in (made, *names)))
                self.dispatch(kind, chosen)
                made = chosen[-1]
                if i == middle:
                    self.read(made, into)
            self.read(made, into)
            self.block(-1)

    def teardown(self) -> None:
        if hasattr(self, "chains"):
            ProgramsWithHotChains.merged += self.chains.runs
        super().teardown()


EXAMPLES = settings().max_examples
STATEFUL = settings(max_examples=3 * EXAMPLES, stateful_step_count=40)
TestPrograms = Programs.TestCase
TestPrograms.settings = STATEFUL
TestProgramsOnFourLanes = ProgramsOnFourLanes.TestCase
TestProgramsOnFourLanes.settings = STATEFUL
TestProgramsOfTwoWidths = ProgramsOfTwoWidths.TestCase
TestProgramsOfTwoWidths.settings = STATEFUL
TestProgramsOfSmallTensors = ProgramsOfSmallTensors.TestCase
TestProgramsOfSmallTensors.settings = STATEFUL
TestProgramsWithHotChains = ProgramsWithHotChains.TestCase
TestProgramsWithHotChains.settings = settings(STATEFUL, max_examples=7 * EXAMPLES)


def test_chains_of_these_programs_were_merged() -> None:
    ProgramsWithHotChains.merged = 0
    run_state_machine_as_test(ProgramsWithHotChains, settings=settings(STATEFUL, derandomize=True))
    assert ProgramsWithHotChains.merged


# With threads, and a backend that computes.


@dataclass(frozen=True)
class Write:
    name: int
    number: int


@dataclass(frozen=True)
class Run:
    kind: int
    names: tuple[int, ...]


@dataclass(frozen=True)
class Read:
    name: int
    wait: bool
    into: bool


@dataclass(frozen=True)
class Destroy:
    name: int


NAMES = st.integers(0, 3)
OPERATIONS = st.lists(
    st.one_of(
        st.builds(Write, NAMES, st.integers(0, 50)),
        st.builds(Run, st.integers(0, 2), st.permutations(range(4)).map(tuple)),
        st.builds(Run, st.integers(0, 2), st.permutations(range(4)).map(tuple)),
        st.builds(Read, NAMES, st.booleans(), st.booleans()),
        st.builds(Destroy, NAMES),
    ),
    max_size=25,
)


class Graphs:
    """Three graphs of a context, and what they compute."""

    def __init__(self, context: webnn.MLContext, shape: Sequence[int]) -> None:
        self.context, self.shape = context, shape
        self.graphs = [self._add(), self._mul(), self._both()]

    def _add(self) -> webnn.MLGraph:
        b = self.context.create_graph_builder()
        x, y = (b.input(name, self.shape, "float32") for name in "xy")
        return b.build({"sum": b.add(x, y)})

    def _mul(self) -> webnn.MLGraph:
        b = self.context.create_graph_builder()
        x = b.input("x", self.shape, "float32")
        return b.build({"half": b.mul(x, b.constant("float32", 0.5))})

    def _both(self) -> webnn.MLGraph:
        b = self.context.create_graph_builder()
        x = b.input("x", self.shape, "float32")
        return b.build({"more": b.add(x, b.constant("float32", 1)), "less": b.sub(x, b.constant("float32", 1))})

    def tensor(self) -> webnn.MLTensor:
        return self.context.create_tensor(self.shape, "float32", readable=True, writable=True)

    def dispatch(self, kind: int, tensors: Sequence[webnn.MLTensor], numbers: Sequence[float]) -> list[float]:
        """Queue a run, and the model's numbers of its outputs, which are the last of `tensors`."""
        inputs = dict(zip(self.graphs[kind].inputs, tensors, strict=False))
        outputs = dict(zip(self.graphs[kind].outputs, tensors[len(inputs) :], strict=False))
        self.context.dispatch(self.graphs[kind], inputs, outputs)
        return [[numbers[0] + numbers[1]], [numbers[0] / 2], [numbers[0] + 1, numbers[0] - 1]][kind]


@pytest.fixture(params=[(lanes, shape) for lanes in (1, 4) for shape in ((4,), (2048,))], ids=str, scope="module")
def graphs(request: pytest.FixtureRequest) -> Iterator[Graphs]:
    lanes, shape = request.param
    with webnn.ML().create_context(backend="arrays", lanes=lanes) as context:
        yield Graphs(context, shape)


@pytest.mark.parametrize("kind", ["asyncio", "trio", "thread"])
@given(operations=OPERATIONS)
def test_programs_on_threads_give_what_doing_it_at_once_gives(
    graphs: Graphs, kind: str, operations: list[Write | Run | Read | Destroy]
) -> None:
    loop = loop_named(kind)
    loop.run(lambda: play(graphs, operations, loop))
    context, deadline = graphs.context, time.monotonic() + 10
    while context.memory_info().in_use and time.monotonic() < deadline:
        time.sleep(0.001)  # a lane may be running what nobody has read
    assert context.memory_info().in_use == 0


async def play(graphs: Graphs, operations: Sequence[Write | Run | Read | Destroy], loop: Loop) -> None:
    context = graphs.context
    tensors = [graphs.tensor() for _ in range(4)]
    model = [0.0] * 4
    reads: list[tuple[Promise[Any], float]] = []
    for operation in operations:
        match operation:
            case Write(name, number):
                context.write_tensor(tensors[name], np.full(graphs.shape, number, np.float32))
                model[name] = number
            case Run(which, names):
                results = graphs.dispatch(which, [tensors[i] for i in names], [model[i] for i in names])
                first = len(graphs.graphs[which].inputs)
                for i, result in zip(names[first:], results, strict=False):
                    model[i] = result
            case Read(name, wait, into):
                out = np.empty(graphs.shape, np.float32) if into else None
                reads.append((context.read_tensor(tensors[name], out), model[name]))
                if wait:
                    assert number_in(await loop.result(reads[-1][0])) == model[name]
            case Destroy(name):
                for read, _ in reads:  # those that are pending would be rejected
                    await loop.result(read)
                tensors[name].destroy()
                tensors[name], model[name] = graphs.tensor(), 0.0
    for read, expected in reversed(reads):
        assert number_in(await loop.result(read)) == expected
