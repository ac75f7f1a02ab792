"""How much does it cost to run two graphs in turn, and how much does an idle process cost after the last run?

By default, each session of onnxruntime has threads of its own that spin for a while after every run, and get in the way
of the other session's threads. Raw: one session, and two, on arrays that are bound beforehand.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np

import webnn
from benchmarks.measure import IDLE, Options, Report, bound, busy_after, in_turn, main, seconds_per, session
from benchmarks.models import image_model

FRAMES, ROUNDS = 30, 7


async def measure(report: Report, options: Options) -> None:
    """Add the figures of two models of the same kind to `report`."""
    models = [image_model(options.models, variant) for variant in range(2)]
    frames, rounds = 2 * options.count(FRAMES // 2, 2), options.rounds(ROUNDS)
    (name, frame), (output, shape) = models[0].input, models[0].output
    async with webnn.ML().create_context(accelerated=False) as context:
        graphs = [await model.build(context.create_graph_builder()) for model in models]
        x = context.create_tensor(frame.shape, "float32", writable=True)
        y = context.create_tensor(shape, "float32", readable=True)

        async def ours(graphs: Sequence[webnn.MLGraph]) -> float:
            started = time.perf_counter()
            for i in range(frames):
                context.write_tensor(x, frame)
                await context.dispatch(graphs[i % len(graphs)], {name: x}, {output: y})
                await context.read_tensor(y)
            return (time.perf_counter() - started) / frames

        runs = [
            bound(session(model.onnx()), {name: frame.copy()}, {output: np.zeros(shape, np.float32)})
            for model in models
        ]

        def raw(runs: Sequence[Callable[[], None]]) -> float:
            turns = itertools.cycle(runs)

            def next_run() -> None:
                next(turns)()

            return seconds_per(frames, next_run)

        times = await in_turn(
            rounds,
            {
                "ours, one": lambda: ours(graphs[:1]),
                "ours, in turn": lambda: ours(graphs),
                "raw, one": lambda: raw(runs[:1]),
                "raw, in turn": lambda: raw(runs),
            },
        )
        report.times("one graph, per frame", times["ours, one"], times["raw, one"], "ms")
        report.times("two graphs in turn, per frame", times["ours, in turn"], times["raw, in turn"], "ms")
        for who in ("ours", "raw"):
            ratios = [a / b for a, b in zip(times[f"{who}, in turn"], times[f"{who}, one"], strict=True)]
            spread = f"[{min(ratios):.2f} .. {max(ratios):.2f}]"
            report.notes.append(f"two in turn / one, {who}: {statistics.median(ratios):.2f} {spread}")

        def once() -> object:
            return context.compute(graphs[0], {name: frame})

        after = await in_turn(rounds, {"ours": lambda: busy_after(once), "raw": lambda: busy_after(runs[0])})
        report.times(f"processor time in the {IDLE * 1e3:.0f} ms after a run", after["ours"], after["raw"], "ms")
    report.notes.append(f"both are {models[0].name}, with weights of their own")


if __name__ == "__main__":
    main(measure, peer="io-binding")
