"""What the benchmarks share: alternating rounds, the peers, and a report of ratios with their spread.

A machine that does other things at the same time makes single timings worthless. So the peers take turns, round by
round; each round gives one ratio, and what is reported is their median with the smallest and the largest.

A benchmark is a module here whose docstring asks a question (first line) and says how it is answered (the rest):

    '''How fast is a sum?

    Raw: Python's own.
    '''

    async def measure(report: Report, options: Options) -> None:
        numbers, array = list(range(1000)), np.arange(1000)
        count = options.count(5000)                                # calls in each turn, fewer with --scale small
        times = await in_turn(
            options.rounds(7),
            {
                "ours": lambda: seconds_per(count, array.sum),     # a peer gives the seconds per item of one turn,
                "raw": lambda: seconds_per(count, lambda: sum(numbers)),  # at once or as an awaitable
            },
        )
        report.times("a sum of 1000 numbers", times["ours"], times["raw"], bar=0.5)

    if __name__ == "__main__":
        main(measure, peer="sum()")

- `report.times` (seconds, lower is better), `report.rates` (seconds per item, shown as items per second, higher is
  better) and `report.sizes` (bytes) add a row beside a peer; `report.figure` one without a peer, in any unit. Each
  takes `bar=`, the ratio (or figure) to be reached. `peer=` names another peer than the one given to `main`;
  `subject=` makes a row that shows another library in place of webnn. `report.notes.append` adds a line of text.
- `figures_in_turn` is for peers that give several figures in each turn, such as a rate and a latency.
- `options.has` is for benchmarks with cases that take minutes each: `--only TEXT` measures those with that name.
- `options.count`, `options.rounds` and `options.some` scale the work down. With `--scale tiny` a benchmark must take a
  second or two: a test runs all of them that way.
- Raise `Skipped("...")` where something is missing that cannot be done without.
- `session` and `bound` are raw onnxruntime; `benchmarks/models.py` has networks in WebNN and as ONNX files.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib.util
import inspect
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType
from typing import Any, Final, TypeAlias, TypeVar, cast

import numpy as np
import onnxruntime

from benchmarks.plot import drawn
from benchmarks.report import Report, described

__all__ = [
    "IDLE",
    "LOOPS",
    "Options",
    "Report",
    "Skipped",
    "bound",
    "busy_after",
    "crowd",
    "environment",
    "figures_in_turn",
    "in_fresh_process",
    "in_turn",
    "installed_loops",
    "main",
    "peak_memory",
    "resident_memory",
    "run_on",
    "seconds_per",
    "session",
]

T = TypeVar("T")

LOOPS: Final = ("asyncio", "uvloop", "trio")


Kind: TypeAlias = Callable[[], "float | Awaitable[float]"]
"""One peer: does a round of work and gives the seconds per item."""

IDLE: Final = 0.2
"""Seconds after a run in which the process should do nothing."""
_SETTLE: Final = 0.06
"""Seconds before each turn: after a run onnxruntime's threads keep a core busy for a while, at the next one's cost."""
_BRIEF: Final = 0.02
"""Seconds. A turn that took less is repeated until all took as long, and the last one counts. Otherwise a short run of
the benchmarks would measure how calls begin after a pause, with cold caches: 60 chains of 20 tiny dispatches are over
in 1.5 ms, and each seems to take half as long again. A single round does not count, and is not repeated."""


# Rounds.


def seconds_per(count: int, function: Callable[[], object]) -> float:
    """Seconds per call of `function`, over `count` calls."""
    gc.collect()
    started = time.perf_counter()
    for _ in range(count):
        function()
    return (time.perf_counter() - started) / count


def busy_after(run: Callable[[], object]) -> float:
    """Seconds of processor time that the process takes in the `IDLE` seconds after a run."""
    run()
    busy = time.process_time()
    time.sleep(IDLE)
    return time.process_time() - busy


async def in_turn(rounds: int, kinds: Mapping[str, Kind]) -> dict[str, list[float]]:
    """The seconds that each kind gives in each of `rounds` rounds, after one that only warms up."""
    return await _in_turn(rounds, kinds)


async def figures_in_turn(
    rounds: int, kinds: Mapping[str, Callable[[], Mapping[str, float] | Awaitable[Mapping[str, float]]]]
) -> dict[str, dict[str, list[float]]]:
    """As `in_turn`, for kinds that give several figures at a time: by kind, by figure, a value per round."""
    turns = await _in_turn(rounds, kinds)
    return {kind: {name: [turn[name] for turn in given] for name in given[0]} for kind, given in turns.items()}


async def _in_turn(rounds: int, kinds: Mapping[str, Callable[[], Any]]) -> dict[str, list[Any]]:
    results: dict[str, list[Any]] = {name: [] for name in kinds}
    for round_ in range(rounds + 1):
        # There and back, so that none always comes after the same other one.
        for name in list(kinds) if round_ % 2 else reversed(list(kinds)):
            time.sleep(_SETTLE)  # noqa: ASYNC251 (nothing else is to run now)
            began, result = time.perf_counter(), None
            while result is None or (rounds > 1 and time.perf_counter() - began < _BRIEF):
                given = kinds[name]()
                result = await given if inspect.isawaitable(given) else given
            if round_:
                results[name].append(result)
    return results


def installed_loops() -> list[str]:
    """Those of `LOOPS` that can be imported."""
    return [name for name in LOOPS if importlib.util.find_spec(name) is not None]


def run_on(loop: str, function: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Run `function()` on one of `LOOPS`."""
    match loop:
        case "asyncio":
            return asyncio.run(function())
        case "uvloop":
            import uvloop  # noqa: PLC0415

            return uvloop.run(function())
        case _:
            import trio  # noqa: PLC0415

            return trio.run(function)


