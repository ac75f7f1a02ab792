"""Whether an installed distribution plugs a backend in is told from its files, without `importlib.metadata`."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import zipfile
from importlib.machinery import PathFinder
from pathlib import Path

import pytest

from webnn.backends.plugins import GROUP, may_have_plugins, plugins

BUILT_IN = ("arrays", "onnxruntime")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder in which distributions are looked for."""
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.setattr(
        sys, "meta_path", [finder for finder in sys.meta_path if finder.__module__.startswith("_frozen")]
    )
    # The package importlib_metadata, which other packages import, has taken it away.
    monkeypatch.setattr(
        PathFinder, "find_distributions", importlib.metadata.MetadataPathFinder.find_distributions, raising=False
    )
    return tmp_path


def install(site: Path, entry_points: str | None, folder: str = "vendor-1.0.dist-info") -> None:
    info = site / folder
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: vendor\nVersion: 1.0\n")
    if entry_points is not None:
        (info / "entry_points.txt").write_text(entry_points)


@pytest.mark.parametrize(
    ("entry_points", "folder"),
    [
        (f"[{GROUP}]\nchip = vendor:Backend\n", "vendor-1.0.dist-info"),
        (f"[console_scripts]\nx = y:z\n\n[{GROUP}]\n  # ours\n arrays = a:B\nchip=vendor:Backend", "vendor.egg-info"),
        (f"[{GROUP}]\nchip = vendor:Backend\n[other]\nx = y:z\n", "Vendor.DIST-INFO"),
    ],
)
def test_the_plugin_of_a_distribution_is_found(site: Path, entry_points: str, folder: str) -> None:
    install(site, entry_points, folder)
    assert may_have_plugins(BUILT_IN)
    assert [(name, point.value) for name, point in plugins(BUILT_IN).items()] == [("chip", "vendor:Backend")]


@pytest.mark.parametrize(
    "entry_points",
    [
        None,
        "",
        "[console_scripts]\nwebnn = webnn.cli:main\n",
        f"[{GROUP}]\narrays = webnn.backends.arrays.backend:ArraysBackend\n",
        f"[{GROUP}]\n# chip = vendor:Backend\n",
        f"[other]\nchip = {GROUP}:Backend\n",
    ],
    ids=["no file", "empty", "other group", "ours", "comment", "other group, our name in a value"],
)
def test_other_entry_points_are_no_plugins(site: Path, entry_points: str | None) -> None:
    install(site, entry_points)
    assert not may_have_plugins(BUILT_IN)
    assert plugins(BUILT_IN) == {}


def test_folders_that_are_not_there_and_files_that_are_not_text_are_passed_over(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [str(site / "nowhere"), str(site)])
    install(site, "")
    (site / "vendor-1.0.dist-info" / "entry_points.txt").write_bytes(b"\xff\xfe")
    assert not may_have_plugins(BUILT_IN)


def test_an_archive_is_left_to_the_standard_library(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = site / "vendor.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("vendor-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: vendor\nVersion: 1.0\n")
        file.writestr("vendor-1.0.dist-info/entry_points.txt", f"[{GROUP}]\nchip = vendor:Backend\n")
    monkeypatch.setattr(sys, "path", [str(archive)])
    assert list(plugins(BUILT_IN)) == ["chip"]


def test_so_is_a_finder_of_distributions_that_is_not_pythons(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Finder:
        def find_distributions(self, context: object = None) -> list[object]:
            return []

    assert not may_have_plugins(BUILT_IN)
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder()])
    assert may_have_plugins(BUILT_IN)


def test_the_standard_librarys_metadata_is_not_imported_where_nothing_plugs_in() -> None:
    script = (
        "import sys; from webnn.backends.registry import preferred_backend; preferred_backend();"
        " assert 'importlib.metadata' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
