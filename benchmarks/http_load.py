"""Load for an HTTP server: so many connections that each send the same request, again and again or at a given rate.

`wrk` is used by `measured` where it is installed, since it leaves more of the machine to the server. The client here is
used otherwise, and where each answer counts: it tells requests that were answered, refused and lost apart.

    python -m benchmarks.http_load HOST:PORT PATH --connections 64 --seconds 5 < BODY
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

__all__ = ["Outcome", "listening", "load", "measured", "request_of"]

ROOT: Final = Path(__file__).resolve().parents[1]
LONGEST: Final = 60.0
"""Seconds without a single answer after which a measurement is given up."""
START: Final = 60.0
"""Seconds in which a server has to accept connections."""


@dataclass(slots=True)
class Outcome:
    """What became of the requests of a load.

    Attributes:
        statuses: how many answers had each status.
        latencies: seconds from a request to its answer, by status.
        lost: requests that were sent, and whose connection ended without an answer.
        refused: connections that could not be made.
        seconds: how long the load lasted.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    latencies: dict[int, list[float]] = field(default_factory=dict)
    lost: int = 0
    refused: int = 0
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Answers with results in a second."""
        return self.statuses[200] / self.seconds

    def percentile(self, percent: float, status: int = 200) -> float:
        """Seconds within which so many percent of the answers of a status came; NaN if there are none."""
        latencies = self.latencies.get(status)
        return float(np.percentile(latencies, percent)) if latencies else float("nan")


def request_of(path: str, body: bytes, headers: Mapping[str, str] | None = None, host: str = "localhost") -> bytes:
    """A POST as it goes over the wire."""
    lines = [f"POST {path} HTTP/1.1", f"Host: {host}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@contextmanager
def listening(*words: str) -> Iterator[str]:
    """The process of a module that takes `--port`, once it accepts connections; gives its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = free.getsockname()[:2]
    process = subprocess.Popen(
        [sys.executable, "-m", *words, "--port", str(address[1])],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
    )
    until = time.monotonic() + START
    try:
        while True:
            try:
                socket.create_connection(address, 1).close()
                break
            except OSError:
                if time.monotonic() > until or process.poll() is not None:
                    raise RuntimeError(f"{words[0]} has not started") from None
                time.sleep(0.05)
        yield f"127.0.0.1:{address[1]}"
    finally:
        process.terminate()
        process.wait()


