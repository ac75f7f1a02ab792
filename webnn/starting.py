"""Ctrl-C while the command `webnn` imports the package: it ends the command without a traceback.

A console script imports the package before it calls anything, so `webnn.cli.main` is too late. Programs that import the
package get a `KeyboardInterrupt`, as in any import.
"""

from __future__ import annotations

import signal
import sys
import threading

__all__ = ["is_command", "started"]


def is_command(program: str) -> bool:
    """Whether the first of `sys.argv` is the command's: its script, or what `python -m webnn` has for so long."""
    return program == "-m" or program.replace("\\", "/").rpartition("/")[2] in {"webnn", "webnn.exe"}


_quiet = (
    is_command(sys.argv[0] if getattr(sys, "argv", None) else "")
    and threading.current_thread() is threading.main_thread()
    and signal.getsignal(signal.SIGINT) is signal.default_int_handler
)
if _quiet:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def started() -> None:
    """The package is imported: Ctrl-C is an exception again."""
    if _quiet and signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
