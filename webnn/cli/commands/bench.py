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
from webnn.cli.models import Source, blueprint, outline_of, save_model
from webnn.cli.output import console, counted, heading, print_json, progress, table, text
from webnn.cli.timing import calls_within, in_turn, percentiles, ratios
from webnn.errors import OperationError
from webnn.graph.ir import Graph
from webnn.runtime.context import MLContext
from webnn.runtime.graph import MLGraph
from webnn.runtime.ml import ML

__all__ = ["command"]

PEER: Final = "onnxruntime"
SPINNING: Final = 0.05
"""Seconds for which the peer's threads look for work after its last run, on the cores that the next one needs."""
_TYPES: Final[Mapping[str, str]] = {"float": "float32", "double": "float64"}
"""Where ONNX Runtime's name of a type is not NumPy's."""


@click.command("bench")
@options.model
@click.option(
    "--seconds", default=5.0, type=click.FloatRange(0.05), show_default=True, help="About how long to measure."
)
@click.option("--rounds", default=7, type=click.IntRange(1), show_default=True, help="How often the two take turns.")
@click.option(
    "--threads", default=0, type=click.IntRange(0), help="Threads for a run, on both sides; 0 lets each choose."
)
@click.option(
    "--depth", default=4, type=click.IntRange(1), show_default=True, help="Runs under way at once, for the throughput."
)
@options.some_inputs
@click.option("--no-peer", is_flag=True, help="Time MODEL alone.")
@options.backend
@options.as_json
def command(
    *,
    source: Source,
    seconds: float,
    rounds: int,
    threads: int,
    depth: int,
    inputs: Sequence[str],
    seed: int,
    no_peer: bool,
    backend: str | None,
    as_json: bool,
) -> int:
    """Time MODEL beside plain onnxruntime, with the same file and the same inputs.

    Latency is the time of one call that waits for its outputs: context.compute against session.run. Throughput is that
    of context.stream against session.run in a loop. The two take turns. Each ratio is the median over the rounds, with
    the smallest and the largest; the figures beside it are those of the median round. A model in another format is
    exported to ONNX for onnxruntime.
    """
    bare = options.read(source, blueprint())  # loads the libraries, and the file into memory
    with ML().create_context(backend=backend, threads=threads) as context:
        started = time.perf_counter()
        graph = options.read(source, context)
        feeds = inputs_from(inputs, graph.inputs, graph.unread_inputs, fill=True, seed=seed)
        context.compute(graph, feeds)
        first = time.perf_counter() - started
        peer = None if no_peer else _Peer(source, bare, {**source.constants, **feeds}, threads)
        data: dict[str, Any] = {
            "model": str(source.path),
            "backend": context.backend,
            "peer": peer.description if peer else None,
            "threads": threads,
            "cores": os.cpu_count(),
            "depth": depth,
            "first_result_seconds": {"webnn": first, **({PEER: peer.first_seconds} if peer else {})},
            **_measure(context, graph, feeds, peer=peer, seconds=seconds, rounds=rounds, depth=depth),
        }
    if as_json:
        print_json(data)
    else:
        _print(data)
    return 0


class _Peer:
    """Plain onnxruntime on the same model, called in the usual way."""

    def __init__(self, source: Source, graph: Graph, values: Mapping[str, Any], threads: int) -> None:
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = threads
        settings.log_severity_level = 3
        with _onnx_file(source, graph) as file:
            started = time.perf_counter()
            try:
                self._session = onnxruntime.InferenceSession(file, settings, providers=["CPUExecutionProvider"])
                self._outputs = list(source.outputs) or None
                self._feeds = _feeds_of(self._session, values)
                self()
            except Exception as error:  # onnxruntime's exceptions have no common base
                reason = f"plain onnxruntime cannot run it: {error}"
                raise OperationError(f"{reason}\n--no-peer times the model without it") from error
            self.first_seconds = time.perf_counter() - started
            exported = "" if file == source.path else ", exported to ONNX"
        self.description = f"onnxruntime {onnxruntime.__version__} on {source.path.name}{exported}"

    def __call__(self) -> object:
        return self._session.run(self._outputs, self._feeds)


