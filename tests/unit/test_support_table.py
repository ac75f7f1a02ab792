"""The page of operators is generated from the limits of the backends."""

from dataclasses import replace

import pytest

from webnn.graph.limits import SPEC_LIMITS, narrowed
from webnn.graph.operator import OPERATORS

generator = pytest.importorskip("docs.generate_support_table", reason="the sources are not beside the tests")


def test_the_page_is_not_stale() -> None:
    page = generator.PAGE.read_text(encoding="utf-8")
    assert page == generator.page(), "docs/operators.md is stale: run make docs"


def test_every_operator_has_a_row() -> None:
    rows = [line for line in generator.page().splitlines() if line.startswith("| [`")]
    assert len(rows) == len(OPERATORS)


def test_emulated_operators_exist() -> None:
    assert generator.emulated() - OPERATORS.keys() == set()


def test_the_gaps_of_a_backend_are_listed() -> None:
    rows = SPEC_LIMITS["conv2d"]
    limits = narrowed({"conv2d": {"input": ["float16"], "filter": replace(rows["filter"], rank=3)}})
    words = generator.missing("conv2d", limits)
    assert words == "float16 for `input`; other ranks than 3 for `filter`"
    assert generator.missing("conv2d", SPEC_LIMITS) == ""
