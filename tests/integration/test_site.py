"""The site builds without a warning, and every public name and every operator has a page."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import webnn
from docs import generate_reference
from webnn.graph.operator import OPERATORS

pytest.importorskip("sphinx", reason="needs the extra docs, as make test installs it")

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the built site."""
    folder = tmp_path_factory.mktemp("site")
    options = ["-W", "--keep-going", "--quiet", "--doctree-dir", str(folder / "doctrees")]
    command = [sys.executable, "-m", "sphinx", *options, str(ROOT / "docs"), str(folder / "html")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    return folder / "html"


@pytest.mark.timeout(180)
def test_every_public_name_has_a_page_with_its_signature(site: Path) -> None:
    assert generate_reference.missing_from_sections() == set()
    for name in set(webnn.__all__) - {"errors"}:
        assert f'id="webnn.{name}"' in (site / "reference" / f"{name}.html").read_text(encoding="utf-8")


@pytest.mark.timeout(180)
def test_every_operator_has_a_page_with_its_signature(site: Path) -> None:
    for name in OPERATORS:
        page = (site / "operators" / f"{name}.html").read_text(encoding="utf-8")
        assert f'id="webnn.MLGraphBuilder.{name}"' in page


@pytest.mark.timeout(180)
def test_every_error_is_on_the_page_of_errors(site: Path) -> None:
    page = (site / "reference" / "errors.html").read_text(encoding="utf-8")
    assert [name for name in webnn.errors.__all__ if f"webnn.errors.{name}" not in page.replace("<wbr>", "")] == []


def test_a_name_without_a_page_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webnn, "__all__", [*webnn.__all__, "forgotten"])
    assert generate_reference.missing_from_sections() == {"forgotten"}
