"""Writes the tables of rules and notes in `docs/check.md`.

python -m docs.generate_rules [--check]
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from webnn.graph.naming import camel
from webnn.targets.notes import NOTES
from webnn.targets.rules import RULES
from webnn.targets.target import recorded_targets, target_named

__all__ = ["PAGE", "page"]

PAGE: Final = Path(__file__).with_name("check.md")


def _table(header: list[str], rows: Iterable[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _browsers(kind: str, name: str) -> str:
    """The versions of the recorded browsers that list `name`."""
    return ", ".join(
        target.split("-")[1] for target in recorded_targets() if name in getattr(target_named(target), kind)
    )


def _operators(names: tuple[str, ...]) -> str:
    shown = ", ".join(f"`{camel(name)}`" for name in names)
    return "all reductions except `reduceProduct`" if len(names) > 5 else shown


def rules() -> str:
    """The table of the rules."""
    rows = (
        [
            rule.words or _operators(rule.operators),
            rule.allowed.removeprefix("takes "),
            rule.proposal,
            _browsers("rules", rule.name),
        ]
        for rule in RULES.values()
    )
    return _table(["operators", "accepted", "alternative", "Chromium"], rows)


def notes() -> str:
    """The table of the notes."""
    rows = (
        [_operators(note.operators), note.difference, note.proposal, _browsers("notes", note.name)]
        for note in NOTES.values()
    )
    return _table(["operators", "the browser", "alternative", "Chromium"], rows)


def page(before: str) -> str:
    """The page with its tables as they are now."""
    for name, table in (("rules", rules()), ("notes", notes())):
        mark = f"<!-- {name}, by python -m docs.generate_rules -->\n"
        replaced = re.compile(rf"(?<={re.escape(mark)}\n)(?:\|.*\n)*")
        assert replaced.search(before), f"docs/check.md has no place for the {name}"
        before = replaced.sub(lambda _, rows=table: rows, before, count=1)  # type: ignore[misc]
    return before


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write the tables of docs/check.md.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if the page is stale")
    written = PAGE.read_text(encoding="utf-8")
    if not parser.parse_args().check:
        PAGE.write_text(page(written), encoding="utf-8")
    elif page(written) != written:
        sys.exit("docs/check.md is stale: python -m docs.generate_rules")
