"""Every test of single nodes that the ONNX standard has, imported, against the table of what is in reach."""

from __future__ import annotations

import pytest

from tests.conformance.onnx_backend import TABLE, cases, row
from webnn.backends.registry import backend_named

LINES = [line for line in TABLE.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
ROWS = {line.split("|")[1].strip(): line for line in LINES[2:]}


@pytest.mark.parametrize("op_type", list(cases()))
def test_the_nodes_of_an_operator_are_imported_as_far_as_the_table_says(op_type: str, backend_name: str) -> None:
    assert row(op_type, backend_named(backend_name)) == ROWS[op_type]


def test_every_operator_of_the_table_is_tested() -> None:
    assert list(ROWS) == list(cases())
