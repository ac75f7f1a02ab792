"""Graphs for the commands, in a folder of their own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.drafts import SUFFIX
from webnn.cli import models


@pytest.fixture(autouse=True)
def drafts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A reader of drafts; the current folder is a new one."""
    monkeypatch.setitem(models.READERS, SUFFIX, models.Reader("tests.drafts:read_draft", ("shapes",)))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")


@pytest.fixture
def draft(tmp_path: Path) -> Callable[[str], str]:
    def write(name: str) -> str:
        (tmp_path / f"{name}{SUFFIX}").write_text(name, encoding="utf-8")
        return f"{name}{SUFFIX}"

    return write
