"""Writes `docs/benchmarks.md` and its pictures from the figures in `docs/benchmarks/`.

  python -m docs.generate_benchmarks [--check]

The figures are JSON files that `python -m benchmarks --json docs/benchmarks` writes; `make bench-docs` does both.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from benchmarks.plot import drawn
from benchmarks.report import Report, cells

__all__ = ["FOLDER", "PAGE", "files"]

PAGE: Final = Path(__file__).parent / "benchmarks.md"
FOLDER: Final = Path(__file__).parent / "benchmarks"

FIRST: Final = (
    "overhead",
    "streaming",
    "chain",
    "decode",
    "crowd",
    "batching",
    "live_source",
    "several_graphs",
    "mobilenet",
)
"""The benchmarks that come first, in this order; the others follow in alphabetical order."""

INTRODUCTION: Final = """\
# Benchmarks

This page shows how fast the package is, beside onnxruntime and other peers that do the same work. Each section answers
one question.

Every figure is compared with that of a peer in the same run. The two take turns, round by round. Each round gives one
ratio; the tables show the median ratio, and the spread from the smallest to the largest. The column "wanted" has the
ratio that the project wants to reach, if there is one; otherwise it says which direction is better.

In the pictures, bars begin at 1, where both are equal. Green bars end on the better side, and grey ones belong to other
libraries. A purple mark is the wanted ratio.

`python -m benchmarks.NAME` runs one benchmark. `make bench-docs` runs them all, and generates this page.
"""


def files(reports: Sequence[Report]) -> Mapping[Path, str]:
    """The page and the pictures that show `reports`, by their paths."""
    ordered = sorted(reports, key=lambda report: (*_place(report.name), report.name))
    sections = [INTRODUCTION, *(_section(report) for report in ordered)]
    pictures = {FOLDER / f"{report.name}.svg": drawn(report) for report in ordered if _has_picture(report)}
    return {PAGE: "\n".join(sections), **pictures}


def stored() -> list[Report]:
    """The reports in `FOLDER`."""
    return [Report.from_json(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.json"))]


def _place(name: str) -> tuple[int, str]:
    return (FIRST.index(name), "") if name in FIRST else (len(FIRST), name)


def _has_picture(report: Report) -> bool:
    return any(row.theirs is not None for row in report.rows)


def _section(report: Report) -> str:
    lines = [f"## {report.question}", "", report.method, ""]
    if _has_picture(report):
        lines += [f"![Ratios of {report.name}]({FOLDER.name}/{report.name}.svg)", ""]
    lines += ["| | webnn | peer | ratio | spread | wanted |", "| --- | --: | --: | --: | --: | --- |"]
    lines += [f"| {' | '.join(_escaped(cell) for cell in cells(row, several=True))} |" for row in report.rows]
    if report.notes:
        lines += ["", *(f"- {_escaped(note)}" for note in report.notes)]
    versions = ", ".join(f"{name} {version}" for name, version in report.about["versions"].items())
    scale = "" if report.scale == 1 else f" --scale {report.scale:g}"
    lines += ["", f"`python -m benchmarks.{report.name}{scale}` on {report.about['date']}: {report.about['machine']};"]
    lines += [f"{versions}.", ""]
    return "\n".join(lines)


def _escaped(text: str) -> str:
    return re.sub(r"([|<*_])", r"\\\1", text)


def main() -> None:
    """Write the files, or only say which are stale."""
    parser = argparse.ArgumentParser(description="Write docs/benchmarks.md and its pictures.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file is stale")
    check = parser.parse_args().check
    wanted = files(stored())
    extra = [path for path in FOLDER.glob("*.svg") if path not in wanted]
    if check:
        stale = [path for path, text in wanted.items() if not path.exists() or path.read_text("utf-8") != text]
        if stale or extra:
            sys.exit(
                f"stale: {', '.join(str(path) for path in [*stale, *extra])}; run python -m docs.generate_benchmarks"
            )
        return
    for path in extra:
        path.unlink()
    for path, text in wanted.items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
