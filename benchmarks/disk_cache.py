"""For which graphs is it worth keeping the compiled graph on disk?

The time until a graph can run: found in the disk cache, with the verification of the entry ('webnn'), and compiled (the
peer). Below 1 the cache pays off. The arrays backend has no stored form, since it compiles nothing. `docs/caching.md`
draws the conclusions.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from rich.filesize import decimal

import webnn
from benchmarks.measure import Options, Report, in_turn, main, seconds_per
from benchmarks.models import image_model, mlp, tiny
from webnn.backends.base import Cancellation, CompileOptions
from webnn.backends.disk_cache import DiskCache
from webnn.backends.onnxruntime.backend import OnnxRuntimeBackend
from webnn.graph.ir import Graph

ROUNDS, COUNT = 7, 5


def graphs(models: Path | None) -> Iterator[tuple[str, Graph]]:
    """Graphs from small to large, with the size of their weights in their names."""
    with webnn.ML().create_context(backend="null") as context:
        sized = [tiny(), mlp("MLP", [256, 256, 10]), image_model(models), mlp("MLP", [2048, 2048, 2048, 2048])]
        for model in sized:
            graph = model.build(context.create_graph_builder())._graph
            yield f"{model.name}, {decimal(graph.constant_bytes)}", graph


async def measure(report: Report, options: Options) -> None:
    """Add a row for each graph to `report`."""
    backend, compile_options = OnnxRuntimeBackend(), CompileOptions()
    count = options.count(COUNT)
    with tempfile.TemporaryDirectory() as folder:
        cache = DiskCache(Path(folder))
        for name, graph in options.some(list(graphs(options.models)), 2):
            compiled = partial(backend.compile, graph, compile_options, Cancellation())
            found = partial(cache.compile, backend, graph, compile_options, Cancellation())
            found()
            kinds = {"found": partial(seconds_per, count, found), "compiled": partial(seconds_per, count, compiled)}
            times = await in_turn(options.rounds(ROUNDS), kinds)
            report.times(name, times["found"], times["compiled"], "ms")


if __name__ == "__main__":
    main(measure, peer="compiled")
