"""How many requests per second are answered if many clients each await a run of their own?

Ours: `context.run` with `max_batch=32`. Raw: `session.run` in a thread pool of two threads, as asyncio servers do, and
in a plain loop on the event loop's thread. The latencies are medians, as a client sees them.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
from functools import partial
from typing import Any

import numpy as np

import webnn
from benchmarks.measure import Options, Report, crowd, figures_in_turn, main, session
from benchmarks.models import mlp

WIDTHS, EACH, ROUNDS = [512, 1024, 1024, 10], 40, 7
CROWDS = (64, 256, 8)


async def measure(report: Report, options: Options) -> None:
    """Add the figures of crowds of several sizes to `report`."""
    model = mlp("MLP", WIDTHS)
    (name, frame), (output, _) = model.input, model.output
    raw = session(model.onnx())
    loop = asyncio.get_running_loop()
    async with webnn.ML().create_context(accelerated=False, max_batch=32) as context:
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            graph = await model.build(context.create_graph_builder())

            async def ours(x: np.ndarray[Any, Any]) -> Any:
                return (await context.run(graph, {name: x}))[output]

            async def threads(x: np.ndarray[Any, Any]) -> Any:
                return (await loop.run_in_executor(pool, raw.run, None, {name: x}))[0]

            async def plain(x: np.ndarray[Any, Any]) -> Any:
                return raw.run(None, {name: x})[0]

            for clients in options.some(CROWDS):
                inputs = list(np.random.default_rng(1).random((clients, *frame.shape), np.float32))
                each = options.count(EACH * 64 // clients, 2)
                calls = {"ours": ours, "threads": threads, "plain": plain}
                kinds = {kind: partial(crowd, call, inputs, each) for kind, call in calls.items()}
                figures = await figures_in_turn(options.rounds(ROUNDS), kinds)
                for peer, theirs, bar in (("thread pool", "threads", 3.0), ("plain loop", "plain", 1.6)):
                    report.rates(
                        f"{clients} clients",
                        figures["ours"]["per request"],
                        figures[theirs]["per request"],
                        peer=peer,
                        bar=bar if clients == CROWDS[0] else None,
                    )
                report.times(
                    f"{clients} clients, latency",
                    figures["ours"]["latency"],
                    figures["threads"]["latency"],
                    peer="thread pool",
                    bar=1.0 if clients == CROWDS[0] else None,
                )
        batching = context.statistics().batching
        report.notes.append(f"{batching.batches} batches of {batching.mean_size:.1f} requests on average")


if __name__ == "__main__":
    main(measure, peer="onnxruntime")
