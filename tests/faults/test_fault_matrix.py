"""Every program on a backend that fails at any call: nothing hangs, leaks or is lost, and the message says what failed.

Each program is first run without a fault, which counts the backend's calls. Then one of them fails, once or for good.
"""

from __future__ import annotations

import gc
import logging
import math
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import numpy as np
import pytest

import webnn
from tests.faulty import CALLS, HOST_CALLS, Faults, FaultyBackend
from tests.leaks import ErrorLog
from webnn.backends import registry
from webnn.errors import ContextLostError, MLError
from webnn.scheduler.failures import forget_frames

SHAPE: Final = (2048,)
"""Too large to be copied for reading."""
PATIENCE: Final = 10.0
PLACES: Final = ("first", "second", "middle", "last")


@dataclass
class Outcome:
    """What a program has seen: right results, and errors."""

    right: int = 0
    errors: list[BaseException] = field(default_factory=list)

    def expect(self, number: float, call: Callable[..., Any], *args: Any) -> None:
        """`call` gives an array full of `number` (any, for NaN), a promise of one, or an error of this package."""
        try:
            result = call(*args)
            if isinstance(result, webnn.Promise):
                result = result.result(timeout=PATIENCE)
            if isinstance(result, Mapping):
                (result,) = result.values()
        except TimeoutError:
            raise AssertionError(f"{call} hangs") from None
        except MLError as error:
            self.note(error)
        else:
            assert math.isnan(number) or np.all(result == number), f"{result} instead of {number}"
            self.right += 1

    def attempt(self, call: Callable[..., Any], *args: Any) -> Any:
        """The result of `call`, which must not be None; None, and its error noted, if it raises one of this package."""
        try:
            result = call(*args)
        except MLError as error:
            self.note(error)
            return None
        return True if result is None else result

    def note(self, error: MLError) -> None:
        """An error that the program has got, without the frames, which hold its tensors."""
        forget_frames(error)
        self.errors.append(error)


Program = Callable[[webnn.MLContext, Outcome], None]
PROGRAMS: dict[str, tuple[Program, Mapping[str, Any]]] = {}


def program(**options: Any) -> Callable[[Program], Program]:
    """A program, with the options of its context."""

    def add(function: Program) -> Program:
        PROGRAMS[function.__name__] = function, options
        return function

    return add


def filled(number: float, shape: tuple[int, ...] = SHAPE) -> np.ndarray[Any, Any]:
    return np.full(shape, number, np.float32)


def graph_of(context: webnn.MLContext, shape: tuple[int, ...] = SHAPE) -> webnn.MLGraph:
    """The graph `y = 2 * x`."""
    builder = context.create_graph_builder()
    x = builder.input("x", shape, "float32")
    return builder.build({"y": builder.mul(x, builder.constant("float32", 2.0), label="times")})


def tensors(context: webnn.MLContext, count: int, shape: tuple[int, ...] = SHAPE) -> list[webnn.MLTensor]:
    return [context.create_tensor(shape, "float32", readable=True, writable=True) for _ in range(count)]


@program()
def chain(context: webnn.MLContext, outcome: Outcome) -> None:
    graph = graph_of(context)
    a, b, c, never_written = tensors(context, 4)
    for i in range(3):
        if outcome.attempt(context.write_tensor, a, filled(i)):
            first = outcome.attempt(context.dispatch, graph, {"x": a}, {"y": b})
            if first and outcome.attempt(context.dispatch, graph, {"x": b}, {"y": c}):
                outcome.expect(4 * i, context.read_tensor, c)
            outcome.expect(i, context.read_tensor, a, np.empty(SHAPE, np.float32))
    outcome.expect(0, context.read_tensor, never_written)


@program()
def run(context: webnn.MLContext, outcome: Outcome) -> None:
    graph = graph_of(context)
    for i, promise in enumerate([outcome.attempt(context.run, graph, filled(i)) for i in range(4)]):
        if promise is not None:
            outcome.expect(2 * i, promise.result, PATIENCE)


