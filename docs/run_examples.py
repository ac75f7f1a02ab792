"""Runs the commands in `docs/cli.md` and `docs/browser.md`, and writes down what they answer.

  python -m docs.run_examples [--check]

In a page's `console` blocks, lines that begin with `$` are commands. Those of `webnn` are run, in order, in one new
folder, as on a machine that has the package's own backends; `cat` writes the file that it shows. Other commands, and
blocks of another kind, are left as they are.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final
from unittest.mock import patch

import onnx

from webnn.backends.registry import BackendInfo, available_backends
from webnn.cli.commands import devices
from webnn.cli.program import main
from webnn.targets import target

__all__ = ["PAGES", "answered", "stale"]

PAGES: Final = tuple(Path(__file__).with_name(name) for name in ("cli.md", "browser.md"))
MODEL: Final = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light" / "light_squeezenet.onnx"
"""A real network that everybody has who has the onnx package."""
BACKENDS: Final = ("onnxruntime", "arrays", "null")
SETTINGS: Final[Mapping[str, str]] = {"COLUMNS": "118", "TERM": "dumb", "NO_COLOR": "1"}


def answered(page: str) -> str:
    """The page with every answer replaced by what the command says now; after a failure comes the exit code."""
    with _folder():
        return re.sub(r"^```console\n(.*?)^```$", _block, page, flags=re.MULTILINE | re.DOTALL)


def stale(page: str) -> bool:
    """Whether a command answers something else now; sizes of files, which any change of a format alters, aside."""
    then, now = (re.sub(r"[\d.]+ [kM]?B\b", "", text) for text in (page, answered(page)))
    return then != now


@contextlib.contextmanager
def _folder() -> Iterator[None]:
    """A new folder with the page's model in it, as the current one."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        stack.enter_context(contextlib.chdir(folder))
        stack.enter_context(patch.dict(os.environ, SETTINGS))
        for module in (target, devices):
            stack.enter_context(patch.object(module, "available_backends", _own_backends))
        shutil.copy(MODEL, "squeezenet.onnx")
        yield


def _own_backends() -> list[BackendInfo]:
    return [info for info in available_backends() if info.name in BACKENDS]


def _block(block: re.Match[str]) -> str:
    lines = []
    for command, answer in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block[1], re.MULTILINE):
        program, *words = shlex.split(command)
        if program == "cat":
            Path(words[0]).write_text(answer, encoding="utf-8")
        lines.append(f"$ {command}\n{_answer(words) if program == 'webnn' else answer}")
    return f"```console\n{''.join(lines)}```"


def _answer(words: list[str]) -> str:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        code = main(words)
    lines = [line.rstrip() for line in printed.getvalue().strip("\n").splitlines()]
    return "".join(f"{line}\n" for line in [*lines, *([f"exit code {code}"] if code else [])])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Run the commands in the documentation.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a page is stale")
    only_check = parser.parse_args().check
    for path in PAGES:
        before = path.read_text(encoding="utf-8")
        if not only_check:
            path.write_text(answered(before), encoding="utf-8")
        elif stale(before):
            sys.exit(f"docs/{path.name} is stale: python -m docs.run_examples")
