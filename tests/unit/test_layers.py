"""Imports point one way: fourteen floors, one staircase; no circle between modules, and no crowded folder."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(not (ROOT / "webnn").is_dir(), reason="the sources are not beside the tests")

FLOORS: Final = (
    "webnn.errors",
    "webnn.forking",
    "webnn.starting",
    "webnn.graph",
    "webnn.memory",
    "webnn.backends",
    "webnn.scheduler",
    "webnn.runtime",
    "webnn.formats",
    "webnn.targets",
    "webnn.view",
    "webnn.model",
    "webnn.browsers",
    "webnn.serving",
    "webnn.cli",
)
"""Each may import itself and what stands before it."""

ONLY: Final = {("webnn.scheduler", "webnn.backends"): ("webnn.backends.base",)}
"""Where one floor may import no more than these modules of another."""

CROWDED: Final = 32
"""The most modules in one folder, `__init__` not counted."""
ROOMS: Final = {"webnn.formats.onnx": ("file", "importing", "patterns", "operators")}
"""The folders of a package that is parted like the floors: each may import itself and what stands before it."""

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


def run_time_imports(source: str, known: Mapping[str, str]) -> set[str]:
    """The modules that `source` imports when it runs, at the top and in functions; not those for type checkers."""

    class WithoutTypeChecking(ast.NodeTransformer):
        def visit_If(self, node: ast.If) -> Any:
            for_types = ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")
            return [self.visit(child) for child in node.orelse] if for_types else self.generic_visit(node)

    return all_imports(ast.unparse(WithoutTypeChecking().visit(ast.parse(source))), known)


def all_imports(source: str, known: Mapping[str, str]) -> set[str]:
    """The modules that `source` imports, also for type checkers alone."""
    return {module for _, module in imports(source, known) if module in known}


def circles(sources: Mapping[str, str], types_too: bool = False) -> list[list[str]]:
    """The groups of modules that import each other, directly or through others (Tarjan's algorithm).

    Imports for type checkers count only with `types_too`.
    """
    imported = all_imports if types_too else run_time_imports
    reads = {module: imported(source, sources) - {module} for module, source in sources.items()}
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(module: str) -> None:
        number[module] = lowest[module] = len(number)
        stack.append(module)
        for target in sorted(reads[module]):
            if target not in number:
                visit(target)
                lowest[module] = min(lowest[module], lowest[target])
            elif target in stack:
                lowest[module] = min(lowest[module], number[target])
        if lowest[module] == number[module]:
            group = stack[stack.index(module) :]
            del stack[-len(group) :]
            if len(group) > 1:
                found.append(sorted(group))

    for module in sorted(sources):
        if module not in number:
            visit(module)
    return sorted(found)


def crowded(sources: Mapping[str, str], folders: Collection[str]) -> dict[str, int]:
    """The packages among `folders` that have too many modules, with their number."""
    counts = Counter(module.rpartition(".")[0] for module in sources if module not in folders)
    return {package: count for package, count in counts.items() if count > CROWDED}


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


def owner_of(module: str) -> str:
    """The floor of a module, whose modules share their private names; or its folder."""
    return floor_of(module) or module.rpartition(".")[0]


def names_in(source: str) -> Iterator[str]:
    """The names that `source` defines, and those in its texts: slots, and what tests for attributes."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield name
            case ast.Constant(value=str(name)):
                yield name


def reaches(sources: Mapping[str, str]) -> list[str]:
    """Every use of a private attribute of an object that modules of another floor define."""
    own: dict[str, set[str]] = {}
    for module, source in sources.items():
        own.setdefault(owner_of(module), set()).update(names_in(source))
    names = {name for names in own.values() for name in names}
    private = {name for name in names if name.startswith("_") and not name.endswith("_")}  # not Python's, or IPython's
    found = []
    for module, source in sources.items():
        for node in ast.walk(ast.parse(source)):
            if not isinstance(node, ast.Attribute) or node.attr not in private - own[owner_of(module)]:
                continue
            if not isinstance(node.value, ast.Name) or node.value.id not in ("self", "cls"):
                found.append(f"{module}:{node.lineno} uses {ast.unparse(node)}")
    return found


def test_no_package_uses_private_attributes_of_another() -> None:
    assert reaches(modules()) == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("def f(context):\n    return context._device.lanes", ["webnn.serving.new:2 uses context._device"]),
        ("class A:\n    def f(self):\n        return self._device", []),  # of a class that it extends
        ("def f(a):\n    a._own = 1\n    return a._own", []),
        ("import os\nos._exit(1)", []),
    ],
)
def test_a_use_of_a_private_attribute_is_found(source: str, found: list[str]) -> None:
    assert reaches({**modules(), "webnn.serving.new": source}) == found