@program()
def compute(context: webnn.MLContext, outcome: Outcome) -> None:
    graph = graph_of(context)
    for i in range(4):
        outcome.expect(2 * i, context.compute, graph, filled(i))


@program()
def stream(context: webnn.MLContext, outcome: Outcome) -> None:
    graph = graph_of(context)
    try:
        for i, result in context.stream(graph, range(4), before=lambda i: {"x": filled(i)}, on_error="yield", key=int):
            if isinstance(result, webnn.ItemError):
                assert isinstance(result.error, MLError), result
                outcome.note(result.error)
            else:
                outcome.expect(2 * i, dict, result)
    except MLError as error:
        outcome.note(error)


@program()
def stream_with_state(context: webnn.MLContext, outcome: Outcome) -> None:
    builder = context.create_graph_builder()
    x, h = builder.input("x", SHAPE, "float32"), builder.input("h", SHAPE, "float32")
    graph = builder.build({"y": builder.add(x, h, label="sum")})
    total = 0
    try:
        for i, result in enumerate(
            context.stream(graph, range(4), before=lambda i: {"x": filled(i)}, state={"y": "h"})
        ):
            total += i
            outcome.expect(total, dict, result)
    except MLError as error:
        outcome.note(error)


@program(max_batch=4, lanes=2)
def batches(context: webnn.MLContext, outcome: Outcome) -> None:
    shape = (1, 2048)
    graph = graph_of(context, shape)
    for _ in range(3):
        promises = [outcome.attempt(context.run, graph, filled(i, shape)) for i in range(6)]
        for i, promise in enumerate(promises):
            if promise is not None:
                outcome.expect(2 * i, promise.result, PATIENCE)


@program()
def replay(context: webnn.MLContext, outcome: Outcome) -> None:
    graph = graph_of(context)
    a, b, c = tensors(context, 3)
    with context.record() as recorded:
        context.dispatch(graph, {"x": a}, {"y": b})
        context.dispatch(graph, {"x": b}, {"y": c})
    for i in range(6):
        if outcome.attempt(context.write_tensor, a, filled(i)) and outcome.attempt(context.replay, recorded):
            outcome.expect(4 * i, context.read_tensor, c)


@program()
def hot_chain(context: webnn.MLContext, outcome: Outcome) -> None:
    graph = graph_of(context, (4,))
    names = tensors(context, 4, (4,))
    for i in range(120):
        if outcome.attempt(context.write_tensor, names[0], filled(i, (4,))):
            links = [
                outcome.attempt(context.dispatch, graph, {"x": before}, {"y": after})
                for before, after in pairwise(names)
            ]
            if all(links):
                outcome.expect(8 * i, context.read_tensor, names[-1])


@program()
def donation(context: webnn.MLContext, outcome: Outcome) -> None:
    builder = context.create_graph_builder()
    cache = builder.input("cache", (64, 64), "float32")
    at, row = builder.input("at", (1, 64), "int64"), builder.input("row", (1, 64), "float32")
    graph = builder.build({"next": builder.scatter_elements(cache, at, row, axis=0, label="store")})
    (state,), (values,) = tensors(context, 1, (64, 64)), tensors(context, 1, (1, 64))
    places = context.create_tensor((1, 64), "int64", writable=True)
    given = {"cache": state, "at": places, "row": values}
    done = [outcome.attempt(context.write_tensor, state, filled(0, (64, 64)))]
    for i in range(4):
        done.append(outcome.attempt(context.write_tensor, places, np.full((1, 64), i)))
        done.append(outcome.attempt(context.write_tensor, values, filled(1, (1, 64))))
        done.append(outcome.attempt(context.dispatch, graph, given, {"next": state}))
    outcome.expect(256 if all(done) else math.nan, lambda: context.read_tensor(state).result(timeout=PATIENCE).sum())


