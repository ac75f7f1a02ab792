"""What is installed: `webnn` and nothing else, with every module that the folders hold."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import webnn

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = {"webnn": "webnn", "scheduler": "webnn/scheduler", "memory": "webnn/memory", "backends": "webnn/backends"}
"""Where each folder of the repository is installed."""

SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """A wheel, built from a copy of the sources as they are in a clone without symbolic links."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, source / folder, ignore=_links_and_caches)
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, source)
    build = f"from setuptools import build_meta; build_meta.build_wheel({str(target)!r})"
    subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True)
    (built,) = target.glob("*.whl")
    return zipfile.ZipFile(built)


def _links_and_caches(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if name == "__pycache__" or (Path(folder) / name).is_symlink()]


def test_only_webnn_lands_in_site_packages(wheel: zipfile.ZipFile) -> None:
    top = {name.split("/")[0] for name in wheel.namelist()}
    assert top == {"webnn", f"webnn_runtime-{webnn.__version__}.dist-info"}


def test_the_wheel_holds_every_file_of_the_folders(wheel: zipfile.ZipFile) -> None:
    expected = {
        f"{package}/{Path(path, file).relative_to(ROOT / folder).as_posix()}"
        for folder, package in FOLDERS.items()
        for path, _, files in os.walk(ROOT / folder)  # does not follow links, so each folder is met once
        for file in files
        if not file.endswith(".pyc")
    }
    assert {name for name in wheel.namelist() if name.startswith("webnn/")} == expected


def test_the_wheel_has_the_licence(wheel: zipfile.ZipFile) -> None:
    assert any(name.endswith("/LICENSE") for name in wheel.namelist())


def test_the_version_is_the_same_everywhere() -> None:
    assert SETTINGS["project"]["version"] == webnn.__version__


def test_the_links_for_uninstalled_trees_point_at_the_folders() -> None:
    for folder, package in FOLDERS.items():
        if package != folder:
            assert (ROOT / package).resolve() == ROOT / folder


def test_every_entry_point_is_a_backend_of_that_name() -> None:
    points = SETTINGS["project"]["entry-points"]["webnn.backends"]
    known = {info.name for info in webnn.available_backends()}
    assert set(points) <= known
