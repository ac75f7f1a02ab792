"""Many frames through random programs: streams, crowds, chains of dispatches and threads, with all that may go wrong.

Each episode makes a context with options of its own, does some hundred frames in one way, and compares every result
with NumPy's. Everything is drawn from one seed, so an episode can be repeated by its number; what the threads make of
it cannot. Numbers are whole and small, so float32 holds them exactly, whatever the order of the sums.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import pairwise
from random import Random
from typing import Any, Final, Self

import anyio
import anyio.lowlevel
import numpy as np

import webnn
from webnn.errors import ContextLostError

__all__ = ["Plan", "Soak"]

Array = np.ndarray[Any, Any]

HIDDEN: Final = 512
PATIENCE: Final = 10.0
"""Seconds after which something that must come is given up."""


class SourceError(Exception):
    """Raised on purpose."""


@dataclass(frozen=True)
class Kind:
    """A graph of one input `x` and one output `y`, both full of what a frame's number makes of it.

    Attributes:
        name: for messages.
        shape: of `x`.
        modulus: numbers of frames repeat after so many.
        build: makes the graph of a builder.
        compute: what NumPy says of `x`.
    """

    name: str
    shape: tuple[int, ...]
    modulus: int
    build: Callable[[webnn.MLContext], webnn.MLGraph]
    compute: Callable[[Array], Array]

    def feed(self, number: int) -> dict[str, Array]:
        """The inputs of a frame."""
        return {"x": np.full(self.shape, number % self.modulus, np.float32)}

    def is_right(self, number: int, y: Array) -> bool:
        """Whether `y` is the result of a frame."""
        return np.array_equal(y, _expected(self, number % self.modulus))


@lru_cache(maxsize=200)
def _expected(kind: Kind, number: int) -> Array:
    expected: Array = kind.compute(np.full(kind.shape, number, np.float32))
    return expected


def _weights(seed: int, shape: tuple[int, int]) -> Array:
    return np.random.default_rng(seed).integers(-1, 2, shape).astype(np.float32)


FIRST, SECOND = _weights(1, (128, HIDDEN)), _weights(2, (HIDDEN, 8))


def _sum(shape: tuple[int, ...], context: webnn.MLContext) -> webnn.MLGraph:
    builder = context.create_graph_builder()
    x = builder.input("x", shape, "float32")
    return builder.build(
        {"y": builder.add(builder.mul(x, builder.constant("float32", 2)), builder.constant("float32", 1))}
    )


def _perceptron(rows: int, context: webnn.MLContext) -> webnn.MLGraph:
    builder = context.create_graph_builder()
    x = builder.input("x", (rows, 128), "float32")
    hidden = builder.relu(builder.matmul(x, builder.constant(FIRST)))
    return builder.build({"y": builder.matmul(hidden, builder.constant(SECOND))})


def _product(x: Array) -> Array:
    product: Array = np.maximum(x @ FIRST, 0) @ SECOND
    return product


KINDS: Final = (
    Kind("small", (4,), 2**22, partial(_sum, (4,)), lambda x: x * 2 + 1),
    Kind("lent", (2048,), 2**22, partial(_sum, (2048,)), lambda x: x * 2 + 1),
    Kind("perceptron", (1, 128), 97, partial(_perceptron, 1), _product),
    Kind("long", (64, 128), 97, partial(_perceptron, 64), _product),
)


@dataclass
class Soak:
    """Episodes from a seed.

    Attributes:
        seed: of everything.
        frames: how many have been asked for.
        episodes: the number of the next one.
        events: how often each thing happened.
    """

    seed: int
    frames: int = 0
    episodes: int = 0
    events: Counter[str] = field(default_factory=Counter)

    def run(self, frames: int) -> None:
        """Whole episodes, until so many frames more have gone through."""
        end = self.frames + frames
        while self.frames < end:
            self.episode(self.episodes)
            self.episodes += 1

    def episode(self, number: int) -> None:
        """The episode of this number."""
        random = Random(f"{self.seed}/{number}")
        programs = (self.stream, self.stream, self.crowd, self.chain, self.replays, self.caches, self.caches)
        program = random.choice([*programs, self.threads, self.plain_stream])
        try:
            if program in programs:
                anyio.run(program, random, backend=random.choice(["asyncio", "trio"]))
            else:
                program(random)
        except BaseException as error:
            error.add_note(f"episode {number} of seed {self.seed}, {program.__name__}")
            raise
        self.events[f"episodes of {program.__name__}"] += 1

    def context(self, random: Random) -> webnn.MLContext:
        """A context with random options, traced now and then by a trace that is thrown away."""
        context = webnn.ML().create_context(
            backend="onnxruntime", lanes=random.choice([1, 1, 2, 4]), threads=random.choice([0, 0, 0, 1, 2])
        )
        if random.random() < 0.1:
            context.trace().__enter__()
            self.events["traced contexts"] += 1
        return context

    # Streams.

    async def stream(self, random: Random) -> None:
        """`async for` over a stream that ends in one of many ways."""
        plan = Plan.drawn(random, self)
        context = self.context(random)
        destroyed = False
        try:
            with anyio.CancelScope() as scope:
                if plan.end == "cancel late":
                    scope.deadline = anyio.current_time() + random.random() * 0.02
                async for y in plan.on(context):
                    plan.take(y)
                    if plan.end == "break" and plan.taken > plan.moment:
                        break
                    if plan.end == "cancel" and plan.taken > plan.moment:
                        scope.cancel()
                    if plan.end == "destroy" and plan.taken > plan.moment and not destroyed:
                        context.destroy()
                        destroyed = True
                    if random.random() < plan.slowness:
                        await anyio.sleep(random.choice([0, 0, 0.001]))
                else:
                    plan.has_ended()
        except (SourceError, ContextLostError) as error:
            plan.has_failed(error)
        await plan.closed_async()
        context.destroy()
        plan.kept_results_are_unchanged()

    def plain_stream(self, random: Random) -> None:
        """A plain `for` over a stream on a thread without a loop."""
        plan = Plan.drawn(random, self, plain=True)
        context = self.context(random)
        try:
            for y in plan.on(context):
                plan.take(y)
                if plan.end in ("break", "cancel", "cancel late") and plan.taken > plan.moment:
                    break
                if plan.end == "destroy" and plan.taken > plan.moment:
                    context.destroy()
            else:
                plan.has_ended()
        except (SourceError, ContextLostError) as error:
            plan.has_failed(error)
        plan.closed()
        context.destroy()
        plan.kept_results_are_unchanged()

    # Runs.

    async def crowd(self, random: Random) -> None:
        """Many tasks that each await runs of their own; some are cancelled, some have deadlines, some give up."""
        kinds = random.sample(KINDS, random.choice([1, 1, 2]))
        ends_early = random.random() < 0.2
        async with self.context(random) as context:
            graphs = [await kind.build(context) for kind in kinds]

            async def client(seed: int) -> None:
                random = Random(seed)
                for _ in range(random.randrange(1, 12)):
                    kind, graph = random.choice(list(zip(kinds, graphs, strict=True)))
                    number = random.randrange(kind.modulus)
                    self.frames += 1
                    way = random.choice(["await", "await", "await", "deadline", "move on", "cancel", "forget"])
                    self.events[f"run: {way}"] += 1
                    try:
                        promise = context.run(
                            graph, kind.feed(number), timeout=random.random() * 0.005 if way == "deadline" else None
                        )
                        if way == "forget":
                            continue
                        if way == "cancel":
                            promise.cancel()
                            continue
                        with anyio.CancelScope() as scope:
                            if way == "move on":
                                scope.deadline = anyio.current_time() + random.random() * 0.002
                            y = (await promise)["y"]
                            assert kind.is_right(number, y), f"{kind.name}: a run of {number} gave {y}"
                        assert way == "move on" or not scope.cancelled_caught
                    except TimeoutError:
                        assert way == "deadline"
                        self.events["run: too late"] += 1
                    except ContextLostError:
                        assert ends_early
                        return

            async with anyio.create_task_group() as group:
                for _ in range(random.randrange(1, 64)):
                    group.start_soon(client, random.randrange(2**32))
                if ends_early:
                    await anyio.sleep(random.random() * 0.02)
                    self.events["run: context destroyed"] += 1
                    context.destroy()
            if not ends_early:
                await self.idle(context)

    # Chains of dispatches.

    async def chain(self, random: Random) -> None:
        """A state that each dispatch reads and writes, with reads in between that are kept for a while."""
        size = random.choice([4, 256, 4096])
        async with self.context(random) as context:
            builder = context.create_graph_builder()
            state, x = builder.input("state", (size,), "float32"), builder.input("x", (size,), "float32")
            graph = await builder.build({"next": builder.add(state, x), "y": builder.mul(state, x)})
            here, there, given, y = (
                context.create_tensor((size,), "float32", readable=True, writable=True) for _ in range(4)
            )
            total, seen = 0, 0
            kept: deque[tuple[webnn.Promise[Array], int]] = deque()
            for _ in range(random.randrange(50, 400)):
                self.frames += 1
                number = random.randrange(100)
                context.write_tensor(given, np.full(size, number, np.float32))
                handle = context.dispatch(graph, {"state": here, "x": given}, {"next": there, "y": y})
                here, there = there, here
                seen, total = total * number, total + number
                if random.random() < 0.3:
                    kept.append((context.read_tensor(here), total))
                if random.random() < 0.3:
                    kept.append((context.read_tensor(y), seen))
                if random.random() < 0.05:
                    kept.append((context.read_tensor(there), total - number))
                if random.random() < 0.02:
                    total = random.randrange(1000)
                    context.write_tensor(here, np.full(size, total, np.float32))
                if total > 2**14:
                    total = 0
                    context.write_tensor(here, np.zeros(size, np.float32))
                match random.randrange(12):
                    case 0 | 1 | 2:
                        await handle
                    case 3:
                        await handle.finished()
                    case 4:
                        await anyio.lowlevel.checkpoint()
                    case 5 if kept:
                        kept.pop()[0].cancel()
                    case 6 if kept:
                        kept.popleft()
                while len(kept) > 20:
                    await self.compare(*kept.popleft())
            for promise, number in kept:
                await self.compare(promise, number)
            del promise, handle
            kept.clear()
            await self.idle(context)

    async def replays(self, random: Random) -> None:
        """A recorded chain that is replayed between writes, dispatches and reads; on the way it becomes one graph."""
        size, steps = random.choice([4, 256]), random.randrange(1, 6)
        async with self.context(random) as context:
            builder = context.create_graph_builder()
            state, x = builder.input("state", (size,), "float32"), builder.input("x", (size,), "float32")
            graph = await builder.build({"next": builder.add(state, x), "y": builder.mul(state, x)})
            states = [context.create_tensor((size,), "float32", readable=True, writable=True) for _ in range(steps + 1)]
            given = context.create_tensor((size,), "float32", writable=True)
            y = context.create_tensor((size,), "float32", readable=True)
            with context.record() as program:
                for here, there in pairwise(states):
                    context.dispatch(graph, {"state": here, "x": given}, {"next": there, "y": y})
            kept: deque[tuple[webnn.Promise[Array], int]] = deque()
            for _ in range(random.randrange(10, 100)):
                self.frames += steps
                number, first = random.randrange(100), random.randrange(1000)
                context.write_tensor(given, np.full(size, number, np.float32))
                context.write_tensor(states[0], np.full(size, first, np.float32))
                handle = context.replay(program)
                total = first + steps * number
                if random.random() < 0.1:
                    context.dispatch(graph, {"state": states[-1], "x": given}, {"next": states[0], "y": y})
                    kept.append((context.read_tensor(y), total * number))
                    kept.append((context.read_tensor(states[0]), total + number))
                elif random.random() < 0.7:
                    kept.append((context.read_tensor(y), (total - number) * number))
                if random.random() < 0.5:
                    at = random.randrange(1, steps + 1)
                    kept.append((context.read_tensor(states[at]), first + at * number))
                if random.random() < 0.3:
                    await handle
                if random.random() < 0.1:
                    await handle.finished()
                while len(kept) > random.choice([0, 5, 20]):
                    await self.compare(*kept.popleft())
            for promise, number in kept:
                await self.compare(promise, number)

    async def compare(self, promise: webnn.Promise[Array], number: int) -> None:
        """A read gives an array full of `number`."""
        array = await promise
        assert (array == number).all(), f"a read gave {array}, not {number}"
        self.events["reads compared"] += 1

    # Memory that changes hands.

    async def caches(self, random: Random) -> None:
        """A cache of which each dispatch replaces a few rows, in one tensor or in several in turn.

        Arrays that were read are lent memory of caches. They are kept and released at random, also on another thread,
        and must not change until then, whatever is written in place.
        """
        (rows, columns), changed = random.choice([(16, 8), (256, 64), (1024, 16)]), random.choice([1, 1, 2, 8])
        scatters, count = random.random() < 0.7, random.choice([1, 1, 2, 3])
        async with self.context(random) as context:
            builder = context.create_graph_builder()
            cache = builder.input("cache", (rows, columns), "float32")
            if scatters:
                at = builder.input("at", (changed, columns), "int64")
                new = builder.input("new", (changed, columns), "float32")
                updated = builder.scatter_elements(cache, at, new, axis=0)
            else:
                new = builder.input("new", (rows, columns), "float32")
                updated = builder.add(cache, new)
            summed = builder.reduce_sum(
                updated if scatters else new
            )  # the sum of what is written in place, if it may be
            graph = await builder.build({"updated": updated, "total": summed})
            tensors = [
                context.create_tensor((rows, columns), "float32", readable=True, writable=True) for _ in range(count)
            ]
            given = {
                name: context.create_tensor(descriptor.shape, descriptor.data_type, writable=True)
                for name, descriptor in graph.inputs.items()
                if name != "cache"
            }
            total = context.create_tensor([], "float32", readable=True)
            expected = np.zeros((rows, columns), np.float32)
            kept: deque[tuple[webnn.Promise[Array], Array]] = deque()
            with _Elsewhere() as elsewhere:
                for step in range(random.randrange(20, 150)):
                    self.frames += 1
                    number = random.randrange(100)
                    feeds: dict[str, Array] = {"new": np.full(graph.inputs["new"].shape, number, np.float32)}
                    if scatters:
                        places = random.sample(range(rows), changed)
                        feeds["at"] = np.repeat(np.array(places)[:, None], columns, axis=1)
                        expected = expected.copy()
                        expected[places] = number
                    else:
                        expected = expected + np.float32(number)
                    for name, array in feeds.items():
                        context.write_tensor(given[name], array)
                    here, there = tensors[step % count], tensors[(step + 1) % count]
                    handle = context.dispatch(graph, {"cache": here, **given}, {"updated": there, "total": total})
                    match random.randrange(16):
                        case 0 | 1:
                            kept.append((context.read_tensor(there), expected))
                        case 2:
                            elsewhere.take(context.read_tensor(there), expected)
                        case 3 if count > 1 and step:
                            await context.read_tensor(here)
                        case 4:
                            promise = context.read_tensor(there)
                            await anyio.lowlevel.checkpoint()
                            promise.cancel()
                        case 5:
                            expected = np.full((rows, columns), number, np.float32)
                            context.write_tensor(there, expected)
                        case 6 | 7 | 8:
                            result = await context.read_tensor(total)
                            assert result == (expected if scatters else feeds["new"]).sum()
                        case 9:
                            await handle.finished()
                        case 10:
                            kept.append((context.read_tensor(there, np.empty_like(expected)), expected))
                    if random.random() < 0.5:
                        await handle
                    while len(kept) > 3:
                        promise, then = kept.popleft()
                        assert np.array_equal(await promise, then), f"step {step}: a cache that was read has changed"
                        self.events["caches compared"] += 1
                for promise, then in kept:
                    assert np.array_equal(await promise, then), "a cache that was read has changed"
            assert np.array_equal(await context.read_tensor(there), expected)
            self.events["caches compared elsewhere"] += elsewhere.compared
            statistics = context.statistics()
            self.events["outputs donated"] += statistics.donated
            self.events["outputs patched"] += statistics.patched

    # Threads.

    def threads(self, random: Random) -> None:
        """Several plain threads on one context, which may be destroyed meanwhile."""
        kinds = random.sample(KINDS, 2)
        context = self.context(random)
        graphs = [kind.build(context) for kind in kinds]
        ends_early = random.random() < 0.3
        errors: list[BaseException] = []

        def work(seed: int) -> None:
            random = Random(seed)
            kept: list[tuple[Kind, int, Array]] = []
            try:
                tensors = {
                    kind.name: (
                        context.create_tensor(kind.shape, "float32", writable=True),
                        context.create_tensor(graph.outputs["y"].shape, "float32", readable=True),
                    )
                    for kind, graph in zip(kinds, graphs, strict=True)
                }
                for _ in range(random.randrange(20, 100)):
                    self.frames += 1
                    kind, graph = random.choice(list(zip(kinds, graphs, strict=True)))
                    number = random.randrange(kind.modulus)
                    match random.randrange(4):
                        case 0:
                            y = context.compute(graph, kind.feed(number))["y"]
                        case 1:
                            y = context.run(graph, kind.feed(number)).result(PATIENCE)["y"]
                        case 2:
                            tx, ty = tensors[kind.name]
                            context.write_tensor(tx, kind.feed(number)["x"])
                            context.dispatch(graph, {"x": tx}, {"y": ty})
                            y = context.read_tensor(ty).result(PATIENCE)
                        case _:
                            promise = context.run(graph, kind.feed(number))
                            if random.random() < 0.5:
                                promise.cancel()
                            del promise
                            continue
                    assert kind.is_right(number, y), f"{kind.name}: {number} gave {y}"
                    kept.append((kind, number, y))
                    del y
                    if random.random() < 0.3:
                        kept.pop(random.randrange(len(kept)))
            except ContextLostError as error:
                if not ends_early:
                    errors.append(error)
            except BaseException as error:
                errors.append(error)
            errors.extend(
                AssertionError(f"{kind.name}: the result of {number} became {y}")
                for kind, number, y in kept
                if not kind.is_right(number, y)
            )

        threads = [threading.Thread(target=work, args=(random.randrange(2**32),)) for _ in range(3)]
        for thread in threads:
            thread.start()
        if ends_early:
            time.sleep(random.random() * 0.01)
            context.destroy()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive(), "a thread waits for ever"
        if errors:
            raise errors[0]
        context.destroy()

    async def idle(self, context: webnn.MLContext) -> None:
        """Nothing stays queued once nobody waits."""
        with anyio.fail_after(PATIENCE):
            while (counts := context.statistics()).queued or counts.running:  # noqa: ASYNC110 (there is no event)
                await anyio.sleep(0.001)


class _Elsewhere:
    """A thread that waits for reads, compares them after a while, and releases them."""

    def __init__(self) -> None:
        self._reads: queue.SimpleQueue[tuple[webnn.Promise[Array], Array] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._compare)
        self._errors: list[BaseException] = []
        self.compared = 0

    def take(self, promise: webnn.Promise[Array], expected: Array) -> None:
        """Compare what `promise` gives."""
        self._reads.put((promise, expected))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._reads.put(None)
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "a thread waits for ever"
        if self._errors and error is None:
            raise self._errors[0]

    def _compare(self) -> None:
        try:
            while (read := self._reads.get()) is not None:
                array = read[0].result(PATIENCE)
                time.sleep(0)
                assert np.array_equal(array, read[1]), "a cache that was lent to another thread has changed"
                self.compared += 1
                del read, array
        except BaseException as error:
            self._errors.append(error)


@dataclass
class Plan:
    """What a stream is given, how it is to end, and what came of it."""

    soak: Soak = field(repr=False)
    kind: Kind
    count: int
    start: int
    end: str
    moment: int
    depth: int
    slowness: float
    functions: bool
    is_async: bool
    pauses: float
    random: Random = field(repr=False)
    taken: int = 0
    opened: bool = False
    is_closed: bool = False
    kept: list[tuple[int, Array]] = field(default_factory=list, repr=False)

    @classmethod
    def drawn(cls, random: Random, soak: Soak, *, plain: bool = False) -> Plan:
        count = random.randrange(20, 400)
        ends = ["whole"] * 4 + ["source", "before", "after", "break", "cancel", "cancel late", "destroy"]
        plan = cls(
            soak,
            random.choice(KINDS),
            count,
            random.randrange(1000),
            random.choice(ends),
            random.randrange(count),
            random.choice([1, 2, 4, 4, 7]),
            random.choice([0, 0, 0.1, 1]),
            random.random() < 0.5,
            not plain and random.random() < 0.4,
            random.choice([0, 0.05, 0.3]),
            Random(random.random()),
        )
        if plan.end in ("before", "after"):
            plan.functions = True
        soak.events[f"stream: {plan.end}"] += 1
        soak.frames += count
        return plan

    def on(self, context: webnn.MLContext) -> webnn.Stream[dict[str, Any]]:
        """The stream."""
        graph = self.kind.build(context)
        source = self.async_items() if self.is_async else self.items()
        if not self.functions:
            return context.stream(graph, source, depth=self.depth)
        return context.stream(graph, source, depth=self.depth, before=self.before, after=self.after)

    def numbers(self) -> Iterator[int]:
        for i in range(self.count):
            if self.end == "source" and i == self.moment:
                raise SourceError(i)
            yield self.start + i

    def items(self) -> Iterator[Any]:
        self.opened = True
        try:
            for number in self.numbers():
                yield number if self.functions else self.kind.feed(number)
        finally:
            self.is_closed = True

    async def async_items(self) -> AsyncIterator[Any]:
        self.opened = True
        try:
            for number in self.numbers():
                if self.random.random() < self.pauses:
                    await anyio.sleep(self.random.choice([0, 0, 0.0005]))
                yield number if self.functions else self.kind.feed(number)
        finally:
            self.is_closed = True

    def before(self, number: int) -> dict[str, Array]:
        if self.end == "before" and number == self.start + self.moment:
            raise SourceError(number)
        return self.kind.feed(number)

    def after(self, outputs: dict[str, Array]) -> dict[str, Array]:
        if self.end == "after" and self.kind.is_right(self.start + self.moment, outputs["y"]):
            raise SourceError(self.moment)
        return outputs

    def take(self, outputs: dict[str, Array]) -> None:
        """The next result is the one of the next item."""
        number = self.start + self.taken
        y = outputs["y"]
        assert self.kind.is_right(number, y), f"{self}: result {self.taken} is not that of its item: {y}"
        self.taken += 1
        self.soak.events["results compared"] += 1
        if len(self.kept) < 8:
            self.kept.append((number, y))

    def has_ended(self) -> None:
        """The stream ended without an error."""
        assert self.end not in ("source", "before", "after"), f"{self} ended without its error"
        assert self.taken == self.count, f"{self} lost a result"

    def has_failed(self, error: Exception) -> None:
        """The stream raised an error, which must be the one that was planned, after the results before it."""
        if isinstance(error, ContextLostError):
            assert self.end == "destroy", f"{self}: {error}"
            return
        first = self.moment % self.kind.modulus if self.end == "after" else self.moment
        assert self.end in ("source", "before", "after"), f"{self}: {error}"
        assert self.taken == first, f"{self}: the error came after {self.taken} results"

    def closed(self) -> None:
        """The source is closed, now or soon."""
        deadline = time.monotonic() + PATIENCE
        while self.opened and not self.is_closed and time.monotonic() < deadline:
            time.sleep(0.001)
        assert self.is_closed or not self.opened, f"{self}: the source was not closed"

    async def closed_async(self) -> None:
        """Likewise, on an event loop."""
        with anyio.move_on_after(PATIENCE, shield=True):
            while self.opened and not self.is_closed:  # noqa: ASYNC110 (the generator may be closed on another thread)
                await anyio.sleep(0.001)
        assert self.is_closed or not self.opened, f"{self}: the source was not closed"

    def kept_results_are_unchanged(self) -> None:
        """Arrays that were handed out never change."""
        for number, y in self.kept:
            assert self.kind.is_right(number, y), f"{self}: the result of {number} became {y}"
