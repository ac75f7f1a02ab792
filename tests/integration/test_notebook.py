"""The notebook of the first steps runs from its first cell to its last.

Needs the packages nbclient and ipykernel, which `make serving` installs in an environment of its own.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = Path(__file__).resolve().parents[2] / "examples" / "first_steps.ipynb"


def cells() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return found


def test_it_is_stored_without_results() -> None:
    assert [cell["id"] for cell in cells() if cell.get("outputs") or cell.get("execution_count")] == []


def test_every_cell_runs_and_shows_what_it_should() -> None:
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    notebook = nbformat.read(NOTEBOOK, 4)
    client = nbclient.NotebookClient(
        notebook, timeout=50, kernel_name="python3", resources={"metadata": {"path": str(NOTEBOOK.parent)}}
    )
    client.execute()
    text = "\n".join(
        output.get("text", "") + output.get("data", {}).get("text/plain", "")
        for cell in notebook.cells
        for output in cell.get("outputs", [])
    )
    assert "[[3., 5.],\n       [7., 9.]]" in text
    assert "input 'x'" in text
    assert "[4.0, 12.0, 20.0, 28.0, 36.0]" in text
    assert "[[15., 15.],\n       [15., 15.]]" in text
