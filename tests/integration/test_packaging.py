"""What is installed: `webnn` and nothing else, with every module that the folders hold."""

from __future__ import annotations

import email
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
    for file in ("pyproject.toml", "README.md", "LICENSE"):  # and the licence of dagre, in its folder
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


def test_the_metadata_names_the_licences_and_the_pythons(wheel: zipfile.ZipFile) -> None:
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    metadata = email.message_from_bytes(wheel.read(name))
    assert metadata["License-Expression"] == "Apache-2.0 AND MIT"
    assert {"LICENSE", "webnn/view/dagre/LICENSE"} == set(metadata.get_all("License-File", []))
    classifiers = metadata.get_all("Classifier", [])
    newest = max(
        int(line.rpartition(".")[2]) for line in classifiers if line.startswith("Programming Language :: Python :: 3.")
    )
    named = [f"Programming Language :: Python :: 3.{minor}" for minor in range(11, newest + 1)]
    assert [line for line in named if line not in classifiers] == []
    assert metadata["Requires-Python"] == ">=3.11"
    assert {"Typing :: Typed", "Framework :: AsyncIO", "Framework :: Trio"} <= set(classifiers)


IMPORTS = """
import time, numpy
started = time.perf_counter()
import webnn
print(time.perf_counter() - started)
"""
"""How long the import of the package takes when NumPy is there."""


def test_the_wheel_imports_in_less_than_0_3_seconds_on_top_of_numpy(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    wheel.extractall(tmp_path)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-c", IMPORTS]
    seconds = []
    for _ in range(5):  # the first one compiles; the machine may be busy with other things meanwhile
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, cwd=tmp_path)
        seconds.append(float(done.stdout))
    assert min(seconds) < 0.3


def test_every_file_that_helps_to_contribute_is_there() -> None:
    for name in ("SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/development/releasing.md"):
        assert (ROOT / name).read_text(encoding="utf-8").startswith("# ")
