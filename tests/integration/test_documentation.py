"""The examples in the documentation run, its links lead somewhere, and the map of the packages is complete."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
import subprocess
import sys
import tomllib
from collections.abc import Collection
from pathlib import Path

import pytest

import webnn

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "development").glob("*.md")])
ONE_PROGRAM = frozenset({"tutorial.md"})
"""Pages whose blocks belong together: each goes on where the one before has ended."""
MODULES = sorted(
    info.name for info in pkgutil.walk_packages(webnn.__path__, "webnn.") if not info.name.endswith("__main__")
)


def blocks(page: Path) -> list[tuple[str, str]]:
    """The page's Python programs, each with what it prints, if the page says that in a block `output` after it.

    What is only a part of a program is marked `py` and not run.
    """
    pattern = r"^```python\n(.*?)^```$(?:\n\n^```output\n(.*?)^```$)?"
    found = re.findall(pattern, page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    if page.name not in ONE_PROGRAM:
        return found
    return [("\n".join(program for program, _ in found), "".join(output for _, output in found))]


@pytest.mark.parametrize(
    ("program", "output"),
    [pytest.param(*block, id=f"{page.name}-{i}") for page in PAGES for i, block in enumerate(blocks(page))],
)
def test_the_programs_of_a_page_run(program: str, output: str) -> None:
    command = [sys.executable, "-W", "error", "-c", program]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert (result.returncode, result.stderr) == (0, "")
    assert output in ("", result.stdout)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_modules_a_page_names_exist(page: Path) -> None:
    named = re.findall(
        r"`((?:webnn|scheduler|memory|backends|tests|docs|benchmarks|examples)/[\w/.]+)`", page.read_text()
    )
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_in_docstrings_run(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0


def folders_of_the_wheel() -> set[str]:
    """Where each package of the wheel stands in the repository."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    elsewhere = settings["package-dir"]
    folders = set()
    for package in settings["packages"]:
        top = next((name for name in elsewhere if f"{package}.".startswith(f"{name}.")), None)
        folders.add((package if top is None else elsewhere[top] + package.removeprefix(top)).replace(".", "/"))
    return folders


def differences(page: str, folders: Collection[str]) -> list[str]:
    """The folders that only one side has: the table of packages on the page, or `folders`."""
    rows = re.findall(r"^\| `([\w/]+)/` \| .+ \|$", page, re.MULTILINE)
    repeated = [f"{row} is there twice" for row in sorted(set(rows)) if rows.count(row) > 1]
    missing = [f"{folder} is not on the map" for folder in sorted(set(folders) - set(rows))]
    return [*repeated, *missing, *(f"{row} is not a package" for row in sorted(set(rows) - set(folders)))]


MAP = ROOT / "docs" / "architecture.md"


def test_the_map_names_every_package_of_the_wheel() -> None:
    assert differences(MAP.read_text(encoding="utf-8"), folders_of_the_wheel()) == []


def test_a_package_that_the_map_lacks_is_found() -> None:
    page = MAP.read_text(encoding="utf-8") + "\n| `webnn/cli/` | again |\n| `webnn/gone/` | of long ago |\n"
    assert differences(page, {*folders_of_the_wheel(), "webnn/new"}) == [
        "webnn/cli is there twice",
        "webnn/new is not on the map",
        "webnn/gone is not a package",
    ]


def test_the_modules_that_the_map_names_without_a_folder_exist() -> None:
    named = set(re.findall(r"`(\w+\.py)`", MAP.read_text(encoding="utf-8")))
    there = {path.name for folder in folders_of_the_wheel() for path in (ROOT / folder).glob("*.py")}
    assert named - there == set()
