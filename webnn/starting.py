"""Ctrl-C while the command `webnn` imports the package: it ends the command without a traceback.

A console script imports the package before it calls anything, so `webnn.cli.main` is too late. Programs that import the
package get a `KeyboardInterrupt`, as in any import.
"""

from __future__ import annotations

import sys
import threading

__all__ = ["is_command", "started"]


def is_command(program: str) -> bool:
    """Whether the first of `sys.argv` is the command's: its script, or what `python -m webnn` has for so long."""
    return program == "-m" or program.replace("\\", "/").rpartition("/")[2] in {"webnn", "webnn.exe"}


def _made_quiet() -> bool:
    """Whether Ctrl-C ends the command from now on, instead of raising an exception."""
    if not is_command(sys.argv[0] if getattr(sys, "argv", None) else ""):
        return False
    import signal  # noqa: PLC0415 (its enumerations take half a millisecond, and most programs are not the command)

    is_usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not is_usual or threading.current_thread() is not threading.main_thread():
        return False
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    return True


_quiet = _made_quiet()


def started() -> None:
    """The package is imported: Ctrl-C is an exception again."""
    if not _quiet:
        return
    import signal  # noqa: PLC0415 (see above)

    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
