"""The answer to one question: rows of ratios with their spread, shown as a table, kept as JSON, drawn by `plot.py`."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import math
import os
import platform
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from rich.console import Console
from rich.markup import escape
from rich.table import Table

__all__ = ["Better", "Report", "Row", "described"]

Better: TypeAlias = Literal["lower", "higher"]

PACKAGES: Final = {
    "webnn": "webnn-runtime",
    "onnxruntime": "onnxruntime",
    "numpy": "numpy",
    "anyio": "anyio",
    "trio": "trio",
    "uvloop": "uvloop",
    "jax": "jax",
    "iree.runtime": "iree-base-runtime",
    "mlx": "mlx",
}
"""Modules that have a say in the figures, and the distributions that bring them."""


@dataclass(slots=True)
class Row:
    """One figure, round by round: a subject's beside a peer's, both in `unit`.

    Attributes:
        what: was measured.
        ours: a value per round.
        theirs: likewise of the peer; None for a figure that stands for itself.
        unit: of both.
        better: which way is the better one.
        peer: the name of the peer.
        subject: whose the values in `ours` are, "webnn" unless the row shows somebody else for comparison.
        bar: the ratio (or, without a peer, the figure) to be reached.
    """

    what: str
    ours: Sequence[float]
    theirs: Sequence[float] | None
    unit: str
    better: Better
    peer: str = "raw"
    subject: str = "webnn"
    bar: float | None = None

    @property
    def ratios(self) -> list[float] | None:
        """Ours / theirs, round by round; None without a peer."""
        return None if self.theirs is None else [_ratio(a, b) for a, b in zip(self.ours, self.theirs, strict=True)]

    @property
    def spread(self) -> tuple[float, float, float]:
        """Median, smallest and largest of the ratios; of the figures where there is no peer."""
        values = self.ratios or self.ours
        return statistics.median_low(values), min(values), max(values)

    @property
    def typical(self) -> tuple[float, float | None]:
        """Our value and the peer's in the round of the median, so that the two give its ratio."""
        values = self.ratios or self.ours
        round_ = values.index(statistics.median_low(values))
        return self.ours[round_], None if self.theirs is None else self.theirs[round_]

    @property
    def met(self) -> bool | None:
        """Whether the median reaches the bar; None if there is none."""
        if self.bar is None:
            return None
        median = self.spread[0]
        return median <= self.bar if self.better == "lower" else median >= self.bar


@dataclass(slots=True)
class Report:
    """The answer to one question.

    Attributes:
        name: of the benchmark's module.
        question: which it answers.
        peer: the name of the peer in rows that do not name another one.
        method: how it is measured, in prose.
        rows: the figures.
        notes: lines of text below them.
        scale: how long it was measured, 1 for the full length.
        about: date, machine and versions.
    """

    name: str
    question: str
    peer: str = "raw"
    method: str = ""
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    scale: float = 1.0
    about: Mapping[str, Any] = field(default_factory=dict)

    def times(
        self,
        what: str,
        ours: Sequence[float],
        theirs: Sequence[float],
        unit: Literal["us", "ms"] = "us",
        *,
        peer: str | None = None,
        subject: str = "webnn",
        bar: float | None = None,
    ) -> None:
        """A row of times, given in seconds; shorter is better, and a `bar` is the largest ratio allowed."""
        factor = 1e6 if unit == "us" else 1e3
        values = [t * factor for t in ours], [t * factor for t in theirs]
        self.rows.append(Row(what, *values, unit, "lower", peer or self.peer, subject, bar))

    def rates(
        self,
        what: str,
        ours: Sequence[float],
        theirs: Sequence[float],
        unit: str = "/s",
        *,
        peer: str | None = None,
        subject: str = "webnn",
        bar: float | None = None,
    ) -> None:
        """A row of rates, given as seconds per item; more is better, and a `bar` is the ratio to reach."""
        values = [1 / t for t in ours], [1 / t for t in theirs]
        self.rows.append(Row(what, *values, unit, "higher", peer or self.peer, subject, bar))

    def sizes(
        self,
        what: str,
        ours: Sequence[float],
        theirs: Sequence[float],
        *,
        peer: str | None = None,
        bar: float | None = None,
    ) -> None:
        """A row of bytes; less is better."""
        values = [b / 1e6 for b in ours], [b / 1e6 for b in theirs]
        self.rows.append(Row(what, *values, "MB", "lower", peer or self.peer, bar=bar))

    def figure(
        self, what: str, values: Sequence[float], unit: str, *, better: Better = "lower", bar: float | None = None
    ) -> None:
        """A row without a peer, in `unit`; a `bar` is in the same unit."""
        self.rows.append(Row(what, values, None, unit, better, "", bar=bar))

    def show(self, console: Console | None = None) -> None:
        """Print a table."""
        several = len({row.peer for row in self.rows if row.theirs is not None}) > 1
        table = Table(
            title=self.question, title_justify="left", caption=escape("\n".join(self.notes)), caption_justify="left"
        )
        table.add_column("what")
        for column in ("webnn", "peer" if several else self.peer, f"webnn / {'peer' if several else self.peer}"):
            table.add_column(column, justify="right")
        table.add_column("spread", justify="right", no_wrap=True)
        table.add_column("wanted", no_wrap=True)
        for row in self.rows:
            table.add_row(*cells(row, several=several))
        (console or Console(width=None if sys.stdout.isatty() else 120)).print(table)

    def json(self) -> str:
        """Everything in the report, and the medians; `from_json` reads it."""
        rows = []
        for row in self.rows:
            median, smallest, largest = row.spread
            spread = {"median": median, "smallest": smallest, "largest": largest}
            rows.append({**asdict(row), "ratio" if row.theirs is not None else "figure": spread, "met": row.met})
        return json.dumps({**asdict(self), "rows": rows}, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Report:
        """The report that `json` wrote."""
        stored = json.loads(text)
        names = Row.__dataclass_fields__
        stored["rows"] = [Row(**{name: row[name] for name in names}) for row in stored["rows"]]
        return cls(**stored)

    def write(self, path: Path) -> None:
        """Write the report as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.json(), encoding="utf-8")


def cells(row: Row, *, several: bool) -> tuple[str, str, str, str, str, str]:
    """What a table says of `row`; `several` peers are named with their values."""
    median, smallest, largest = row.spread
    typical, peer = row.typical
    ours = f"{_number(typical)} {row.unit}"
    what = row.what if row.subject == "webnn" else f"{row.what}: {row.subject}"
    bar = ""
    if row.bar is not None:
        bar = f"{'<=' if row.better == 'lower' else '>='} {row.bar:g} {'met' if row.met else 'MISSED'}"
    elif row.theirs is not None:
        bar = row.better
    spread = f"{smallest:.3g} .. {largest:.3g}"
    if peer is None:
        return what, ours, "", "", spread, bar
    theirs = f"{_number(peer)} {row.unit}" + (f" ({row.peer})" if several else "")
    return what, ours, theirs, f"{median:.3g}", spread, bar


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _ratio(a: float, b: float) -> float:
    if b:
        return a / b
    return math.inf if a else 1.0


def described() -> dict[str, Any]:
    """Date, machine and versions, of now."""
    versions = {"python": platform.python_version()}
    for module, distribution in PACKAGES.items():
        if module in sys.modules:
            try:
                versions[module] = importlib.metadata.version(distribution)
            except importlib.metadata.PackageNotFoundError:  # another package has the module, onnxruntime-openvino's
                versions[module] = str(sys.modules[module].__version__)
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": f"{_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}",
        "versions": versions,
    }


def _processor() -> str:
    """The name of the processor, as well as the system tells it."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
