"""`webnn bench`."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import click
import numpy as np
import onnxruntime

from webnn.cli import options
from webnn.cli.data import Array, inputs_from
from webnn.cli.models import Blueprint, save_model
from webnn.cli.output import console, heading, print_json, progress, table, text
from webnn.cli.timing import calls_within, in_turn, percentiles, ratios
from webnn.runtime.context import MLContext
from webnn.runtime.graph import MLGraph
from webnn.runtime.ml import ML

__all__ = ["command"]

PEER: Final = "onnxruntime"
_TYPES: Final[Mapping[str, str]] = {"float": "float32", "double": "float64"}
"""Where ONNX Runtime's name of a type is not NumPy's."""


@click.command("bench")
@options.model
@click.option("--seconds", default=5.0, type=click.FloatRange(0.05), help="About how long to measure.  [5]")
@click.option("--rounds", default=7, type=click.IntRange(1), help="How often the two take turns.  [7]")
@click.option("--threads", default=0, type=click.IntRange(0), help="For one run, on both sides; 0 lets each choose.")
@click.option("--depth", default=4, type=click.IntRange(1), help="Runs under way at once, for the throughput.  [4]")
@click.option("--input", "inputs", multiple=True, metavar="NAME=VALUE", help="As for `run`; the others are random.")
@click.option("--seed", default=0, help="Of what is random.")
@options.backend
@options.as_json
def command(
    *,
    model: Path,
    shapes: Sequence[str],
    constants: Sequence[str],
    seconds: float,
    rounds: int,
    threads: int,
    depth: int,
    inputs: Sequence[str],
    seed: int,
    backend: str | None,
    as_json: bool,
) -> int:
    """Time MODEL beside plain onnxruntime, which is given the same file and the same inputs.

    Latency is that of one call that waits for its outputs: context.compute against session.run. Throughput is that of
    context.stream against session.run in a loop. The two take turns; ratios are medians over the rounds, with the
    smallest and the largest. A model that is no ONNX file is exported to one for the peer.
    """
    source = options.source_of(model, shapes, constants)
    with ML().create_context(backend=backend, threads=threads) as context:
        started = time.perf_counter()
        graph = options.read(model, shapes, constants, context)
        feeds = inputs_from(inputs, graph.inputs, fill=True, seed=seed)
        context.compute(graph, feeds)
        first = time.perf_counter() - started
        with _peer_file(model, shapes, constants) as file:
            started = time.perf_counter()
            session = _session(file, threads)
            theirs = _feeds_of(session, {**source.constants, **feeds})
            session.run(None, theirs)
            peer_first = time.perf_counter() - started
            peer = model.name if file == model else f"{model.name}, exported to ONNX"
        data = {
            "model": str(model),
            "backend": context.backend,
            "peer": f"onnxruntime {onnxruntime.__version__} on {peer}",
            "threads": threads,
            "cores": os.cpu_count(),
            "depth": depth,
            "first_result_seconds": {"webnn": first, PEER: peer_first},
            **_measure(
                context=context,
                graph=graph,
                feeds=feeds,
                peer=lambda: session.run(None, theirs),
                seconds=seconds,
                rounds=rounds,
                depth=depth,
            ),
        }
    if as_json:
        print_json(data)
    else:
        _print(data)
    return 0


def _measure(
    *,
    context: MLContext,
    graph: MLGraph,
    feeds: Mapping[str, Array],
    peer: Callable[[], object],
    seconds: float,
    rounds: int,
    depth: int,
) -> dict[str, Any]:
    def ours() -> object:
        return context.compute(graph, feeds)

    share = seconds / rounds / 3
    calls, peer_calls = calls_within(ours, share), calls_within(peer, share)

    def stream() -> list[float]:
        started = time.perf_counter()
        for _ in context.stream(graph, (feeds for _ in range(calls)), depth=depth):
            pass
        return [(time.perf_counter() - started) / calls]

    kinds = {
        "webnn": lambda: _each(ours, calls),
        PEER: lambda: _each(peer, peer_calls),
        "stream": stream,
    }
    with progress("measuring", rounds * len(kinds)) as advance:
        times = in_turn(rounds, kinds, advance)
    return {
        "rounds": rounds,
        "calls": {"webnn": calls * rounds, PEER: peer_calls * rounds},
        "latency_ms": {name: percentiles(times[name]) for name in ("webnn", PEER)},
        "throughput_per_second": {"webnn": _rate(times["stream"]), PEER: _rate(times[PEER])},
        "ratios": {
            "latency": ratios(times["webnn"], times[PEER], rate=False),
            "throughput": ratios(times["stream"], times[PEER], rate=True),
        },
    }


def _each(function: Callable[[], object], calls: int) -> list[float]:
    """The seconds of each of so many calls."""
    clock = time.perf_counter
    times = []
    for _ in range(calls):
        started = clock()
        function()
        times.append(clock() - started)
    return times


def _rate(times: Sequence[Sequence[float]]) -> float:
    """Calls per second: the median of the rounds."""
    return float(np.median([len(one) / sum(one) for one in times]))


@contextmanager
def _peer_file(model: Path, shapes: Sequence[str], constants: Sequence[str]) -> Iterator[Path]:
    """The ONNX file that the peer is given: the model itself, or an export that lasts as long as the block."""
    if model.suffix.lower() == ".onnx":
        yield model
        return
    with TemporaryDirectory(prefix="webnn-bench-") as folder:
        file = Path(folder) / "model.onnx"
        save_model(options.read(model, shapes, constants, Blueprint()), file)
        yield file


def _session(file: Path, threads: int) -> Any:
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.log_severity_level = 3
    return onnxruntime.InferenceSession(file, settings, providers=["CPUExecutionProvider"])


def _feeds_of(session: Any, values: Mapping[str, Any]) -> dict[str, Array]:
    """What the peer is given: the same values, in the types that the file asks for."""
    feeds = {}
    for wanted in session.get_inputs():
        if wanted.name in values:
            kind = wanted.type.removeprefix("tensor(").removesuffix(")")
            feeds[wanted.name] = np.asarray(values[wanted.name]).astype(_TYPES.get(kind, kind))
    return feeds


def _print(data: dict[str, Any]) -> None:
    heading(f"{data['model']} on {data['backend']}, beside {data['peer']}")
    rows: list[list[str]] = []
    latency, rate, first = data["latency_ms"], data["throughput_per_second"], data["first_result_seconds"]
    for key, what in (("median", "latency, median"), ("p95", "95 %"), ("p99", "99 %")):
        spread = _spread(data["ratios"]["latency"]) if key == "median" else ["", ""]
        rows.append([what, *(f"{latency[name][key]:.4g} ms" for name in ("webnn", PEER)), *spread])
    spread = _spread(data["ratios"]["throughput"])
    rows.append(["throughput", *(f"{rate[name]:.4g} /s" for name in ("webnn", PEER)), *spread])
    ratio = f"{first['webnn'] / first[PEER]:.2f}"
    rows.append(["file to first result", *(f"{first[name] * 1e3:.4g} ms" for name in ("webnn", PEER)), ratio, "once"])
    columns = ["", "webnn", PEER, "ratio", "smallest .. largest"]
    table(columns, rows, right=columns[1:])
    note = f"{data['rounds']} rounds, {data['calls']['webnn']} calls; {data['depth']} runs under way for the throughput"
    console().print(f"[dim]{text(note)}[/dim]")


def _spread(ratio: Mapping[str, float]) -> list[str]:
    return [f"{ratio['median']:.2f}", f"{ratio['smallest']:.2f} .. {ratio['largest']:.2f}"]
