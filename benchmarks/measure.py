"""What the benchmarks share: alternating rounds, ratios with their spread, one report as a table or as JSON.

A machine that does other things at the same time makes single timings worthless. So the peers take turns, round by
round; each round gives one ratio, and what is reported is their median with the smallest and the largest.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib.util
import inspect
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import onnxruntime
from rich.console import Console
from rich.table import Table

import webnn
from webnn.backends.onnxruntime import native

__all__ = [
    "IDLE",
    "LOOPS",
    "Report",
    "Row",
    "arguments",
    "bound",
    "busy_after",
    "in_fresh_process",
    "in_turn",
    "installed_loops",
    "peak_memory",
    "resident_memory",
    "run_on",
    "seconds_per",
    "session",
]

LOOPS: Final = ("asyncio", "uvloop", "trio")

_CPU: Final = native.OrtDevice(native.OrtDevice.cpu(), native.OrtDevice.default_memory(), 0)

Kind: TypeAlias = Callable[[], "float | Awaitable[float]"]
"""One peer: does a round of work and gives the seconds per item."""

IDLE: Final = 0.2
"""Seconds after a run in which the process should do nothing."""
_SETTLE: Final = 0.06
"""Seconds before each turn: after a run onnxruntime's threads keep a core busy for a while, at the next one's cost."""


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
    """What each kind gives in each of `rounds` rounds, after one that only warms up."""
    times: dict[str, list[float]] = {name: [] for name in kinds}
    for round_ in range(rounds + 1):
        for name, kind in kinds.items():
            time.sleep(_SETTLE)  # noqa: ASYNC251 (nothing else is to run now)
            spent = kind()
            seconds = await spent if inspect.isawaitable(spent) else spent
            if round_:
                times[name].append(seconds)
    return times


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


# Raw onnxruntime, the peer.


def session(
    model: bytes, threads: int = 0, *, spin: int | None = None, arena: bool = True
) -> onnxruntime.InferenceSession:
    """A session with onnxruntime's defaults, but for what is given; `spin` in microseconds."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.enable_cpu_mem_arena = options.enable_mem_pattern = arena
    if spin == 0:
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    elif spin is not None:
        options.add_session_config_entry("session.intra_op.spin_duration_us", str(spin))
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def bound(
    raw: onnxruntime.InferenceSession, inputs: Mapping[str, np.ndarray[Any, Any]], outputs: Mapping[str, Any]
) -> Callable[[], None]:
    """A run on arrays that are bound beforehand: the fastest way to call raw onnxruntime from Python."""
    io = native.SessionIOBinding(raw._sess)
    for name, array in inputs.items():
        io.bind_ortvalue_input(name, native.OrtValue.ortvalue_from_numpy(array, _CPU))
    for name, array in outputs.items():
        io.bind_ortvalue_output(name, native.OrtValue.ortvalue_from_numpy(array, _CPU))

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


def in_fresh_process(module: str, *words: str) -> dict[str, float]:
    """What `python -m MODULE --child WORDS` prints as its last line, which is JSON."""
    command = [sys.executable, "-m", module, "--child", *words]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    result: dict[str, float] = json.loads(printed.splitlines()[-1])
    return result


# The report.


@dataclass(slots=True)
class Row:
    """One figure: ours beside raw onnxruntime's, round by round.

    Attributes:
        what: was measured.
        ours: a value per round.
        raw: likewise of raw onnxruntime.
        unit: of both.
        better: which ratio is the better one.
    """

    what: str
    ours: Sequence[float]
    raw: Sequence[float]
    unit: str
    better: Literal["lower", "higher"]

    @property
    def ratios(self) -> list[float]:
        """Ours / raw, round by round."""
        return [a / b for a, b in zip(self.ours, self.raw, strict=True)]


@dataclass(slots=True)
class Report:
    """The answer to one question."""

    question: str
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def times(self, what: str, ours: Sequence[float], raw: Sequence[float], unit: Literal["us", "ms"] = "us") -> None:
        """A row of times, given in seconds; shorter is better."""
        factor = 1e6 if unit == "us" else 1e3
        self.rows.append(Row(what, [t * factor for t in ours], [t * factor for t in raw], unit, "lower"))

    def rates(self, what: str, ours: Sequence[float], raw: Sequence[float], unit: str = "/s") -> None:
        """A row of rates, given as seconds per item; more is better."""
        self.rows.append(Row(what, [1 / t for t in ours], [1 / t for t in raw], unit, "higher"))

    def sizes(self, what: str, ours: Sequence[float], raw: Sequence[float]) -> None:
        """A row of bytes; less is better."""
        self.rows.append(Row(what, [b / 1e6 for b in ours], [b / 1e6 for b in raw], "MB", "lower"))

    def show(self, as_json: str | None) -> None:
        """Print a table; or JSON, to the file `as_json` or to the standard output if that is "-"."""
        if as_json is None:
            self._print_table()
            return
        text = json.dumps(self._figures(), indent=1)
        if as_json == "-":
            print(text)
        else:
            Path(as_json).write_text(text + "\n", encoding="utf-8")

    def _print_table(self) -> None:
        table = Table(title=self.question, title_justify="left", caption="\n".join(self.notes), caption_justify="left")
        table.add_column("what")
        for column in ("webnn", "raw", "webnn / raw", "spread"):
            table.add_column(column, justify="right")
        table.add_column("better")
        for row in self.rows:
            ratios = row.ratios
            table.add_row(
                row.what,
                f"{statistics.median(row.ours):.4g} {row.unit}",
                f"{statistics.median(row.raw):.4g} {row.unit}",
                f"{statistics.median(ratios):.2f}",
                f"{min(ratios):.2f} .. {max(ratios):.2f}",
                row.better,
            )
        Console().print(table)

    def _figures(self) -> dict[str, Any]:
        rows = []
        for row in self.rows:
            ratios = row.ratios
            ratio = {"median": statistics.median(ratios), "smallest": min(ratios), "largest": max(ratios)}
            rows.append({**asdict(row), "ratio": ratio})
        machine = {
            "machine": platform.machine(),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "onnxruntime": onnxruntime.__version__,
            "numpy": np.__version__,
            "webnn": webnn.__version__,
        }
        return {"question": self.question, "machine": machine, "rows": rows, "notes": self.notes}


def arguments(question: str) -> argparse.Namespace:
    """The options that all benchmarks have; `child` holds the words for a fresh process."""
    parser = argparse.ArgumentParser(description=question)
    parser.add_argument("--scale", type=float, default=1.0, help="0.1 for a tenth of the work")
    parser.add_argument("--json", nargs="?", const="-", metavar="FILE", help="figures as JSON instead of a table")
    parser.add_argument("--models", type=Path, help="folder of models; default: shared/models beside the repository")
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    return parser.parse_args()
