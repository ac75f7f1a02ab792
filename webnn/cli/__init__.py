"""The command line: `webnn info MODEL`, `webnn check MODEL --target chromium-147` and so on; see docs/cli.md.

It stands on everything else and nothing stands on it. Its own dependencies are the extra `cli`.
"""

from __future__ import annotations

import io
import os
import sys
from importlib import import_module
from importlib.util import find_spec
from typing import Final

__all__ = ["main"]

NEEDS: Final = ("click", "rich")
INTERRUPTED: Final = 130


def main() -> int:
    """Run the command line, as the console script and `python -m webnn` do; returns the exit code."""
    missing = [name for name in NEEDS if find_spec(name) is None]
    if missing:
        print(
            f"webnn: the command line needs {' and '.join(missing)}: pip install 'webnn-runtime[cli]'", file=sys.stderr
        )
        return 1
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks a character must not end the command
    try:
        exit_code: int = import_module("webnn.cli.program").main()
    except KeyboardInterrupt:
        exit_code = INTERRUPTED
    if exit_code == INTERRUPTED:
        # Python would wait for its threads, which may compile for minutes, and show what a second Ctrl-C interrupts.
        print("webnn: interrupted", file=sys.stderr, flush=True)
        os._exit(INTERRUPTED)
    return exit_code