@program(meanwhile="arrays")
def meanwhile(context: webnn.MLContext, outcome: Outcome) -> None:
    graph = graph_of(context)
    for i in range(6):
        outcome.expect(2 * i, context.run, graph, filled(i))


@program()
def audit(context: webnn.MLContext, outcome: Outcome) -> None:
    graph = graph_of(context)
    audit = context.audit(graph, rate=1.0)
    for i in range(3):
        outcome.expect(2 * i, context.run, graph, filled(i))
    audit.stop()
    outcome.attempt(audit.compared().result, PATIENCE)
    assert audit.finding is None


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Warnings are expected. Pytest would keep their arguments, such as programs with their tensors."""
    log = logging.getLogger("webnn")
    before = log.level
    log.setLevel(logging.ERROR)  # by the method, since loggers remember what is enabled
    yield
    log.setLevel(before)


def offer(faults: Faults, is_host: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `create_context` find the faulty backend under the name of its faults."""

    class Offered(FaultyBackend):
        def __init__(self) -> None:
            super().__init__(faults, is_host=is_host)

    points = {faults.name: SimpleNamespace(name=faults.name, load=lambda: Offered)}
    monkeypatch.setattr(registry, "plugins", lambda _: points)


@cache
def calls_of(name: str, is_host: bool) -> Mapping[str, int]:
    """How often a program makes each call when nothing fails."""
    faults, outcome = Faults(), Outcome()
    with pytest.MonkeyPatch.context() as monkeypatch:
        offer(faults, is_host, monkeypatch)
        run_program(name, faults, outcome).destroy()
    assert not outcome.errors
    assert outcome.right
    return dict(faults.made)


def run_program(name: str, faults: Faults, outcome: Outcome) -> webnn.MLContext:
    function, options = PROGRAMS[name]
    context = webnn.create_context(backend=faults.name, **{"lanes": 1, **options})
    function(context, outcome)
    return context