# Clients.


async def crowd(
    call: Callable[[np.ndarray[Any, Any]], Awaitable[Any]], inputs: Sequence[np.ndarray[Any, Any]], each: int
) -> dict[str, float]:
    """Seconds per request, and the median latency, of as many clients as `inputs`."""
    latencies: list[float] = []

    async def client(x: np.ndarray[Any, Any]) -> None:
        for _ in range(each):
            began = time.perf_counter()
            await call(x)
            latencies.append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*map(client, inputs))
    seconds = (time.perf_counter() - began) / (len(inputs) * each)
    return {"per request": seconds, "latency": statistics.median(latencies)}


# Raw onnxruntime, the peer.


def session(
    model: bytes,
    threads: int = 0,
    *,
    spin: int | None = None,
    rests: bool = False,
    arena: bool = True,
    basic: bool = False,
    without: Collection[str] = (),
) -> onnxruntime.InferenceSession:
    """A session with onnxruntime's defaults, but for what is given.

    Args:
        model: serialized.
        threads: 0 for one on each core.
        spin: in microseconds.
        rests: whether the threads sleep after each run.
        arena: whether it has an arena of memory.
        basic: whether it has the basic optimizers only.
        without: the optimizers that it does not have.
    """
    options = onnxruntime.SessionOptions()
    if basic:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.intra_op_num_threads = threads
    options.enable_cpu_mem_arena = options.enable_mem_pattern = arena
    if spin == 0:
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    elif spin is not None:
        options.add_session_config_entry("session.intra_op.spin_duration_us", str(spin))
    if rests:
        options.add_session_config_entry("session.force_spinning_stop", "1")
    return onnxruntime.InferenceSession(
        model, options, providers=["CPUExecutionProvider"], disabled_optimizers=set(without)
    )


def bound(
    raw: onnxruntime.InferenceSession, inputs: Mapping[str, np.ndarray[Any, Any]], outputs: Mapping[str, Any]
) -> Callable[[], None]:
    """A run on arrays that are bound beforehand: the fastest way to call raw onnxruntime from Python."""
    from webnn.backends.onnxruntime import native  # noqa: PLC0415 (which refuses the packages of other providers)

    cpu = native.OrtDevice(native.OrtDevice.cpu(), native.OrtDevice.default_memory(), 0)
    io = native.SessionIOBinding(raw._sess)
    for name, array in inputs.items():
        io.bind_ortvalue_input(name, native.OrtValue.ortvalue_from_numpy(array, cpu))
    for name, array in outputs.items():
        io.bind_ortvalue_output(name, native.OrtValue.ortvalue_from_numpy(array, cpu))

    def run(_kept: object = (dict(inputs), dict(outputs))) -> None:  # an OrtValue does not keep its array alive
        raw._sess.run_with_iobinding(io, None)

    return run


# Memory.


def resident_memory() -> int:
    """Bytes of this process in memory now."""
    return _status("VmRSS")


