"""The tables of rules and notes in the documentation are those of the code."""

from __future__ import annotations

import pytest

generator = pytest.importorskip("docs.generate_rules", reason="the sources are not beside the tests")


def test_the_tables_of_rules_are_up_to_date() -> None:
    written = generator.PAGE.read_text(encoding="utf-8")
    assert generator.page(written) == written, "python -m docs.generate_rules"


def test_a_changed_table_would_be_seen() -> None:
    written = generator.PAGE.read_text(encoding="utf-8")
    changed = written.replace("| `pad` |", "| `pads` |")
    assert changed != written
    assert generator.page(changed) == written
