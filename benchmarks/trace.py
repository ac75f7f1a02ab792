"""How much does a trace cost while it is open, and while none is?

A round trip is a write, a dispatch and an awaited read of a graph that costs nothing: three tasks of a trace. An
awaited run is one. The peer is the same context without a trace; the two take turns. Without a trace, a few attributes
are compared with None: the last row has the time of the comparisons of one round trip.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import webnn
from benchmarks.measure import Options, Report, in_turn, main, seconds_per
from benchmarks.models import image_model, tiny
from webnn.scheduler.renaming import Renaming

CALLS, FRAMES, ROUNDS = 3000, 40, 9
TESTS: Final = 9
"""Comparisons in a round trip: in the write 3, the dispatch 1, the run 3, the read 2."""


async def measure(report: Report, options: Options) -> None:
    """Add the figures of a tiny graph and of a stream of an image model to `report`."""
    calls, rounds = options.count(CALLS), options.rounds(ROUNDS)
    async with webnn.ML().create_context(accelerated=False) as context:
        model = tiny()
        graph = await model.build(context.create_graph_builder())
        (name, frame), (output, shape) = model.input, model.output
        x = context.create_tensor(frame.shape, "float32", writable=True)
        y = context.create_tensor(shape, "float32", readable=True)

        async def round_trips() -> None:
            for _ in range(calls):
                context.write_tensor(x, frame)
                context.dispatch(graph, {name: x}, {output: y})
                await context.read_tensor(y)

        async def runs() -> None:
            for _ in range(calls):
                await context.run(graph, {name: frame})

        for what, work, tasks in (("round trip", round_trips, 3), ("awaited run", runs, 1)):
            times = await in_turn(
                rounds,
                {
                    "on": lambda work=work: _timed(context, work, calls, traced=True),  # type: ignore[misc]
                    "off": lambda work=work: _timed(context, work, calls, traced=False),  # type: ignore[misc]
                },
            )
            report.times(f"{what} with a trace", times["on"], times["off"])
            more = [(on - off) * 1e6 / tasks for on, off in zip(times["on"], times["off"], strict=True)]
            report.figure(f"{what}, more with a trace per task", more, "us", bar=2.0)

        image = image_model(options.models)
        network = await image.build(context.create_graph_builder())
        frames, (feed, picture) = options.count(FRAMES, 4), image.input

        async def stream() -> None:
            async for _ in context.stream(network, ({feed: picture} for _ in range(frames))):
                pass

        times = await in_turn(
            rounds,
            {
                "on": lambda: _timed(context, stream, frames, traced=True),
                "off": lambda: _timed(context, stream, frames, traced=False),
            },
        )
        report.rates(f"stream of {image.name} with a trace", times["on"], times["off"], bar=0.97)
        renaming = Renaming(0)
        tests = [_comparisons(options.count(200_000), renaming) * TESTS * 1e6 for _ in range(rounds)]
        report.figure("the comparisons of a round trip without a trace", tests, "us", bar=0.2)


async def _timed(context: webnn.MLContext, work: Callable[[], Awaitable[object]], count: int, *, traced: bool) -> float:
    """Seconds per item, without the time to make events of the records."""
    gc.collect()
    trace: Any = context.trace() if traced else None
    if trace is not None:
        trace.__enter__()
    started = time.perf_counter()
    await work()
    seconds = (time.perf_counter() - started) / count
    if trace is not None:
        trace.__exit__(None, None, None)
    return seconds


def _comparisons(count: int, renaming: Renaming) -> float:
    """Seconds of one `renaming.trace is not None`, without those of the loop."""

    def loop() -> None:
        for _ in range(100):
            pass

    def compare() -> None:
        for _ in range(100):
            if renaming.trace is not None:
                raise AssertionError

    many = max(1, count // 100)
    return max(0.0, seconds_per(many, compare) - seconds_per(many, loop)) / 100


if __name__ == "__main__":
    main(measure, peer="no trace")
