"""How much does batching gain for different models, and how much does it cost if it gains nothing?

Ours: 16 clients that each await a run of their own, with `max_batch=32`. The peer is the same program without batching.
A lone client is measured, too: it must not wait for others.
"""

from __future__ import annotations

import contextlib
from functools import partial
from typing import Any

import numpy as np

import webnn
from benchmarks.measure import Options, Report, crowd, figures_in_turn, main
from benchmarks.models import image_model, mlp, tiny

CLIENTS, ROUNDS = 16, 5


async def run(context: webnn.MLContext, graph: webnn.MLGraph, name: str, x: np.ndarray[Any, Any]) -> Any:
    """One request."""
    return await context.run(graph, {name: x})


async def measure(report: Report, options: Options) -> None:
    """Add the figures of several models to `report`."""
    models = [
        (tiny(), 400),
        (mlp("MLP of 3 layers, 1.6 million weights", [512, 1024, 1024, 10]), 100),
        (mlp("MLP of 3 layers, 25 million weights", [1024, 4096, 4096, 1000]), 10),
        (image_model(options.models), 10),
    ]
    for model, requests in models:
        name, frame = model.input
        with contextlib.ExitStack() as stack:
            calls: dict[str, Any] = {}
            for kind, max_batch in (("batched", 32), ("unbatched", 1)):
                context = stack.enter_context(webnn.ML().create_context(accelerated=False, max_batch=max_batch))
                graph = await model.build(context.create_graph_builder())

                calls[kind] = partial(run, context, graph, name)
            each = options.count(requests, 2)
            for clients in (CLIENTS, 1):
                inputs = [np.array(frame) for _ in range(clients)]
                kinds = {kind: partial(crowd, call, inputs, each) for kind, call in calls.items()}
                figures = await figures_in_turn(options.rounds(ROUNDS), kinds)
                report.rates(
                    f"{model.name}, {'one client' if clients == 1 else f'{clients} clients'}",
                    figures["batched"]["per request"],
                    figures["unbatched"]["per request"],
                    bar=0.9,
                )


if __name__ == "__main__":
    main(measure, peer="unbatched")