class _Client(asyncio.Protocol):
    """One connection: a request is sent, and its answer awaited."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.answer: asyncio.Future[tuple[int, bool]] | None = None
        self._received = bytearray()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def ask(self, request: bytes) -> asyncio.Future[tuple[int, bool]]:
        """The status of the answer, and whether the connection ends with it; an error if it ends before."""
        assert self.transport is not None
        self.answer = asyncio.get_running_loop().create_future()
        if self.transport.is_closing():
            self.answer.set_exception(ConnectionError("closed"))
        else:
            self.transport.write(request)
        return self.answer

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self._received[:end]).lower()
        length = re.search(rb"\ncontent-length: (\d+)", head)
        size = end + 4 + int(length[1] if length else 0)
        if len(self._received) >= size and self.answer is not None and not self.answer.done():
            del self._received[:size]
            self.answer.set_result((int(head[9:12]), b"\nconnection: close" in head))

    def connection_lost(self, exc: Exception | None) -> None:
        if self.answer is not None and not self.answer.done():
            self.answer.set_exception(ConnectionError("no answer"))


async def load(address: str, request: bytes, *, connections: int, seconds: float, rate: float | None = None) -> Outcome:
    """Send `request` on so many connections for so many seconds.

    Args:
        address: "HOST:PORT".
        request: of `request_of`.
        connections: each has one request under way at most.
        seconds: after which no new request is sent.
        rate: requests in a second, all connections together; None for as many as are answered.
    """
    outcome = Outcome()
    loop = asyncio.get_running_loop()
    host, _, port = address.rpartition(":")
    began = time.perf_counter()
    until = began + seconds

    async def connection(number: int) -> None:
        client: _Client | None = None
        interval = 0.0 if rate is None else connections / rate
        due = began + interval * number / connections
        while (now := time.perf_counter()) < until:
            if interval:
                await asyncio.sleep(max(0.0, due - now))
                due = max(due, now) + interval
            if client is None:
                try:
                    _, client = await loop.create_connection(_Client, host, int(port))
                except OSError:
                    outcome.refused += 1
                    await asyncio.sleep(0.02)
                    continue
            sent = time.perf_counter()
            try:
                status, ends = await client.ask(request)
            except ConnectionError:
                outcome.lost += 1
                client = None
                continue
            outcome.statuses[status] += 1
            outcome.latencies.setdefault(status, []).append(time.perf_counter() - sent)
            if ends:
                assert client.transport is not None
                client.transport.close()
                client = None
        if client is not None and client.transport is not None:
            client.transport.close()

    await asyncio.gather(*map(connection, range(connections)))
    outcome.seconds = time.perf_counter() - began
    return outcome


def measured(
    address: str, path: str, body: bytes, headers: Mapping[str, str], *, connections: int, seconds: float
) -> dict[str, float]:
    """Answers in a second ("rate"), and the median and 99th percentile of their seconds, from another process.

    It takes longer than `seconds` if there is no answer in them. When it returns, the server has nothing left to do:
    one that still computes the requests of the clients that have ended would disturb what is measured next.
    """
    figures = _measured(address, path, body, headers, connections=connections, seconds=seconds)
    while not figures["rate"]:
        seconds *= 4
        if seconds > LONGEST:
            raise RuntimeError(f"{address}{path}: no request was answered in {seconds / 4:g} s")
        figures = _measured(address, path, body, headers, connections=connections, seconds=seconds)
    last = http.client.HTTPConnection(address, timeout=LONGEST)
    with closing(last):
        last.request("POST", path, body, dict(headers))
        last.getresponse().read()
    return figures


def _measured(
    address: str, path: str, body: bytes, headers: Mapping[str, str], *, connections: int, seconds: float
) -> dict[str, float]:
    wrk = shutil.which("wrk")
    if wrk is None or seconds < 1:
        words = [sys.executable, "-m", "benchmarks.http_load", address, path]
        words += ["--connections", str(connections), "--seconds", str(seconds)]
        words += [word for name, value in headers.items() for word in ("--header", f"{name}: {value}")]
        done = subprocess.run(words, input=body, capture_output=True, check=True, cwd=ROOT)
        figures: dict[str, float] = json.loads(done.stdout)
        return figures
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "request.lua"
        (Path(folder) / "body").write_bytes(body)
        lines = [f'local file = io.open("{folder}/body", "rb")', 'wrk.method = "POST"', 'wrk.body = file:read("*a")']
        lines += [f'wrk.headers["{name}"] = "{value}"' for name, value in headers.items()]
        script.write_text("\n".join(lines))
        words = [wrk, "-t1", f"-c{connections}", f"-d{round(seconds)}s", "--timeout", "30", "--latency", "-s"]
        done_text = subprocess.run(
            [*words, str(script), f"http://{address}{path}"], capture_output=True, text=True, check=True
        ).stdout
    if "Non-2xx" in done_text or "Socket errors" in done_text:
        raise RuntimeError(f"not all requests were answered:\n{done_text}")
    units = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}
    times = {
        percent: float(number) * units[unit]
        for percent, number, unit in re.findall(r"^ +(\d+)%\s+([\d.]+)(us|ms|s|m)\b", done_text, re.MULTILINE)
    }
    rate = re.search(r"Requests/sec: +([\d.]+)", done_text)
    if rate is None or "99" not in times:
        raise RuntimeError(f"wrk says something else:\n{done_text}")
    return {"rate": float(rate[1]), "median": times["50"], "p99": times["99"]}


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address")
    parser.add_argument("path")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--header", action="append", default=[])
    options = parser.parse_args()
    headers = dict(header.split(": ", 1) for header in options.header)
    request = request_of(options.path, sys.stdin.buffer.read(), headers)
    outcome = asyncio.run(load(options.address, request, connections=options.connections, seconds=options.seconds))
    figures = {"rate": outcome.rate, "median": outcome.percentile(50), "p99": outcome.percentile(99)}
    print(json.dumps(figures))


if __name__ == "__main__":
    _main()
