"""A browser ends with the program that wanted it, however either of them ends. Scripts take the part of the browser."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from webnn.browsers.devtools import Page
from webnn.errors import OperationError

if os.name != "posix":
    pytest.skip("browsers are driven on POSIX systems only", allow_module_level=True)

PATIENCE: Final = 20.0
ANSWERS: Final = """
import json, os
held = open({fifo!r}, "w")
rest = b""
while more := os.read(3, 4096):
    *messages, rest = (rest + more).split(b"\\0")
    for message in messages:
        os.write(4, json.dumps({{"id": json.loads(message)["id"], "result": {{"answer": 42}}}}).encode() + b"\\0")
"""
"""A browser that answers every call, and ends when the pipe is closed. As long as it runs, it has the FIFO open."""
HANGS: Final = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
held = open({fifo!r}, "w")
time.sleep(600)
"""
"""A browser that does not listen."""
PROGRAM: Final = """
import sys, time
from webnn.browsers.devtools import Page
page = Page(sys.executable, "-c", {browser!r}, patience=0.1)
{then}
print(page.folder, flush=True)
time.sleep(600)
"""
"""A program with a browser."""
FORKS: Final = """
import os
if os.fork() == 0:
    os.close(1)
    time.sleep(600)
"""


@pytest.fixture
def fifo(tmp_path: Path) -> str:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return str(path)


class Program:
    """A running program with a browser.

    Args:
        fifo: is open for writing as long as the browser runs.
        browser: the browser's script.
        then: more that the program does.
    """

    def __init__(self, fifo: str, browser: str, then: str = "") -> None:
        words = [sys.executable, "-c", PROGRAM.format(browser=browser.format(fifo=fifo), then=then)]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, start_new_session=True)
        self.life = open(fifo, "rb", buffering=0)  # noqa: SIM115  # opens when the browser runs
        assert self.process.stdout is not None
        self.folder = Path(self.process.stdout.readline().strip())

    def browser_ends(self) -> bool:
        """Whether the browser ends in time."""
        ready, _, _ = select.select([self.life], [], [], PATIENCE)
        return bool(ready) and self.life.read() == b""

    def close(self) -> None:
        """End all of its processes."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()
        self.life.close()


@pytest.fixture
def programs() -> Iterator[list[Program]]:
    running: list[Program] = []
    yield running
    for program in running:
        program.close()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("browser", [ANSWERS, HANGS], ids=["that listens", "that hangs"])
def test_a_browser_ends_when_its_program_is_killed(
    number: signal.Signals, browser: str, fifo: str, programs: list[Program]
) -> None:
    programs.append(program := Program(fifo, browser))
    assert program.folder.is_dir()
    program.process.send_signal(number)
    assert program.browser_ends()


def test_a_browser_ends_when_its_program_is_killed_and_a_forked_process_has_the_pipes(
    fifo: str, programs: list[Program]
) -> None:
    programs.append(program := Program(fifo, ANSWERS, then=FORKS))
    program.process.kill()
    assert program.browser_ends()


def test_a_browser_that_hangs_is_killed_when_its_page_is_closed(fifo: str) -> None:
    page = Page(sys.executable, "-c", HANGS.format(fifo=fifo), patience=0.1)
    with open(fifo, "rb", buffering=0) as life:
        page.close()
        assert life.read() == b""
    assert not page.folder.exists()


def test_a_page_that_is_closed_in_a_forked_process_leaves_the_browser_to_its_program(fifo: str) -> None:
    page = Page(sys.executable, "-c", ANSWERS.format(fifo=fifo))
    with open(fifo, "rb", buffering=0) as life:
        child = os.fork()
        if child == 0:
            page.close()
            os._exit(0)
        os.waitpid(child, 0)
        assert page.call("Browser.getVersion") == {"answer": 42}
        assert select.select([life], [], [], 0.2)[0] == []  # it would end in this time
        page.close()
        assert life.read() == b""


def test_a_program_that_cannot_be_started_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "browser"
    path.write_bytes(b"\0not a program")
    path.chmod(0o755)
    with (
        pytest.raises(OperationError, match=r"it has ended \(exit status 127\): .*browser: .*Exec format error"),
        Page(path),
    ):
        pass
