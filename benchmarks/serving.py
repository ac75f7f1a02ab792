"""How many requests does `webnn serve` answer, beside a server written by hand over onnxruntime?

Raw: Starlette and uvicorn over onnxruntime in an executor of two threads (benchmarks/serving_peer.py). 64 connections,
from `wrk` where it is installed. Then, of `webnn serve` alone: twice the load that it can serve, clients that go away,
and the memory of the process before and after.
"""

from __future__ import annotations

import http.client
import json
import re
import resource
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks.http_load import load, measured, request_of
from benchmarks.measure import Options, Report, Skipped, figures_in_turn, main
from benchmarks.models import Model, image_model, mlp

CONNECTIONS, SECONDS, ROUNDS = 64, 2.0, 5
QUEUE, TIMEOUT = 128, 2.0
LEAVING = 1000
CLOSING: Final = 0.3
"""Seconds in which the server closes the connections of those who have left."""
REQUESTS: Final = 200_000


@contextmanager
def server(words: list[str]) -> Iterator[str]:
    """A server's process; gives its address, which is in the first line with one."""
    process = subprocess.Popen([sys.executable, "-m", *words], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        for line in process.stdout:
            address = re.search(r"[\d.]+:\d+", line)
            if address is not None:
                break
        else:
            raise Skipped(f"{words[0]} has not started")
        yield address[0]
    finally:
        process.terminate()
        process.communicate()


def ours(path: Path, *options: str) -> list[str]:
    """The words of our server."""
    return ["webnn", "serve", f"model={path}", "--port", "0", "--json", *options]


def request(model: Model, *, binary: bool) -> tuple[bytes, dict[str, str]]:
    """The body and the headers of a request."""
    name, frame = model.input
    tensor = {"name": name, "shape": frame.shape, "datatype": "FP32"}
    if not binary:
        return json.dumps({"inputs": [{**tensor, "data": frame.reshape(-1).tolist()}]}).encode(), {}
    tensor["parameters"] = {"binary_data_size": frame.nbytes}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    return head + frame.tobytes(), {"Inference-Header-Content-Length": str(len(head))}


def resident(address: str) -> float:
    """The bytes of the server's process in memory."""
    with urllib.request.urlopen(f"http://{address}/metrics") as answer:
        found = re.search(rb"^process_resident_memory_bytes ([\d.e+]+)", answer.read(), re.MULTILINE)
    assert found is not None
    return float(found[1])


async def measure(report: Report, options: Options) -> None:
    """Add the figures of both servers, and of ours beyond its limits, to `report`."""
    with TemporaryDirectory() as folder:
        dense, image = mlp("MLP", [512, 1024, 1024, 10]), image_model(options.models)
        for model in (dense, image):
            (Path(folder) / f"{model.name}.onnx").write_bytes(model.onnx())
        bars = {"MLP": (2.0, 1.0), "MobileNetV2": (1.0, 1.1)}
        for model, binary in options.some([(dense, False), (dense, True), (image, True)]):
            await beside(report, options, model, Path(folder) / f"{model.name}.onnx", bars, binary=binary)
        await beyond(report, options, dense, Path(folder) / f"{dense.name}.onnx")
        among_leavers(report, options, Path(folder) / "leavers.onnx")


async def beside(
    report: Report,
    options: Options,
    model: Model,
    path: Path,
    bars: Mapping[str, tuple[float, float]],
    *,
    binary: bool,
) -> None:
    """Both servers in turn, with the same tensors."""
    body, headers = request(model, binary=binary)
    raw = model.input[1].tobytes() if binary else body
    seconds = SECONDS * options.scale if options.scale < 1 else SECONDS
    with ExitStack() as stack:
        here = stack.enter_context(server(ours(path)))
        there = stack.enter_context(server(["benchmarks.serving_peer", str(path)]))
        under = partial(measured, connections=CONNECTIONS, seconds=max(seconds, 0.2))
        figures = await figures_in_turn(
            options.rounds(ROUNDS),
            {
                "ours": partial(under, here, "/v2/models/model/infer", body, headers),
                "theirs": partial(under, there, "/bytes" if binary else "/json", raw, {}),
            },
        )
    what = f"{model.name}, {'bytes' if binary else 'JSON'}"
    rate, p99 = bars.get(model.name, (None, None))
    per_request = {kind: [1 / each for each in figures[kind]["rate"]] for kind in figures}
    report.rates(f"{what}, requests", per_request["ours"], per_request["theirs"], bar=rate)
    report.times(f"{what}, 99th percentile", figures["ours"]["p99"], figures["theirs"]["p99"], "ms", bar=p99)


async def beyond(report: Report, options: Options, model: Model, path: Path) -> None:
    """Our server beyond its limits."""
    body, headers = request(model, binary=True)
    sent = request_of("/v2/models/model/infer", body, headers)
    seconds = max(0.3, 10 * options.scale)
    with server(ours(path, "--max-queue", str(QUEUE), "--timeout", str(TIMEOUT))) as address:
        able = await load(address, sent, connections=CONNECTIONS, seconds=seconds)
        before = resident(address)
        twice = await load(address, sent, connections=4 * QUEUE, seconds=seconds, rate=2 * able.rate)
        p99 = twice.percentile(99) * 1e3
        report.figure("twice the load: 99th percentile of the answered", [p99], "ms", bar=TIMEOUT * 1e3)
        report.figure("twice the load: median time to a 503", [twice.percentile(50, 503) * 1e3], "ms")
        total, lost = sum(twice.statuses.values()), twice.lost
        report.notes.append(
            f"twice the load: {dict(twice.statuses)} of {total} requests by status, {lost} lost; here the clients are a"
            " Python program beside the server"
        )
        while sum(twice.statuses.values()) < REQUESTS * min(1.0, options.scale):
            more = await load(address, sent, connections=CONNECTIONS, seconds=seconds)
            twice.statuses.update(more.statuses)
        growth = (resident(address) - before) / 1e6
        report.figure(f"memory after {sum(twice.statuses.values())} requests more", [growth], "MB")


def among_leavers(report: Report, options: Options, path: Path) -> None:
    """How long a client waits when many others have sent a request and gone away, beside its wait without them."""
    model = mlp("MLP of 12 million weights", [512, 3072, 3072, 1024, 10])
    path.write_bytes(model.onnx())
    body, headers = request(model, binary=True)
    sent = request_of("/v2/models/model/infer", body, headers)
    number = min(max(10, round(LEAVING * min(1.0, options.scale))), resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 100)
    with server(ours(path, "--max-batch", "1")) as address, connected(address) as kept:  # the run of a batch is long
        alone = [wait(kept, sent) for _ in range(30)][10:]
        for how, leave in (("one after the other", in_turn), ("at once", at_once)):
            ends_of = {"no request": 0, "half a request": len(sent) - len(body) // 2, "a request": len(sent)}
            for what, ends in ends_of.items():  # without a request, it is the cost of the connections alone
                for kind in ("kept", "new"):
                    waits = []
                    for _ in range(options.rounds(ROUNDS)):
                        leave(address, sent[:ends], number)
                        began = time.perf_counter()
                        with nullcontext(kept) if kind == "kept" else connected(address) as client:
                            wait(client, sent)
                            waits.append(time.perf_counter() - began)
                        wait(kept, sent)
                        time.sleep(CLOSING)
                    title = f"{model.name}: after {number} clients with {what} have left {how}, on a {kind} connection"
                    usual = [statistics.median(alone)] * len(waits)
                    report.times(title, waits, usual, "ms", peer="without them", bar=2.0)


def in_turn(address: str, sent: bytes, number: int) -> None:
    """So many clients connect, send something and leave, one after the other."""
    for _ in range(number):
        with connected(address) as leaver:
            leaver.sendall(sent)


def at_once(address: str, sent: bytes, number: int) -> None:
    """So many clients connect, send something, and leave when all have done that."""
    with ExitStack() as stack:
        leavers = [stack.enter_context(connected(address)) for _ in range(number)]
        for leaver in leavers:
            leaver.sendall(sent)


def connected(address: str) -> socket.socket:
    """A connection to a server."""
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)))


def wait(client: socket.socket, sent: bytes) -> float:
    """Seconds until a request is answered."""
    began = time.perf_counter()
    client.sendall(sent)
    answer = http.client.HTTPResponse(client)
    answer.begin()
    answer.read()
    if answer.status != 200:
        raise RuntimeError(f"a request was answered with status {answer.status}")
    return time.perf_counter() - began


if __name__ == "__main__":
    main(measure, peer="Starlette")
