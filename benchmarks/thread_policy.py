"""Does a context choose the number of threads for each run as well as a person who knows the load?

Raw: the better of two contexts of this package in each round, one with `threads=1` and a lane for each core, and one
with all cores for each run and one lane. The loads: runs that are awaited one by one, dispatches that are queued all at
once, a chain of dependent dispatches, a program that computes during each run, and threads that compute side by side.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import webnn
from benchmarks.measure import Options, Report, in_turn, main
from benchmarks.models import image_model
from webnn.backends.processors import usable_cores

FRAMES, ROUNDS = 40, 7


class Loads:
    """The loads, on one context."""

    def __init__(self, options: Options, frames: int, **hand: Any) -> None:
        self.model = image_model(options.models)
        self.frames = frames
        self.context = webnn.ML().create_context(accelerated=False, **hand)
        self.picture = np.random.default_rng(0).random((448, 448, 3), np.float32)

    async def prepare(self) -> None:
        """Compile the graph and make the tensors."""
        context = self.context
        self.graph = await self.model.build(context.create_graph_builder())
        (self.name, self.frame), (self.output, shape) = self.model.input, self.model.output
        self.x = context.create_tensor(self.frame.shape, "float32", writable=True)
        self.y = context.create_tensor(shape, "float32", readable=True)
        builder = context.create_graph_builder()
        x = builder.input("x", [512, 512], "float32")
        square = builder.matmul(x, builder.constant(np.eye(512, dtype=np.float32)))
        self.link = await builder.build({"y": builder.matmul(square, square)})
        self.links = [context.create_tensor([512, 512], "float32", readable=True) for _ in range(2)]

    async def alone(self) -> None:
        """Each run is awaited before the next one."""
        for _ in range(self.frames):
            self.context.write_tensor(self.x, self.frame)
            self.context.dispatch(self.graph, {self.name: self.x}, {self.output: self.y})
            await self.context.read_tensor(self.y)

    async def queued(self) -> None:
        """All runs are queued, and then awaited."""
        for result in [self.context.run(self.graph, {self.name: self.frame}) for _ in range(self.frames)]:
            await result

    async def chain(self) -> None:
        """Each dispatch reads the result of the one before; only the last one is awaited."""
        for i in range(self.frames):
            self.context.dispatch(self.link, {"x": self.links[i % 2]}, {"y": self.links[1 - i % 2]})
        await self.context.read_tensor(self.links[self.frames % 2])

    async def busy(self) -> None:
        """The program computes for about as long as a run takes, and meanwhile the next one goes on."""
        result = self.context.run(self.graph, {self.name: self.frame})
        for _ in range(self.frames):
            following = self.context.run(self.graph, {self.name: self.frame})
            self.picture.reshape(224, 2, 224, 2, 3).mean((1, 3))
            await result
            result = following
        await result

    def threads(self) -> None:
        """Two threads compute side by side."""

        def compute() -> None:
            for _ in range(self.frames // 2):
                self.context.compute(self.graph, {self.name: self.frame})

        both = [threading.Thread(target=compute) for _ in range(2)]
        for thread in both:
            thread.start()
        for thread in both:
            thread.join()


async def timed(load: Callable[[], Any]) -> float:
    """The seconds that `load` takes."""
    started = time.perf_counter()
    result = load()
    if result is not None:
        await result
    return time.perf_counter() - started


async def measure(report: Report, options: Options) -> None:
    """Add a row for each load to `report`."""
    frames, rounds = options.count(FRAMES, 4), options.rounds(ROUNDS)
    hands: dict[str, dict[str, Any]] = {
        "ours": {},
        "one thread": {"threads": 1, "lanes": usable_cores()},
        "all cores": {"threads": usable_cores(), "lanes": 1},
    }
    loads = {who: Loads(options, frames, **hand) for who, hand in hands.items()}
    for who in loads.values():
        await who.prepare()
    for load in ("alone", "queued", "chain", "busy", "threads"):
        times = await in_turn(rounds, {who: partial(timed, getattr(it, load)) for who, it in loads.items()})
        better = [min(pair) for pair in zip(times["one thread"], times["all cores"], strict=True)]
        report.times(f"{load}, {frames} runs", times["ours"], better, "ms")
        for hand in ("one thread", "all cores"):
            ratio = np.median([a / b for a, b in zip(times[hand], better, strict=True)])
            report.notes.append(f"{load}: {hand} by hand takes {ratio:.2f} times the better one")
        report.notes.append(f"{load}: {loads['ours'].context.statistics().width.reason}")
    for it in loads.values():
        it.context.destroy()


if __name__ == "__main__":
    main(measure, peer="the better by hand")
