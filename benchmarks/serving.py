"""How many requests does `webnn serve` answer, beside a server written by hand over onnxruntime?

Raw: Starlette and uvicorn over onnxruntime in an executor of two threads (benchmarks/serving_peer.py). 64 connections,
from `wrk` where it is installed. Then, of `webnn serve` alone: twice the load that it can serve, and the memory of the
process before and after.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks.http_load import load, measured, request_of
from benchmarks.measure import Options, Report, Skipped, figures_in_turn, main
from benchmarks.models import Model, image_model, mlp

CONNECTIONS, SECONDS, ROUNDS = 64, 2.0, 5
QUEUE, TIMEOUT = 128, 2.0
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
    what = f"{model.name}, {'bytes' if binary else 'JSON'}"
    if not options.has(what):
        return
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
    rate, p99 = bars.get(model.name, (None, None))
    per_request = {kind: [1 / each for each in figures[kind]["rate"]] for kind in figures}
    report.rates(f"{what}, requests", per_request["ours"], per_request["theirs"], bar=rate)
    report.times(f"{what}, 99th percentile", figures["ours"]["p99"], figures["theirs"]["p99"], "ms", bar=p99)


async def beyond(report: Report, options: Options, model: Model, path: Path) -> None:
    """Our server beyond its limits."""
    if not options.has(f"{model.name}, twice the load"):
        return
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


if __name__ == "__main__":
    main(measure, peer="Starlette")
