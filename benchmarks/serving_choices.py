"""Which batches, threads and workers should a server have?

Each row is an option beside the server without it, both asked in turn over 64 connections or one, with tensors as
bytes: `webnn serve` with `--max-batch 1` or `--threads 1`, and the application in examples/server.py with two workers
of one thread each beside one worker.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.http_load import listening, measured
from benchmarks.measure import Options, Report, figures_in_turn, main
from benchmarks.models import image_model, mlp
from benchmarks.serving import ours, request, server

MANY, SECONDS, ROUNDS = 64, 4.0, 5


def example(path: Path, *words: str) -> AbstractContextManager[str]:
    """The application in examples/server.py as a process; gives its address."""
    return listening("examples.server", str(path), *words)


async def measure(report: Report, options: Options) -> None:
    """Add a row for each option, number of connections and model."""
    with TemporaryDirectory() as folder:
        for model in options.some([mlp("MLP", [512, 1024, 1024, 10]), image_model(options.models)]):
            path = Path(folder) / f"{model.name}.onnx"
            path.write_bytes(model.onnx())
            body, headers = request(model, binary=True)
            served = partial(measured, path="/v2/models/model/infer", body=body, headers=headers)
            mine = partial(measured, path="/run", body=model.input[1].tobytes(), headers={})
            for connections in options.some([MANY, 1]):
                for words in options.some([("--max-batch", "1"), ("--threads", "1")]):
                    pair = server(ours(path, *words)), server(ours(path))
                    what = f"{model.name}, {' '.join(words)}"
                    await beside(report, options, what, servers=pair, ask=served, connections=connections)
            if (os.cpu_count() or 1) > 1 and options.scale >= 0.1:
                workers = example(path, "--workers", "2", "--threads", "1"), example(path)
                what = f"{model.name}, --workers 2 --threads 1"
                await beside(report, options, what, servers=workers, ask=mine, connections=MANY)


async def beside(
    report: Report,
    options: Options,
    what: str,
    *,
    servers: Sequence[AbstractContextManager[str]],
    ask: Callable[..., dict[str, float]],
    connections: int,
) -> None:
    """Add the rate and the latency of a server with an option, beside that of one without it."""
    what = f"{what}, {connections} connection{'s' * (connections > 1)}"
    if not options.has(what):
        return
    seconds = max(0.2, SECONDS * min(1.0, options.scale))
    with ExitStack() as stack:
        addresses = [stack.enter_context(each) for each in servers]
        figures = await figures_in_turn(
            options.rounds(ROUNDS),
            {
                kind: partial(ask, address, connections=connections, seconds=seconds)
                for kind, address in zip(("with", "without"), addresses, strict=True)
            },
        )
    rates = {kind: [1 / each for each in figures[kind]["rate"]] for kind in figures}
    report.rates(f"{what}: requests", rates["with"], rates["without"])
    report.times(f"{what}: 99th percentile", figures["with"]["p99"], figures["without"]["p99"], "ms")


if __name__ == "__main__":
    main(measure, peer="the server without it")