def number(place: str, count: int) -> int:
    """Which of `count` calls fails; 0 for one that another place has."""
    numbers = {"first": 1, "second": 2, "middle": count // 2 + 1, "last": count}
    chosen = numbers[place]
    earlier = [numbers[other] for other in PLACES[: PLACES.index(place)]]
    return 0 if chosen > count or chosen in earlier else chosen


@dataclass(frozen=True)
class Case:
    """A program, and the call that fails."""

    name: str
    is_host: bool
    call: str
    place: str

    def __str__(self) -> str:
        return f"{self.name}-{'host' if self.is_host else 'device'}-{self.call}-{self.place}"

    def faults(self, *, dies: bool) -> Faults:
        """The faults of a backend for the program; skips the test if the program does not make the call so often."""
        which = number(self.place, calls_of(self.name, self.is_host).get(self.call, 0))
        if not which:
            pytest.skip("the program does not make this call so often")
        return Faults(self.call, which, dies=dies)


CASES: Final = [
    Case(name, is_host, call, place)
    for name in PROGRAMS
    for is_host in (True, False)
    for call in (HOST_CALLS if is_host else CALLS)
    for place in PLACES
]
DYING: Final = [case for case in CASES if (case.is_host, case.call) != (True, "allocate")]
"""Without those for which no device is needed."""


def given_back(context: webnn.MLContext) -> bool:
    """Whether all memory is given back once the threads that worked with it have let go of it."""
    until = time.monotonic() + PATIENCE
    while context.memory_info().in_use and time.monotonic() < until:
        gc.collect()
        time.sleep(0.001)
    return not context.memory_info().in_use


GRAPHS: Final = r"(x.* -> y|cache.* -> next|\d dispatches of a program|twice\.webnn)"
"""The labels of the graphs in the programs, and of those that are merged of them."""
SUBJECTS: Final = {
    **dict.fromkeys(("bind", "run", "synchronize"), rf"^{GRAPHS}: the backend failed"),
    "compile": rf"backend could not compile {GRAPHS}",
    "allocate": r"allocating \d+ bytes",
    "clear": r"clearing memory of the device",
    "copy in": r"copying \w+ \[.*\] to the device",
    "copy out": r"copying a tensor from the device",
}
"""What a message says besides the text of the device's library: the graph, or what was to be done to which memory."""


def describes(error: BaseException, call: str) -> bool:
    """Whether the message names the call that failed, and what it was for."""
    return f"{call} failed" in str(error) and re.search(SUBJECTS[call], str(error)) is not None


def test_a_message_that_names_nothing_is_noticed() -> None:
    assert describes(MLError("x -> y: the backend failed: BrokenError: run failed"), "run")
    assert not describes(MLError("BrokenError: run failed"), "run")
    assert not describes(MLError("x -> y: the backend failed"), "run")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_call_that_fails_once_is_an_error_of_what_needed_it(
    case: Case, monkeypatch: pytest.MonkeyPatch, error_log: ErrorLog
) -> None:
    faults = case.faults(dies=False)
    offer(faults, case.is_host, monkeypatch)
    outcome = Outcome()
    context = run_program(case.name, faults, outcome)
    try:
        for error in outcome.errors:
            assert describes(error, case.call), repr(error)
        assert not context.lost.done()
        figures = context.statistics()
        assert (figures.queued, figures.running) == (0, 0)
        faults.repaired()
        again = Outcome()
        PROGRAMS[case.name][0](context, again)
        assert again.right
        assert not again.errors
        assert given_back(context)
        assert error_log.records == []
    finally:
        context.destroy()


@pytest.mark.parametrize("case", DYING, ids=str)
def test_a_device_that_dies_loses_the_context_and_lets_a_new_one_be_made(
    case: Case, monkeypatch: pytest.MonkeyPatch, error_log: ErrorLog
) -> None:
    faults = case.faults(dies=True)
    offer(faults, case.is_host, monkeypatch)
    outcome = Outcome()
    context = run_program(case.name, faults, outcome)
    try:
        for error in outcome.errors:
            assert isinstance(error, ContextLostError), repr(error)
            assert "the device is gone" in str(error)
        if faults.struck:
            assert "the device is gone, seen at" in context.lost.result(timeout=PATIENCE).message
            with pytest.raises(ContextLostError, match="the device is gone"):
                context.create_tensor(SHAPE, "float32")
        faults.repaired()
        again = Outcome()
        run_program(case.name, faults, again).destroy()
        assert not again.errors
        assert again.right
        assert error_log.records == []
    finally:
        context.destroy()


@pytest.mark.parametrize("dies", [False, True])
@pytest.mark.parametrize("call", CALLS)
def test_a_model_goes_on_after_a_fault_and_loads_anew_after_the_death_of_its_device(
    call: str, dies: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with webnn.create_context(backend="arrays") as context:
        graph_of(context).save(tmp_path / "twice.webnn")
    faults = Faults(call, 1, dies=dies)
    offer(faults, False, monkeypatch)
    with webnn.Model(tmp_path / "twice.webnn", backend=faults.name, context={"lanes": 1}) as model:
        outcome = Outcome()
        for i in range(3):
            outcome.expect(2 * i, model, filled(i))
        assert outcome.errors or not faults.struck
        for error in outcome.errors:
            assert isinstance(error, ContextLostError) if dies else describes(error, call), repr(error)
        if dies and faults.struck:
            assert "the device is gone" in model.context.lost.result(timeout=PATIENCE).message
        faults.repaired()
        again = Outcome()
        for i in range(3):
            again.expect(2 * i, model, filled(i))
        assert (again.right, again.errors) == (3, [])


def test_a_model_whose_context_the_program_has_destroyed_stays_destroyed(tmp_path: Path) -> None:
    with webnn.create_context(backend="arrays") as context:
        graph_of(context).save(tmp_path / "twice.webnn")
    with webnn.Model(tmp_path / "twice.webnn", backend="arrays") as model:
        model(filled(1))
        model.context.destroy()
        with pytest.raises(ContextLostError, match=r"destroy\(\) was called"):
            model(filled(1))
