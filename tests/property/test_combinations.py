"""Donation, replays, both widths and four lanes in one program give what doing it at once and in order gives.

The model is an array for each tensor. Numbers are whole, and products are with permutations, so float32 is exact. The
last test counts how often each feature was in use, so that the combination is exercised, and not only allowed.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import webnn

ROWS, COLUMNS = 128, 128
TENSORS: Final = 4
PERMUTATION: Final = np.random.default_rng(0).permutation(COLUMNS)
ROUNDS: Final = 100

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Write:
    name: int
    number: int


@dataclass(frozen=True)
class Scatter:
    """Replace a row, in a tensor or on the way from one to another."""

    source: int
    target: int
    row: int
    number: int


@dataclass(frozen=True)
class Turns:
    """Scatters from one tensor to another and back."""

    names: tuple[int, ...]
    rows: list[int]


@dataclass(frozen=True)
class Step:
    """A cheap dispatch: the larger of two tensors, and one more."""

    names: tuple[int, ...]


@dataclass(frozen=True)
class Shuffle:
    """A dispatch that is worth several threads: the columns in another order."""

    source: int
    target: int


@dataclass(frozen=True)
class Replay:
    times: int


@dataclass(frozen=True)
class Runs:
    """Runs that are asked for at once."""

    number: int
    count: int


@dataclass(frozen=True)
class Read:
    name: int
    way: str


Operation = Write | Scatter | Turns | Step | Shuffle | Replay | Runs | Read
NAMES: Final = st.integers(0, TENSORS - 1)
PERMUTED: Final = st.permutations(range(TENSORS)).map(tuple)
NUMBERS: Final = st.integers(0, 50)
OPERATIONS: Final = st.lists(
    st.one_of(
        st.builds(Write, NAMES, NUMBERS),
        st.builds(Scatter, NAMES, NAMES, st.integers(0, ROWS - 1), NUMBERS),
        st.builds(Turns, PERMUTED, st.lists(st.integers(0, ROWS - 1), min_size=2, max_size=5)),
        st.builds(Step, PERMUTED),
        st.builds(Shuffle, NAMES, NAMES),
        st.builds(Replay, st.integers(1, 3)),
        st.builds(Runs, NUMBERS, st.integers(1, 6)),
        st.builds(Read, NAMES, st.sampled_from(["wait", "keep", "into", "cancel"])),
    ),
    min_size=5,
    max_size=30,
)


class Machine:
    """A context with all features on, its graphs, and a recorded program."""

    def __init__(self, context: webnn.MLContext) -> None:
        self.context = context
        self.counts: Counter[str] = Counter()
        builder = context.create_graph_builder()
        cache, at = builder.input("cache", [ROWS, COLUMNS], "float32"), builder.input("at", [1, COLUMNS], "int64")
        new = builder.input("new", [1, COLUMNS], "float32")
        self.scatter = builder.build({"y": builder.scatter_elements(cache, at, new, axis=0)})
        builder = context.create_graph_builder()
        a, b = (builder.input(name, [ROWS, COLUMNS], "float32") for name in "ab")
        self.step = builder.build({"y": builder.add(builder.max(a, b), builder.constant("float32", 1))})
        builder = context.create_graph_builder()
        x = builder.input("x", [ROWS, COLUMNS], "float32")
        matrix = np.eye(COLUMNS, dtype=np.float32)[:, PERMUTATION]
        self.shuffle = builder.build({"y": builder.matmul(builder.relu(x), builder.constant(matrix))})
        self.tensors = [
            context.create_tensor([ROWS, COLUMNS], "float32", readable=True, writable=True) for _ in range(4)
        ]
        self.at = context.create_tensor([1, COLUMNS], "int64", writable=True)
        self.new = context.create_tensor([1, COLUMNS], "float32", writable=True)
        with context.record() as self.program:
            first, second, third, _ = self.tensors
            context.dispatch(self.step, {"a": first, "b": second}, {"y": third})
            context.dispatch(self.step, {"a": third, "b": first}, {"y": second})

    async def play(self, operations: list[Operation]) -> None:
        """Do `operations`, and the same with arrays, and compare all that is read."""
        context, tensors = self.context, self.tensors
        model = [np.full((ROWS, COLUMNS), i, np.float32) for i in range(TENSORS)]
        for tensor, array in zip(tensors, model, strict=True):
            context.write_tensor(tensor, array)
        reads: list[tuple[webnn.Promise[Any], Array]] = []
        for operation in operations:
            self.counts[type(operation).__name__] += 1
            match operation:
                case Write(name, number):
                    model[name] = np.full((ROWS, COLUMNS), number, np.float32)
                    context.write_tensor(tensors[name], model[name])
                case Scatter(source, target, row, number):
                    self.replace_row(model, source, target, row, number)
                case Turns((source, target, _, _), rows):
                    for row in rows:
                        self.replace_row(model, source, target, row, row)
                        source, target = target, source
                case Step((a, b, target, _)):
                    context.dispatch(self.step, {"a": tensors[a], "b": tensors[b]}, {"y": tensors[target]})
                    model[target] = np.maximum(model[a], model[b]) + 1
                case Shuffle(source, target) if source != target:
                    context.dispatch(self.shuffle, {"x": tensors[source]}, {"y": tensors[target]})
                    model[target] = model[source][:, PERMUTATION]
                case Replay(times):
                    for _ in range(times):
                        context.replay(self.program)
                        self.counts["merged replays"] += self.program.tasks < 2
                        model[2] = np.maximum(model[0], model[1]) + 1
                        model[1] = np.maximum(model[2], model[0]) + 1
                case Runs(number, count):
                    for i in range(count):
                        x = np.tile(np.arange(number + i, number + i + COLUMNS, dtype=np.float32), (ROWS, 1))
                        reads.append((context.run(self.shuffle, {"x": x}).then(lambda y: y["y"]), x[:, PERMUTATION]))
                case Read(name, way):
                    out = np.empty((ROWS, COLUMNS), np.float32) if way == "into" else None
                    read = context.read_tensor(tensors[name], out)
                    if way == "cancel":
                        read.cancel()
                    else:
                        reads.append((read, model[name]))
                    if way == "wait":
                        await self.compare(*reads.pop())
        for each in reversed(reads):
            await self.compare(*each)
        for tensor, array in zip(tensors, model, strict=True):
            await self.compare(context.read_tensor(tensor), array)

    def replace_row(self, model: list[Array], source: int, target: int, row: int, number: int) -> None:
        """Dispatch a scatter, and do the same to the model."""
        self.context.write_tensor(self.at, np.full((1, COLUMNS), row))
        self.context.write_tensor(self.new, np.full((1, COLUMNS), number, np.float32))
        inputs = {"cache": self.tensors[source], "at": self.at, "new": self.new}
        self.context.dispatch(self.scatter, inputs, {"y": self.tensors[target]})
        model[target] = model[source].copy()
        model[target][row] = number

    async def compare(self, promise: webnn.Promise[Any], expected: Array) -> None:
        """A read gives `expected`."""
        np.testing.assert_array_equal(await promise, expected)
        self.counts["compared"] += 1


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("webnn.runtime.device.runnable_threads", lambda: None)  # what else runs here is of no account
        context = webnn.ML().create_context(backend="onnxruntime", lanes=4)
    with context:
        yield Machine(context)


@given(operations=OPERATIONS)
@settings(max_examples=ROUNDS)
def test_programs_that_combine_all_features_give_what_doing_it_in_order_gives(
    machine: Machine, operations: list[Operation]
) -> None:
    asyncio.run(machine.play(operations))


def test_the_programs_have_used_all_features(machine: Machine) -> None:
    if not machine.counts:
        pytest.skip("the programs were not run")
    statistics = machine.context.statistics()
    used = {
        "donated": statistics.donated,
        "borrowed": statistics.borrowed,
        "wide": statistics.width.wide,
        "narrow": statistics.width.narrow,
        "on lanes": statistics.run_on_lanes,
        "inline": statistics.run_inline,
        "merged replays": machine.counts["merged replays"],
        "compared": machine.counts["compared"],
    }
    print(used, dict(machine.counts))
    assert [name for name, count in used.items() if count < 3] == []
