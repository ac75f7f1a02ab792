"""One page in one browser, spoken to through a pair of pipes: no port, no driver, no package.

Protocol: https://chromedevtools.github.io/devtools-protocol/, as JSON messages that end with a zero byte.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

from webnn.errors import NotSupportedError, OperationError
from webnn.forking import import_lock

__all__ = ["PATIENCE", "Page"]

PATIENCE: Final = 40.0
"""Seconds until an answer must have come."""
CHUNK: Final = 1 << 20
GRACE: Final = 5.0
"""Seconds that a browser has to end before it is killed; less if its answers are to come sooner."""
_KEEPER: Final = Path(__file__).with_name("keeper.py")
_CRASHES: Final = ("Inspector.targetCrashed", "Target.targetCrashed")


class Page:
    """One page in one headless browser of the Chromium family; a context manager, which ends the browser.

    Args:
        program: the browser's program, or its name if it is on the `PATH`.
        arguments: more of its arguments.
        profile: the folder of its profile. Default: a new one, which is removed at the end.
        patience: seconds until an answer must have come.

    Attributes:
        folder: a new folder, which is removed with the browser.
        requests: every address that was asked for.
        complaints: what the page threw, and what was logged as an error or a warning by the browser or the page.

    Raises:
        NotSupportedError: there is no such program, or no such pipes on this system.
        OperationError: the browser ended, the page crashed, or no answer came in time.
    """

    def __init__(
        self,
        program: str | os.PathLike[str],
        *arguments: str,
        profile: Path | None = None,
        patience: float = PATIENCE,
    ) -> None:
        if os.name != "posix":
            raise NotSupportedError("browsers are driven through inherited files, which only POSIX systems have")
        path = shutil.which(program)
        if path is None:
            raise NotSupportedError(f"no browser: {str(program)!r} is not a program; give the path of a Chromium")
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.patience = patience
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the browser
        self.folder = Path(tempfile.mkdtemp(prefix="webnn-browser-"))
        self._start([path, *arguments], profile or self.folder / "profile")
        self._buffer = bytearray()
        self._last = 0
        self._session: str | None = None

    def _start(self, words: Sequence[str], profile: Path) -> None:
        with import_lock:  # here, since Windows has none
            import fcntl  # noqa: PLC0415

        to_browser, self._write = os.pipe()
        self._read, from_browser = os.pipe()
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (to_browser, from_browser)]
        os.close(to_browser)
        os.close(from_browser)
        self._parent = os.getpid()
        keeper = [sys.executable, "-I", "-S", _KEEPER, self._parent, *ends, min(self.patience, GRACE), self.folder]
        command = [
            *words,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--remote-debugging-pipe",
            f"--user-data-dir={profile}",
            "about:blank",
        ]
        try:
            self._process = subprocess.Popen(
                [str(word) for word in (*keeper, *command)],
                pass_fds=ends,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=self._log,
                bufsize=0,
                start_new_session=True,  # an interrupt of the terminal is for this process
            )
        except BaseException:
            os.close(self._write)
            os.close(self._read)
            shutil.rmtree(self.folder)
            raise
        finally:
            for end in ends:
                os.close(end)

    def __enter__(self) -> Self:
        try:
            target = self.call("Target.createTarget", url="about:blank")["targetId"]
            self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            for domain in ("Page", "Runtime", "Network", "Log", "Inspector"):
                self.call(f"{domain}.enable")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the browser. A forked child has none, and only closes the pipes."""
        os.close(self._write)
        os.close(self._read)
        self._log.close()
        assert self._process.stdin is not None
        if os.getpid() != self._parent:
            self._process.stdin.close()
            return
        with suppress(OSError):  # it has ended already
            self._process.stdin.write(b"\0")  # a process that was forked from this one may keep the pipe open
        self._process.stdin.close()
        try:
            self._process.wait(2 * GRACE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The result of one call of the protocol."""
        self._last += 1
        message: dict[str, Any] = {"id": self._last, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        self._send(json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._last:
                if "error" in answer:
                    raise OperationError(f"browser: {method}: {answer['error'].get('message')}")
                result: dict[str, Any] = answer["result"]
                return result
            self._note(answer)

    def _send(self, message: bytes) -> None:
        rest = memoryview(message)
        try:
            while rest:
                rest = rest[os.write(self._write, rest) :]
        except BrokenPipeError:
            raise OperationError(self._ended()) from None

    def _receive(self) -> dict[str, Any]:
        deadline = time.monotonic() + self.patience
        searched = 0
        while (end := self._buffer.find(0, searched)) < 0:
            searched = len(self._buffer)
            ready, _, _ = select.select([self._read], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise OperationError(f"browser: no answer in {self.patience:g} seconds")
            more = os.read(self._read, CHUNK)
            if not more:
                raise OperationError(self._ended())
            self._buffer += more
        received: dict[str, Any] = json.loads(self._buffer[:end])
        del self._buffer[: end + 1]
        return received

    def _ended(self) -> str:
        """That the browser ended, and the last words of it."""
        try:
            status = f"exit status {self._process.wait(1)}"
        except subprocess.TimeoutExpired:
            status = "its pipes are closed"
        self._log.seek(max(0, self._log.seek(0, os.SEEK_END) - 2000))
        words = self._log.read().decode(errors="replace").strip().rpartition("\n")[2]
        return f"browser: it has ended ({status})" + (f": {words}" if words else "")

    def _note(self, event: dict[str, Any]) -> None:
        parameters = event.get("params", {})
        match event.get("method"):
            case "Network.requestWillBeSent":
                self.requests.append(parameters["request"]["url"])
            case "Runtime.exceptionThrown":
                self.complaints.append(str(parameters["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if parameters["type"] in ("error", "warning", "assert"):
                self.complaints.append(" ".join(str(row.get("value", row)) for row in parameters["args"]))
            case "Log.entryAdded" if parameters["entry"]["level"] in ("error", "warning"):
                self.complaints.append(parameters["entry"]["text"])
            case method if method in _CRASHES:
                raise OperationError("browser: the page has crashed")

    def open(self, url: str) -> None:
        """Go to `url` and wait until it is there; what stands behind # may be the page's to change."""
        self.call("Page.navigate", url=url)
        address = json.dumps(url.partition("#")[0])
        self.wait_for(f"document.readyState === 'complete' && location.href.split('#')[0] === {address}")

    def value(self, expression: str) -> Any:
        """The value of an expression of JavaScript on the page, awaited if it is a promise.

        Raises:
            OperationError: it threw.
        """
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        details = result.get("exceptionDetails")
        if details is not None:
            thrown = details.get("exception", {})
            raise OperationError(f"browser: {thrown.get('description') or thrown.get('value') or details['text']}")
        return result["result"].get("value")

    def give_files(self, element: str, paths: Iterable[Path]) -> None:
        """Choose files in the file input that an expression of JavaScript gives; they may be of any size."""
        found = self.call("Runtime.evaluate", expression=element)["result"]
        self.call("DOM.setFileInputFiles", files=[str(path.resolve()) for path in paths], objectId=found["objectId"])

    def wait_for(self, expression: str) -> None:
        """Wait until an expression of JavaScript is true."""
        deadline = time.monotonic() + self.patience
        while not self.value(expression):
            if time.monotonic() > deadline:
                raise OperationError(f"browser: not true in {self.patience:g} seconds: {expression}")
            time.sleep(0.02)
