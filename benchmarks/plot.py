"""A report as an SVG: a bar for each ratio, on a logarithmic axis that begins at 1, with its spread and what is wanted.

It is readable on light and on dark pages: the colours follow the reader's setting, and the background is the page's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Final

from benchmarks.report import Report, Row

__all__ = ["drawn"]

WIDTH: Final = 760
MARGIN: Final = 12
TOP: Final = 30
ROW: Final = 44
BAR: Final = 12
FOOT: Final = 30
SMALLEST: Final = 1e-3
LARGEST: Final = 1e3
"""Ratios that are drawn; the others end there."""
STYLE: Final = """
  text { font: 13px system-ui, sans-serif; fill: #1f2328 }
  .small { font-size: 11px; fill: #59636e }
  .title { font-weight: 600 }
  .better { fill: #1a7f37 } .worse { fill: #bc4c00 } .other { fill: #8c959f }
  .grid { stroke: #d1d9e0 } .one, .spread { stroke: #1f2328 } .wanted { stroke: #8250df; stroke-width: 2.5 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .small { fill: #9198a1 }
    .better { fill: #3fb950 } .worse { fill: #db6d28 } .other { fill: #656c76 }
    .grid { stroke: #3d444d } .one, .spread { stroke: #e6edf3 } .wanted { stroke: #ab7df8 }
  }
"""


def drawn(report: Report) -> str:
    """The rows of `report` that have a peer, as the text of an SVG file."""
    rows = [row for row in report.rows if row.theirs is not None]
    axis = _Axis(rows)
    height = TOP + ROW * len(rows) + FOOT
    bottom = height - FOOT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
        f' role="img" aria-label="{escape(report.question)}">',
        f"<style>{STYLE}</style>",
        f'<text class="title" x="{MARGIN}" y="18">{escape(report.question)}</text>',
    ]
    for tick in axis.ticks:
        x = axis.at(tick)
        parts.append(f'<line class="{"one" if tick == 1 else "grid"}" x1="{x}" x2="{x}" y1="{TOP}" y2="{bottom}"/>')
        parts.append(f'<text class="small" x="{x}" y="{bottom + 14}" text-anchor="middle">{tick:g}</text>')
    for i, row in enumerate(rows):
        parts.extend(_row(row, axis, TOP + ROW * i))
    legend = "times the peer's figure; thin line: smallest to largest round"
    if any(row.bar is not None for row in rows):
        legend += "; upright mark: what is wanted"
    parts.append(f'<text class="small" x="{WIDTH - MARGIN}" y="{bottom + 27}" text-anchor="end">{legend}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _row(row: Row, axis: _Axis, top: int) -> list[str]:
    median, smallest, largest = row.spread
    x, y, middle = axis.at(median), top + 22, top + 22 + BAR / 2
    left, right = sorted((axis.at(1), x))
    if row.subject != "webnn":
        kind = "other"
    else:
        kind = "better" if (median <= 1) == (row.better == "lower") or median == 1 else "worse"
    what = f"{row.subject}: {row.what}" if row.subject != "webnn" else row.what
    figure = f"{median:.3g} of {row.peer} ({row.better} is better)"
    parts = [
        f'<text x="{MARGIN}" y="{top + 16}">{escape(what)}</text>',
        f'<text class="small" x="{WIDTH - MARGIN}" y="{top + 16}" text-anchor="end">{escape(figure)}</text>',
        f'<rect class="{kind}" x="{left}" y="{y}" width="{max(round(right - left, 1), 1)}" height="{BAR}" rx="2"/>',
        f'<line class="spread" x1="{axis.at(smallest)}" x2="{axis.at(largest)}" y1="{middle}" y2="{middle}"/>',
    ]
    parts += [
        f'<line class="spread" x1="{axis.at(end)}" x2="{axis.at(end)}" y1="{middle - 3}" y2="{middle + 3}"/>'
        for end in (smallest, largest)
    ]
    if row.bar is not None:
        parts.append(
            f'<line class="wanted" x1="{axis.at(row.bar)}" x2="{axis.at(row.bar)}" y1="{y - 3}" y2="{y + BAR + 3}"/>'
        )
    return parts


class _Axis:
    """Ratios to places, from a tick below the smallest to one above the largest."""

    def __init__(self, rows: Sequence[Row]) -> None:
        values = [1.0, *(value for row in rows for value in row.spread), *(row.bar for row in rows if row.bar)]
        low, high = max(min(values), SMALLEST), min(max(values), LARGEST)
        base = 2 if high / low < 64 else 10
        first = math.floor(math.log(low * 1.001, base))
        last = max(math.ceil(math.log(high * 0.999, base)), first + 1)
        self.ticks = [float(base) ** i for i in range(first, last + 1)]
        self._low, self._high = math.log(self.ticks[0]), math.log(self.ticks[-1])

    def at(self, ratio: float) -> float:
        """The place of `ratio` in the picture."""
        share = (math.log(min(max(ratio, SMALLEST), LARGEST)) - self._low) / (self._high - self._low)
        return round(MARGIN + 8 + share * (WIDTH - 2 * MARGIN - 16), 1)
