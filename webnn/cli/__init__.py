"""The command line: `webnn info MODEL`, `webnn check MODEL --target chromium-147` and so on; see docs/cli.md.

It stands on everything else and nothing stands on it. What it needs beyond the library is the extra `cli`.
"""

from __future__ import annotations

import io
import sys
from importlib import import_module
from importlib.util import find_spec
from typing import Final

__all__ = ["main"]

NEEDS: Final = ("click", "rich")


def main() -> int:
    """What the console script and `python -m webnn` call; gives the exit code."""
    missing = [name for name in NEEDS if find_spec(name) is None]
    if missing:
        print(
            f"webnn: the command line needs {' and '.join(missing)}: pip install 'webnn-runtime[cli]'", file=sys.stderr
        )
        return 1
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks a character is no reason to fail
    exit_code: int = import_module("webnn.cli.program").main()
    return exit_code
