"""Many frames through random programs: streams, crowds, chains of dispatches and threads, with all that may go wrong.

Each episode makes a context with options of its own, does some hundred frames in one way, and compares every result
with NumPy's. Everything is drawn from one seed, so an episode can be repeated by its number; what the threads make of
it cannot.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random

import anyio
import anyio.lowlevel
import numpy as np

import webnn
from tests.soak.elsewhere import PATIENCE, Elsewhere
from tests.soak.kinds import KINDS, Array, Kind
from tests.soak.streams import Plan, SourceError
from webnn.errors import ContextLostError

__all__ = ["Soak"]


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
        programs = (self.stream, self.stream, self.crowd, self.chain, self.replays, self.caches, self.memory)
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
            backend="onnxruntime",
            lanes=random.choice([1, 1, 2, 4]),
            threads=random.choice([0, 0, 0, 1, 2]),
            max_batch=random.choice([1, 1, 2, 8, 32]),
            max_delay=random.choice([0.0, 0.002]),
        )
        if random.random() < 0.1:
            context.trace().__enter__()
            self.events["traced contexts"] += 1
        return context

    # Streams.

    async def stream(self, random: Random) -> None:
        """`async for` over a stream that ends in one of many ways."""
        plan = self.plan(random)
        with self.context(random) as context:
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
        plan.kept_results_are_unchanged()

    def plain_stream(self, random: Random) -> None:
        """A plain `for` over a stream on a thread without a loop."""
        plan = self.plan(random, plain=True)
        with self.context(random) as context:
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
        plan.kept_results_are_unchanged()

    def plan(self, random: Random, *, plain: bool = False) -> Plan:
        """A plan of a stream."""
        plan = Plan.drawn(random, self.events, plain=plain)
        self.frames += plan.count
        return plan

    async def memory(self, random: Random) -> None:
        """A stream that feeds its output back, from an item that sets the state now and then."""
        size, count = random.choice([4, 2048]), random.randrange(20, 300)
        self.frames += count
        numbers = [random.randrange(20) for _ in range(count)]
        sets = {i for i in range(count) if random.random() < 0.05}
        fails = random.randrange(count) if random.random() < 0.3 else -1

        def before(i: int) -> dict[str, Array]:
            if i == fails:
                raise SourceError(i)
            feeds = {"x": np.full(size, numbers[i], np.float32)}
            if i in sets:
                feeds["state"] = np.full(size, i, np.float32)
            return feeds

        async with self.context(random) as context:
            builder = context.create_graph_builder()
            state, x = builder.input("state", (size,), "float32"), builder.input("x", (size,), "float32")
            graph = builder.build({"next": builder.add(state, x), "before": builder.identity(state)})
            stream = context.stream(
                graph,
                range(count),
                before=before,
                key=lambda i: i,
                on_error="yield",
                state={"next": "state"},
                depth=random.choice([None, 1, 3]),
            )
            total = place = 0
            async for i, outputs in stream:
                assert i == place, f"{i} came after {place - 1}"
                place += 1
                if isinstance(outputs, webnn.ItemError):
                    assert (i, type(outputs.error)) == (fails, SourceError), f"{outputs}"
                    continue
                total = i if i in sets else total
                assert (outputs["before"] == total).all(), f"item {i}: the state was {outputs['before']}, not {total}"
                total += numbers[i]
                assert (outputs["next"] == total).all(), f"item {i} gave {outputs['next']}, not {total}"
                self.events["states compared"] += 1
                if random.random() < 0.02:
                    await anyio.sleep(0.0005)
            assert place == count

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
            self.events["requests batched"] += context.statistics().batching.requests

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
            with Elsewhere() as elsewhere:
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
            self.events["outputs borrowed"] += statistics.borrowed

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
