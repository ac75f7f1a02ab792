"""A process of its own that keeps one browser: it ends the browser when the program that wanted it is gone.

The program may be killed at any time, and then can end nothing. Closing its pipes would tell the browser, but a browser
that hangs does not listen, and a process that was forked from the program holds these pipes, too. So the browser is
started by this script, which waits for one of three events:

- the browser ends: this process ends with its exit status;
- a byte, or the end of the file, arrives on the standard input: the program has no more use for the browser;
- the parent of this process is another one: the program is gone.

In the last two cases the browser is asked to end, and after a while it is killed, with all processes of its group. Then
the folder with its profile is removed.

usage: python -I -S keeper.py PARENT FROM TO GRACE FOLDER PROGRAM [ARGUMENT]...

PARENT is the number of the program's process. FROM and TO are open files, which the browser gets as 3 and 4. GRACE is
in seconds. This runs by itself: it imports nothing of the package.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

POLL: Final = 0.5
"""Seconds between two looks at the parent."""
SOON: Final = 0.02
"""Seconds between two looks at a browser that was asked to end."""


def started(ends: Sequence[int], command: Sequence[str]) -> int:
    """Start the browser in a process group of its own; returns the number of both."""
    browser = os.fork()
    if browser == 0:
        try:
            os.setpgid(0, 0)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            for number, end in zip((3, 4), ends, strict=True):
                os.dup2(end, number)
            os.execv(command[0], [*command])
        except OSError as error:
            os.write(2, f"{command[0]}: {error}".encode())
        finally:
            os._exit(127)
    for end in ends:  # the program is to see when the browser closes them
        os.close(end)
    return browser


def status_of(browser: int) -> int | None:
    """The exit status of the browser, as shells have it; None while it runs."""
    pid, status = os.waitpid(browser, os.WNOHANG)
    if pid == 0:
        return None
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def kept(browser: int, parent: int, grace: float) -> int:
    """Wait for one of the three events, and end the browser; returns its exit status."""
    woken, wakes = os.pipe()
    os.set_blocking(wakes, False)
    signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)  # with a handler, the end of the browser wakes `select`
    while (status := status_of(browser)) is None:
        ready, _, _ = select.select([0, woken], [], [], POLL)
        if 0 in ready or os.getppid() != parent:
            break
        if ready:
            os.read(woken, 100)
    with suppress(OSError):
        if status is None:
            os.kill(browser, signal.SIGTERM)
    deadline = time.monotonic() + grace
    while status is None and time.monotonic() < deadline:
        time.sleep(SOON)
        status = status_of(browser)
    with suppress(OSError):  # nothing is left of the group
        os.killpg(browser, signal.SIGKILL)
    while status is None:
        time.sleep(SOON)
        status = status_of(browser)
    return status


def main(parent: str, given_from: str, given_to: str, grace: str, folder: str, *command: str) -> None:
    """Start the browser, keep it, and clear up after it."""
    browser = started((int(given_from), int(given_to)), command)
    status = kept(browser, int(parent), float(grace))
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(status)


if __name__ == "__main__":
    main(*sys.argv[1:])
