"""Output of commands: tables for people, one JSON value for programs, progress bars for terminals.

A command makes a plain dictionary and prints it, or draws tables from that same dictionary, so both agree.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeAlias

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from webnn.formats.json_text import finite
from webnn.graph.arguments import printable

__all__ = [
    "Advance",
    "amount",
    "console",
    "counted",
    "heading",
    "print_json",
    "progress",
    "shape_text",
    "size",
    "table",
    "text",
]

Advance: TypeAlias = Callable[[int], None]
"""Reports that so many more steps are done."""

LINE: Final = 100
"""Up to how many characters a value of JSON stays on one line."""
TIMES: Final = "\N{MULTIPLICATION SIGN}"
_STEPS: Final = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def console() -> Console:
    """The present standard output (tests replace it). Wide when it is a file, so that tables are not cut."""
    out = Console(highlight=False)
    return out if out.is_terminal else Console(highlight=False, width=max(out.width, 160))


def print_json(data: object) -> None:
    """Print `data` as strict JSON: numbers that are not finite become strings. Short values stay on one line."""
    print(_laid_out(finite(data)))


def _laid_out(data: Any, indent: str = "") -> str:
    line = json.dumps(data, allow_nan=False)
    inner = indent + "  "
    if len(line) + len(indent) <= LINE or not isinstance(data, dict | list):
        return line
    if isinstance(data, dict):
        members = [f"{json.dumps(key)}: {_laid_out(value, inner)}" for key, value in data.items()]
    elif any(isinstance(value, dict | list) for value in data):
        members = [_laid_out(value, inner) for value in data]
    else:  # a long list of numbers stays on one line
        return line
    opening, closing = "{}" if isinstance(data, dict) else "[]"
    lines = f",\n{inner}".join(members)
    return f"{opening}\n{inner}{lines}\n{indent}{closing}"


def text(value: object) -> str:
    """`value` for a table: names from models can neither disturb the terminal nor act as markup."""
    return escape(printable(str(value)))


def heading(what: str) -> None:
    """A line above a table."""
    console().print(f"\n[bold]{text(what)}[/bold]")


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], right: Sequence[str] = ()) -> None:
    """Print `rows`; the columns in `right` hold numbers. Cells are text, not markup."""
    drawn = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 3, 0, 0), show_header=any(columns))
    for column in columns:
        drawn.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*map(text, row))
    console().print(drawn)


def shape_text(shape: Sequence[int | str]) -> str:
    """`1×3×224×224`, or `scalar`."""
    return TIMES.join(map(str, shape)) if shape else "scalar"


def amount(count: float) -> str:
    """A count in at most four digits: `3.5 M`."""
    for step, unit in _STEPS:
        if float(f"{count:.3g}") >= step:  # 999,600 is 1 M, not 1e+03 k
            return f"{count / step:.3g} {unit}" if count < 999.5 * step else f"{count / step:.0f} {unit}"
    return f"{count:g}"


def counted(count: int, one: str, many: str = "") -> str:
    """A count with its noun: `1 node`, `2 nodes`; `many` is the plural where it is more than an "s"."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def size(byte_length: float) -> str:
    """A size in bytes: `14 MB`."""
    return f"{amount(byte_length)}B" if byte_length >= 1000 else f"{byte_length:g} B"


@contextmanager
def progress(what: str, total: int | None = None) -> Iterator[Advance]:
    """A progress bar on the standard error, or a spinner without `total`, until the work is done.

    Nothing is shown if the standard error is not a terminal.
    """
    watched = Console(stderr=True)
    if not watched.is_terminal:
        yield lambda _: None
        return
    spinner = [SpinnerColumn(), TextColumn("{task.description}")]
    columns = spinner if total is None else [*spinner, BarColumn(), TaskProgressColumn()]
    with Progress(*columns, TimeElapsedColumn(), console=watched, transient=True) as bars:
        bar = bars.add_task(text(what), total=total)
        yield lambda steps: bars.advance(bar, steps)