def _measure(
    context: MLContext,
    graph: MLGraph,
    feeds: Mapping[str, Array],
    *,
    peer: _Peer | None,
    seconds: float,
    rounds: int,
    depth: int,
) -> dict[str, Any]:
    def ours() -> object:
        return context.compute(graph, feeds)

    share = seconds / rounds / (3 if peer else 2)
    calls = calls_within(ours, share)

    def stream() -> list[float]:
        started = time.perf_counter()
        for _ in context.stream(graph, (feeds for _ in range(calls)), depth=depth):
            pass
        return [(time.perf_counter() - started) / calls]

    kinds: dict[str, Callable[[], list[float]]] = {"webnn": lambda: _each(ours, calls), "stream": stream}
    if peer is not None:
        peer_calls = calls_within(peer, share)

        def theirs() -> list[float]:
            times = _each(peer, peer_calls)
            time.sleep(SPINNING)
            return times

        kinds[PEER] = theirs
    with progress("measuring", rounds * len(kinds)) as advance:
        times = in_turn(rounds, kinds, advance)
    streamed = times.pop("stream")
    data: dict[str, Any] = {
        "rounds": rounds,
        "calls": {name: sum(map(len, each)) for name, each in times.items()},
        "latency_ms": {name: percentiles(each) for name, each in times.items()},
        "throughput_per_second": {name: _rate(streamed if name == "webnn" else each) for name, each in times.items()},
        "loop_per_second": _rate(times["webnn"]),
    }
    if peer is not None:
        data["ratios"] = {
            "latency": ratios(times["webnn"], times[PEER], rate=False),
            "throughput": ratios(streamed, times[PEER], rate=True),
        }
        latency, throughput = (data["ratios"][kind]["round"] for kind in ("latency", "throughput"))
        for name, each in times.items():
            data["latency_ms"][name]["median"] = float(np.median(each[latency])) * 1e3
            rounds_of = streamed if name == "webnn" else each
            data["throughput_per_second"][name] = _rate([rounds_of[throughput]])
    return data


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


def _are_its_outputs(source: Source) -> bool:
    """Whether only outputs of the file are computed, and no value within it."""
    outline = outline_of(source.path) if source.outputs else None
    return outline is None or {value.name for value in outline.outputs}.issuperset(source.outputs)


@contextmanager
def _onnx_file(source: Source, graph: Graph) -> Iterator[Path]:
    """The ONNX file that the peer is given: the model itself, or an export that lasts as long as the block."""
    if source.path.suffix.lower() in (".onnx", ".ort") and _are_its_outputs(source):  # which onnxruntime reads
        yield source.path
        return
    with TemporaryDirectory(prefix="webnn-bench-") as folder:
        file = Path(folder) / "model.onnx"
        save_model(graph, file)
        yield file


def _feeds_of(session: Any, values: Mapping[str, Any]) -> dict[str, Array]:
    """The inputs of the peer: the same values, in the types that the file asks for; zeros where nothing reads them."""
    feeds = {}
    for wanted in session.get_inputs():
        kind = wanted.type.removeprefix("tensor(").removesuffix(")")
        kind = _TYPES.get(kind, kind)
        if wanted.name in values:
            feeds[wanted.name] = np.asarray(values[wanted.name]).astype(kind)
        else:
            feeds[wanted.name] = np.zeros([size if isinstance(size, int) else 1 for size in wanted.shape], kind)
    return feeds


def _print(data: dict[str, Any]) -> None:
    heading(f"{data['model']} on {data['backend']}" + (f", beside {data['peer']}" if data["peer"] else ""))
    names = list(data["latency_ms"])
    rows: list[list[str]] = []
    for key, what in (("median", "latency, median"), ("p95", "95 %"), ("p99", "99 %")):
        spread = _spread(data, "latency") if key == "median" else ["", ""]
        rows.append([what, *(f"{data['latency_ms'][name][key]:.4g} ms" for name in names), *spread])
    rates = [f"{data['throughput_per_second'][name]:.4g} /s" for name in names]
    rows.append(["throughput", *rates, *_spread(data, "throughput")])
    first = data["first_result_seconds"]
    once = [f"{first['webnn'] / first[PEER]:.2f}", "once"] if data["peer"] else ["", ""]
    rows.append(["file to first result", *(f"{first[name] * 1e3:.4g} ms" for name in names), *once])
    columns = ["", *names, *(["ratio", "smallest .. largest"] if data["peer"] else [])]
    table(columns, [row[: len(columns)] for row in rows], right=columns[1:])
    rounds, calls, depth = counted(data["rounds"], "round"), counted(data["calls"]["webnn"], "call"), data["depth"]
    note = f"{rounds}, {calls}; {counted(depth, 'run')} under way for the throughput"
    console().print(f"[dim]{text(note)}[/dim]")
    loop = data["loop_per_second"]
    if loop > data["throughput_per_second"]["webnn"]:
        advice = "for runs as short as these it is faster than context.stream, whose items cost time of their own"
        console().print(f"A loop over context.compute makes {loop:.4g} /s: {advice}.", soft_wrap=True)


def _spread(data: Mapping[str, Any], kind: str) -> list[str]:
    if "ratios" not in data:
        return ["", ""]
    ratio = data["ratios"][kind]
    return [f"{ratio['median']:.2f}", f"{ratio['smallest']:.2f} .. {ratio['largest']:.2f}"]
