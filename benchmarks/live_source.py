"""How old is a camera's frame when its result arrives?

A camera does not wait. Ours: `context.stream(graph, camera, policy="latest")`, and the age of each frame at its result.
The peer is a program that asks for the next frame when it has the last result: the wait for that frame, and a run of
raw onnxruntime. At 30 frames per second, a run ends before the next frame comes; at 120 it does not, and frames have to
be skipped. Frames that wait in a queue grow older: the rows with `policy="all"` and four frames under way show it.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np

import webnn
from benchmarks.measure import Options, Report, in_turn, main, session
from benchmarks.models import Model, dense

RATES = (30, 120)
"""Frames per second."""
SECONDS = 3.0
"""Of each round."""
ROUNDS = 5

Array = np.ndarray[Any, Any]


class Camera:
    """Frames at fixed times. One that comes too late for the one after it has missed it, as with a real camera."""

    def __init__(self, count: int, rate: int) -> None:
        self._count = count
        self._interval = 1 / rate
        self._began = time.perf_counter()

    def frames(self) -> Iterator[float]:
        """Waits for each frame; gives the time at which it was taken."""
        for number in self.numbers():
            taken = self._began + number * self._interval
            time.sleep(max(0.0, taken - time.perf_counter()))
            yield taken

    def numbers(self) -> Iterator[int]:
        """The number of the next frame that is to come, again and again."""
        for _ in itertools.count():
            number = int((time.perf_counter() - self._began) / self._interval) + 1
            if number > self._count:
                return
            yield number


async def measure(report: Report, options: Options) -> None:
    """Add the rows to `report`."""
    model = dense(1024, rows=3072)
    async with webnn.ML().create_context(accelerated=False) as context:
        graph = await model.build(context.create_graph_builder())
        for rate in RATES:
            await at(rate, report, options, model, context=context, graph=graph)


async def at(
    rate: int, report: Report, options: Options, model: Model, *, context: webnn.MLContext, graph: webnn.MLGraph
) -> None:
    """Add the rows of a camera that takes `rate` frames per second."""
    name, picture = model.input
    feeds, raw, count = {name: picture}, session(model.onnx()), options.count(round(SECONDS * rate), 4)
    left_out = 0

    async def streamed(policy: Literal["all", "latest"], depth: int | None) -> float:
        nonlocal left_out
        frames = Camera(count, rate).frames()
        stream = context.stream(graph, frames, before=lambda _: feeds, key=float, policy=policy, depth=depth)
        ages = [time.perf_counter() - taken async for taken, _ in stream]
        if policy == "latest":
            left_out = stream.statistics().left_out
        return statistics.median(ages)

    def by_hand() -> float:
        spent, asked = [], time.perf_counter()
        for _ in Camera(count, rate).frames():
            raw.run(None, feeds)
            spent.append(time.perf_counter() - asked)
            asked = time.perf_counter()
        return statistics.median(spent)

    times = await in_turn(
        options.rounds(ROUNDS),
        {"by hand": by_hand, "latest": lambda: streamed("latest", None), "all": lambda: streamed("all", 4)},
    )
    report.times(f"age of the latest frame, {rate}/s", times["latest"], times["by hand"], "ms", bar=1.3)
    report.times(f"age in a queue of four, {rate}/s", times["all"], times["by hand"], "ms")
    report.notes.append(f"at {rate} frames/s, {left_out} of {count} were left out in the last round")


if __name__ == "__main__":
    main(measure, peer="next frame + run")
