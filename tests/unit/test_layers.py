"""Imports point one way: nine floors, one staircase."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(not (ROOT / "webnn").is_dir(), reason="the sources are not beside the tests")

FLOORS: Final = (
    "webnn.errors",
    "webnn.forking",
    "webnn.graph",
    "webnn.memory",
    "webnn.backends",
    "webnn.scheduler",
    "webnn.runtime",
    "webnn.formats",
    "webnn.cli",
)
"""Each may import itself and what stands before it."""

ONLY: Final = {("webnn.scheduler", "webnn.backends"): ("webnn.backends.base",)}
"""Where one floor may import no more than these modules of another."""

ELSEWHERE: Final = ("scheduler", "memory", "backends")
"""Folders that stand at the top of the repository; their bare names would import every class a second time."""


def packages() -> dict[str, Path]:
    """Every folder of modules, by the package that it is installed as."""
    found = {}
    for folder, package in [("webnn", "webnn"), *((name, f"webnn.{name}") for name in ELSEWHERE)]:
        for path, _, files in os.walk(ROOT / folder):  # does not follow links, so each folder is met once
            if "__init__.py" in files:
                found[".".join([package, *Path(path).relative_to(ROOT / folder).parts])] = Path(path)
    return found


def modules() -> dict[str, str]:
    """Every module of the package with its source, by the name it is imported by."""
    found = {}
    for package, folder in packages().items():
        for path in folder.glob("*.py"):
            name = package if path.name == "__init__.py" else f"{package}.{path.stem}"
            found[name] = path.read_text(encoding="utf-8")
    return found


def floor_of(module: str) -> str | None:
    return next((floor for floor in FLOORS if module == floor or module.startswith(floor + ".")), None)


def imports(source: str, known: Mapping[str, str]) -> Iterator[tuple[int, str]]:
    """Line and module of every import in `source`, also those inside functions; `known` tells modules from names."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            for alias in node.names:
                inner = f"{module}.{alias.name}"
                yield node.lineno, inner if inner in known else module


def violations(sources: Mapping[str, str]) -> list[str]:
    """Every import that points up the stairs, or goes around them."""
    found = []
    for module, source in sources.items():
        here = floor_of(module)
        for line, target in imports(source, sources):
            there = floor_of(target)
            where = f"{module}:{line} imports {target}"
            if target.startswith("."):
                found.append(f"{where}: relative")
            elif target.split(".")[0] in ELSEWHERE:
                found.append(f"{where}: the bare name makes a second copy")
            elif target == "webnn" and module != "webnn":
                found.append(f"{where}: import from the module that defines the name")
            elif here is None or there is None:
                continue
            elif FLOORS.index(there) > FLOORS.index(here):
                found.append(f"{where}: {here} stands below {there}")
            elif target not in ONLY.get((here, there), (target,)):
                found.append(f"{where}: only {' and '.join(ONLY[here, there])} may be")
    return found


def test_imports_point_one_way() -> None:
    assert violations(modules()) == []


def test_every_module_stands_on_a_floor() -> None:
    assert [
        module for module in modules() if floor_of(module) is None and module not in ("webnn", "webnn.__main__")
    ] == []


@pytest.mark.parametrize(
    ("module", "source", "message"),
    [
        ("webnn.graph.ir", "from webnn.runtime.context import MLContext", "webnn.graph stands below webnn.runtime"),
        ("webnn.graph.ir", "def f():\n    import webnn.memory.pool", "webnn.graph.ir:2 imports webnn.memory.pool"),
        ("webnn.graph.ir", "from webnn import MLContext", "import from the module that defines the name"),
        ("webnn.backends.null", "from webnn.scheduler import lane", "webnn.backends stands below webnn.scheduler"),
        ("webnn.scheduler.lane", "from webnn.backends.arrays import backend", "only webnn.backends.base may be"),
        ("webnn.scheduler.lane", "import scheduler.task", "the bare name makes a second copy"),
        ("webnn.memory.pool", "from . import buffer", "relative"),
    ],
)
def test_an_import_up_the_stairs_is_found(module: str, source: str, message: str) -> None:
    found = violations({**modules(), module: source})
    assert len(found) == 1
    assert message in found[0]


def test_an_import_down_the_stairs_is_fine() -> None:
    source = "import numpy\nfrom webnn.backends import base\nfrom webnn.graph.ir import Graph\n"
    assert violations({**modules(), "webnn.scheduler.lane": source}) == []


def circle_among(package: str, sources: Mapping[str, str]) -> list[str]:
    """Modules of `package` that import each other in a circle, imports for type checking included; empty if none do."""
    inside = {module for module in sources if module.startswith(f"{package}.")}
    imported = {module: inside & {target for _, target in imports(sources[module], sources)} for module in inside}
    try:
        TopologicalSorter(imported).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_the_runtime_has_no_circle_even_for_type_checking() -> None:
    assert circle_among("webnn.runtime", modules()) == []


def test_a_circle_for_type_checking_would_be_found() -> None:
    source = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from webnn.runtime.context import MLContext\n"
    circle = circle_among("webnn.runtime", {**modules(), "webnn.runtime.device": source})
    assert {"webnn.runtime.device", "webnn.runtime.context"} <= set(circle)


def loaded_by(statement: str) -> set[str]:
    """The modules in `sys.modules` of a new interpreter after `statement`."""
    script = f"import sys\n{statement}\nprint(*sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment, cwd=ROOT
    )
    return set(result.stdout.split())


def concrete_backends(loaded: set[str]) -> set[str]:
    """Those of the loaded modules that belong to one backend: in a folder of their own, or `null`."""
    folders = [path.name for path in (ROOT / "backends").iterdir() if (path / "__init__.py").is_file()]
    prefixes = tuple(f"webnn.backends.{name}" for name in [*folders, "null"])
    return {module for module in loaded if module.startswith(prefixes)}


def test_importing_the_package_loads_no_backend() -> None:
    loaded = loaded_by("import webnn")
    assert concrete_backends(loaded) == set()
    assert loaded & {"onnxruntime", "onnx", "cupy", "tensorrt", "coremltools"} == set()
    assert loaded & set(ELSEWHERE) == set()


def test_importing_the_package_loads_no_reader_of_models() -> None:
    loaded = {module for module in loaded_by("import webnn") if module.startswith("webnn.formats.")}
    assert {
        module for module in loaded if module.startswith(("webnn.formats.onnx.", "webnn.formats.webnn_text."))
    } == set()


def test_a_loaded_backend_would_be_seen() -> None:
    assert concrete_backends(loaded_by("import webnn.backends.arrays.backend")) >= {"webnn.backends.arrays.backend"}


def test_the_bare_names_are_not_imported_here() -> None:
    assert [name for name in ELSEWHERE if name in sys.modules] == []


def test_the_packages_of_the_wheel_are_the_folders() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    assert set(settings["packages"]) == set(packages())
    assert settings["package-dir"] == {f"webnn.{name}": name for name in ELSEWHERE}