def peak_memory() -> int:
    """The most bytes of this process that have been in memory."""
    return _status("VmHWM")


def _status(key: str) -> int:
    """A line of Linux's account of this process; elsewhere the peak, which is all there is without a package."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith(key))
        return int(line.split()[1]) * 1024
    import resource  # noqa: PLC0415

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def environment() -> dict[str, str]:
    """That of fresh processes, which keep the bytecode of modules as an installation does, and do not compile them."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def in_fresh_process(module: str, *words: str) -> dict[str, float]:
    """What `python -m MODULE --child WORDS` prints as its last line, which is JSON."""
    command = [sys.executable, "-m", module, "--child", *words]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment()).stdout
    result: dict[str, float] = json.loads(printed.splitlines()[-1])
    return result


# The program.


class Skipped(Exception):  # noqa: N818 (no error)
    """The benchmark cannot be run here; its message says why."""


@dataclass(frozen=True, slots=True)
class Options:
    """What is given on the command line.

    Attributes:
        scale: 1 for the full length.
        models: a folder of real models; None for the one beside the repository.
        only: a part of the names of the cases that are measured, in any case of letters; "" for all.
    """

    scale: float = 1.0
    models: Path | None = None
    only: str = ""

    @property
    def is_tiny(self) -> bool:
        """Whether the figures do not matter, only that the benchmark runs."""
        return self.scale < SCALES["small"]

    def count(self, whole: int, least: int = 1) -> int:
        """How many of `whole` repetitions."""
        return max(least, round(whole * self.scale))

    def rounds(self, whole: int = 7) -> int:
        """How many rounds: all of them, since the spread needs them, but one in a tiny run."""
        return 1 if self.is_tiny else whole

    def some(self, cases: Sequence[T], few: int = 1) -> Sequence[T]:
        """All cases, but the first `few` in a tiny run."""
        return cases[:few] if self.is_tiny else cases

    def has(self, name: str) -> bool:
        """Whether the case of this name is measured."""
        return self.only.lower() in name.lower()


SCALES: Final = {"tiny": 0.001, "small": 0.1, "full": 1.0}

Measure: TypeAlias = Callable[[Report, Options], "Coroutine[Any, Any, None] | None"]
"""Adds rows to a report; a coroutine is run on asyncio."""


def main(
    measure: Measure,
    *,
    peer: str = "raw",
    child: Callable[[Sequence[str]], Mapping[str, float]] | None = None,
) -> None:
    """The program of a benchmark: reads the command line, measures, shows.

    Args:
        measure: adds the rows. The docstring of its module is the question, and how it is answered.
        peer: the name of the peer.
        child: what `in_fresh_process` runs, given its words.
    """
    module = cast(FunctionType, measure).__globals__
    question, _, method = inspect.cleandoc(module["__doc__"]).partition("\n\n")
    given = _parser(question).parse_args()
    if given.child:
        assert child is not None
        print(json.dumps(child(given.child)))
        return
    options = Options(given.scale, given.models, given.only)
    report = Report(Path(module["__file__"]).stem, question, peer, method, scale=options.scale)
    try:
        running = measure(report, options)
        if running is not None:
            asyncio.run(running)
    except Skipped as reason:
        print(f"skipped: {reason}")
        return
    if options.only and not report.rows:
        sys.exit(f"--only {options.only}: no case of this benchmark has that in its name")
    report.about = described()
    if given.json == "-":
        print(report.json(), end="")
        return
    report.show()
    if given.json is not None:
        report.write(Path(given.json))
    if given.svg is not None:
        given.svg.write_text(drawn(report), encoding="utf-8")


def scale_of(text: str) -> float:
    """A scale as it is given on the command line: a number, or one of `SCALES`."""
    return SCALES[text] if text in SCALES else float(text)


def _parser(question: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=question)
    parser.add_argument(
        "--scale", type=scale_of, default=1.0, help="0.1 (or small) for a tenth of the work; tiny to see that it runs"
    )
    parser.add_argument("--json", nargs="?", const="-", metavar="FILE", help="write the figures as JSON, too")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw the ratios, too")
    parser.add_argument("--models", type=Path, help="folder of models; default: shared/models beside the repository")
    parser.add_argument(
        "--only",
        default="",
        metavar="TEXT",
        help="the cases whose name has this in it, where a whole run takes too long",
    )
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    return parser