def room_of(package: str, module: str) -> str | None:
    room = module.removeprefix(f"{package}.").split(".")[0]
    return room if module.startswith(f"{package}.") and room in ROOMS[package] else None


def violations_inside(package: str, sources: Mapping[str, str]) -> list[str]:
    """Every import of a package's rooms that points to a later room, or to the package itself."""
    rooms, found = ROOMS[package], []
    for module, source in sources.items():
        here = room_of(package, module)
        if here is None:
            continue
        for _, target in imports(source, sources):
            there = room_of(package, target)
            if there is not None and rooms.index(there) > rooms.index(here):
                found.append(f"{module} imports {target}: {here} stands below {there}")
            elif target == package:
                found.append(f"{module} imports {target}: the package itself stands above its rooms")
    return found


@pytest.mark.parametrize("package", ROOMS)
def test_imports_between_the_rooms_of_a_package_point_one_way(package: str) -> None:
    assert violations_inside(package, modules()) == []


@pytest.mark.parametrize(
    ("module", "source", "message"),
    [
        ("importing.values", "from webnn.formats.onnx.operators import families", "importing stands below operators"),
        ("patterns.precision", "import webnn.formats.onnx", "the package itself stands above its rooms"),
    ],
)
def test_an_import_of_a_later_room_is_found(module: str, source: str, message: str) -> None:
    found = violations_inside("webnn.formats.onnx", {**modules(), f"webnn.formats.onnx.{module}": source})
    assert len(found) == 1
    assert message in found[0]


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


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert circles(modules()) == []


@pytest.mark.parametrize("package", ["webnn.runtime", "webnn.formats"])
def test_a_package_has_no_circle_for_type_checkers_either(package: str) -> None:
    sources = {name: source for name, source in modules().items() if name.startswith(f"{package}.")}
    assert circles(sources, types_too=True) == []


@pytest.mark.parametrize(
    "source",
    [
        "from webnn.memory.pool import BufferPool",
        "def f():\n    from webnn.memory import pool",
        "import typing\nif typing.TYPE_CHECKING:\n    import abc\nelse:\n    import webnn.memory.pool",
    ],
    ids=["at the top", "in a function", "beside the imports for types"],
)
def test_a_circle_is_found(source: str) -> None:
    """`webnn.memory.pool` imports the buffer through the allocator too."""
    sources = {**modules(), "webnn.memory.buffer": source}
    (group,) = (group for group in circles(sources) if "webnn.memory.buffer" in group)
    assert "webnn.memory.pool" in group


def test_an_import_for_type_checkers_makes_no_circle() -> None:
    source = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from webnn.memory.pool import BufferPool\n"
    sources = {**modules(), "webnn.memory.buffer": source}
    assert not any("webnn.memory.buffer" in group for group in circles(sources))
    assert any("webnn.memory.buffer" in group for group in circles(sources, types_too=True))


def test_no_folder_has_too_many_modules() -> None:
    assert crowded(modules(), packages()) == {}


def test_a_crowded_folder_is_found() -> None:
    more = {f"webnn.memory.pool{i}": "" for i in range(CROWDED)}
    assert crowded({**modules(), **more}, packages())["webnn.memory"] > CROWDED


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
