"""mypy and pyright find in `surface.py` the types that stand there, and the mistakes that are marked there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[3]
SURFACE: Final = Path(__file__).with_name("surface.py")

WRONG: Final = """\
from typing import assert_type
from webnn import MLContext, MLGraph, Promise

def use(context: MLContext, promise: Promise[int]) -> None:
    assert_type(promise.result(), str)
    assert_type(context.create_tensor([2], "float32"), MLGraph)
    context.write_tensor([2], "float64")
    context.memory_info()  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
"""
"""Four lines that are wrong, so that a checker that sees nothing is seen."""

pytestmark = [
    pytest.mark.skipif(not (ROOT / "webnn").is_dir(), reason="the sources are not beside the tests"),
    pytest.mark.timeout(600),  # a first run reads everything that is imported
]


def run(*command: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    return done.stdout


def mypy(folder: Path) -> list[str]:
    paths = sorted(folder.glob("*.py"))
    found = run("mypy", *map(str, paths)).splitlines()
    # By name, since what comes out of its cache may have the path of the last time.
    return [line for line in found if line.partition(".py:")[0].endswith(tuple(f"/{path.stem}" for path in paths))]


def pyright(folder: Path) -> list[str]:
    settings = {
        "extraPaths": [str(ROOT)],
        "pythonVersion": "3.11",
        "enableTypeIgnoreComments": False,  # those are for mypy
        "reportUnnecessaryTypeIgnoreComment": "error",
    }
    project = folder / "pyrightconfig.json"
    project.write_text(json.dumps(settings), encoding="utf-8")
    output = run("pyright", "--pythonpath", sys.executable, "--outputjson", "--project", str(project))
    if not output.startswith("{"):
        pytest.skip("pyright does not run here: it needs Node.js, or a network to get it")
    report = json.loads(output)
    assert report["summary"]["filesAnalyzed"] == 2
    return [
        f"{each['file']}:{each['range']['start']['line'] + 1}: {each['message']}"
        for each in report["generalDiagnostics"]
    ]


CHECKERS: Final = {"mypy": mypy, "pyright": pyright}


@pytest.mark.parametrize("checker", CHECKERS)
def test_checkers_find_the_types_that_are_written_and_nothing_else(tmp_path: Path, checker: str) -> None:
    pytest.importorskip(checker)
    (tmp_path / "surface.py").write_bytes(SURFACE.read_bytes())
    (tmp_path / "wrong.py").write_text(WRONG, encoding="utf-8")
    found = CHECKERS[checker](tmp_path)
    wrong = [line for line in found if "wrong.py" in line]
    assert [line for line in found if line not in wrong] == []
    assert [f"wrong.py:{number}:" in line for number, line in zip(range(5, 9), wrong, strict=True)] == [True] * 4
