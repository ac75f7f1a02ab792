"""Every right-hand side of the migration tables runs, and the tables have every name of pywebnn."""

from __future__ import annotations

import ast
import asyncio
import inspect
import json
import re
from collections.abc import Awaitable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from webnn.errors import NotSupportedError

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = (ROOT / "docs" / "migration.md").read_text(encoding="utf-8")
NAMES: Final[dict[str, list[str]]] = json.loads((ROOT / "tests" / "data" / "pywebnn_names.json").read_text())
"""The public names of pywebnn 0.5.12: those of its stubs, and those that its classes have besides."""


class Row(NamedTuple):
    """A row of a table: what is written elsewhere, and what is written here."""

    section: str
    elsewhere: str
    here: str


def rows(page: str) -> list[Row]:
    """All rows of all tables whose second column is called "here"."""
    found = []
    for section, text in re.findall(r"^## From (.+?)\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL):
        table = re.findall(r"^\|.*\|$", text, re.MULTILINE)
        if not table:  # prose
            continue
        header, _, *lines = table
        assert [cell.strip() for cell in cells(header)][1] == "here"
        for line in lines:
            elsewhere, here, _ = (cell.strip() for cell in cells(line))
            assert elsewhere[0] == elsewhere[-1] == here[0] == here[-1] == "`", f"not code: {line}"
            found.append(Row(section, elsewhere.strip("`"), here.strip("`")))
    return found


def cells(line: str) -> list[str]:
    return [cell.replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


async def runs(setup: str, code: str) -> None:
    """Run the page's program and then `code`, which may await."""
    names: dict[str, Any] = {}
    exec(setup, names)
    try:
        done = eval(compile(code, "migration.md", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
        if inspect.iscoroutine(done):
            assert isinstance(done, Awaitable)
            await done
    finally:
        names["context"].destroy()


SETUP: Final = "".join(re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize("section", ["onnxruntime", "PyTorch", "the browser's JavaScript", "pywebnn"])
def test_every_right_hand_side_runs(section: str) -> None:
    async def all_rows() -> list[str]:
        failed = []
        for row in table:
            try:
                await runs(SETUP, row.here)
            except NotSupportedError:
                if ".mlpackage" not in row.here or find_spec("coremltools") is not None:
                    raise
            except Exception as error:
                failed.append(f"{row.here}: {type(error).__name__}: {error}")
        return failed

    table = [row for row in rows(PAGE) if row.section == section]
    assert len(table) >= 20
    assert asyncio.run(all_rows()) == []


def test_a_right_hand_side_that_does_not_run_is_found() -> None:
    with pytest.raises(AttributeError, match=r"write builder\.conv_transpose2d"):
        asyncio.run(runs(SETUP, "builder.convTranspose2d(image, weights)"))
    with pytest.raises(ValueError, match="another context"):
        asyncio.run(runs(SETUP, "await webnn.create_context().read_tensor(tx)"))


def covered(table: list[Row]) -> set[str]:
    """The names at the beginning of the left-hand sides, with the class before them."""
    return {match[0].replace("()", "") for row in table if (match := re.match(r"\w+(\(\))?(\.\w+)?", row.elsewhere))}


def test_the_table_has_every_name_of_pywebnn() -> None:
    expected = {f"{cls}.{name}" for cls, names in NAMES.items() for name in names}
    named = covered([row for row in rows(PAGE) if row.section == "pywebnn"])
    assert expected - named == set()
    assert len(expected) > 130
    assert named - expected <= set(NAMES)
    assert "MLContext.read_tensor" not in covered([row for row in rows(PAGE) if row.section == "onnxruntime"])
