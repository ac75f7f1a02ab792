"""`webnn serve` under more load than it can bear, with clients that leave, with hostile requests, and when it ends."""

from __future__ import annotations

import asyncio
import json
import re
import resource
import shutil
import signal
import socket
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from benchmarks.http_load import load, request_of
from tests.browser import Browser, find_browser
from tests.integration.test_serving import half, layer, serving

X: Final = np.ones((1, 16), np.float32)
HEAD: Final = json.dumps(
    {"inputs": [{"name": "x", "shape": [1, 16], "datatype": "FP32", "parameters": {"binary_data_size": 64}}]}
)
BODY: Final = HEAD.encode() + X.tobytes()
LENGTH: Final = {"Inference-Header-Content-Length": str(len(HEAD))}
PATH: Final = "/v2/models/layer/infer"
REQUEST: Final = request_of(PATH, BODY, LENGTH)
CHUNKED: Final = (
    f"POST {PATH} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n".encode()
    + b"4\r\nabcd\r\n0\r\n\r\n"
)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("models")
    return [layer(folder / "layer.onnx"), half(folder / "half.onnx")]


@pytest.fixture(scope="module")
def address(models: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log = tmp_path_factory.mktemp("log") / "access.log"
    with serving(*models, "--max-queue", "8", "--timeout", "2", "--access-log", log) as (address, _):
        yield address


def metrics(address: str) -> str:
    with urllib.request.urlopen(f"http://{address}/metrics") as answer:
        text: str = answer.read().decode()
    return text


def metric(address: str, name: str) -> float:
    found = re.search(rf"^{re.escape(name)} ([\d.e+]+)$", metrics(address), re.MULTILINE)
    assert found is not None, name
    return float(found[1])


@pytest.mark.asyncio
async def test_more_load_than_the_queue_takes_is_answered_or_refused(address: str) -> None:
    await load(address, REQUEST, connections=64, seconds=0.5)
    before = metric(address, "process_resident_memory_bytes")
    outcome = await load(address, REQUEST, connections=64, seconds=1.0)
    assert outcome.lost == outcome.refused == 0
    assert set(outcome.statuses) == {200, 503}
    assert outcome.percentile(99) < 2
    assert metric(address, "process_resident_memory_bytes") - before < 8e6
    assert metric(address, 'webnn_queue_items{model="layer"}') == 0
    assert metric(address, "webnn_requests_in_progress") <= 1  # this one is not counted


@pytest.mark.asyncio
async def test_clients_that_go_away_leave_nothing_behind(address: str) -> None:
    host, _, port = address.rpartition(":")
    ends = [len(REQUEST), len(REQUEST) - 1, len(REQUEST) - len(BODY), 20, 0]  # the last byte of all that each one sends

    async def leave(number: int) -> None:
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(REQUEST[: ends[number % len(ends)]])
        await writer.drain()
        writer.close()

    for _ in range(4):
        await asyncio.gather(*map(leave, range(50)))
    honest = await load(address, REQUEST, connections=1, seconds=0.01)
    assert honest.statuses[200] >= 1
    assert honest.lost == 0
    async with asyncio.timeout(20):
        while metric(address, "webnn_requests_in_progress") or metric(address, "webnn_body_bytes"):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@pytest.mark.asyncio
async def test_the_counts_add_up_for_each_version_under_load_and_after_clients_have_left(
    models: list[Path], tmp_path: Path
) -> None:
    versions = {"1": "/v2/models/layer/versions/1/infer", "2": PATH}
    for version in versions:
        (tmp_path / "layer" / version).mkdir(parents=True)
        shutil.copy(models[0], tmp_path / "layer" / version / "model.onnx")
    with serving(tmp_path / "layer", "--max-queue", "4") as (address, _):
        host, _, port = address.rpartition(":")

        async def leave(sent: bytes, seconds: float) -> None:
            _, writer = await asyncio.open_connection(host, int(port))
            writer.write(sent)
            await writer.drain()
            await asyncio.sleep(seconds)
            writer.close()

        asked: dict[str, Counter[int]] = {}
        for version, path in versions.items():
            whole = request_of(path, BODY, LENGTH)
            outcomes = await asyncio.gather(
                load(address, whole, connections=16, seconds=0.4),  # more than the queue takes
                load(address, request_of(path, b"{}"), connections=1, seconds=0.1),
                *(leave(whole, 0.1) for _ in range(20)),  # each is read, and answered or refused
            )
            asked[version] = sum((each.statuses for each in outcomes if each is not None), Counter())
            assert set(asked[version]) == {200, 400, 503}
        await asyncio.gather(*(leave(request_of(PATH, BODY, LENGTH), 0) for _ in range(100)))
        async with asyncio.timeout(20):
            while metric(address, "webnn_requests_in_progress"):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        figures = metrics(address)
    gone = 0
    for version, statuses in asked.items():
        pattern = rf'^webnn_requests_total{{code="(\d+)",model="layer",version="{version}"}} ([\d.e+]+)$'
        counted = Counter({int(code): int(float(many)) for code, many in re.findall(pattern, figures, re.MULTILINE)})
        more = counted - statuses
        assert counted.total() - statuses.total() == more.total(), "none is missing"
        assert more.total() == 20 if version == "1" else 20 <= more.total() <= 120
        assert set(more) <= {200, 499, 503}
        gone += counted[499]
        for name in ("webnn_items_total", "webnn_request_seconds_count"):
            assert f'{name}{{model="layer",version="{version}"}} {float(counted[200])}\n' in figures
    assert sum(float(many) for many in re.findall(r"^webnn_drops_total{.*} (.*)$", figures, re.MULTILINE)) <= gone
    for empty in ('webnn_queue_items{model="layer"}', "webnn_body_bytes", 'webnn_runs{state="queued"}'):
        assert f"\n{empty} 0.0\n" in figures


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell who has left")
def test_clients_that_have_left_take_no_place_in_the_queue(models: list[Path]) -> None:
    with serving(*models, "--max-queue", "1") as (address, process):
        host, _, port = address.rpartition(":")
        process.send_signal(signal.SIGSTOP)
        try:
            kept = socket.create_connection((host, int(port)))  # it will be accepted with those who have left
            for _ in range(100):
                with socket.create_connection((host, int(port))) as client:
                    client.sendall(REQUEST)
            kept.sendall(REQUEST)
        finally:
            process.send_signal(signal.SIGCONT)
        with kept:
            kept.settimeout(20)
            assert status_of(kept.recv(4096)) == 200
        assert metric(address, 'webnn_request_seconds_count{model="layer",version="1"}') == 1


@pytest.mark.asyncio
async def test_what_was_accepted_before_a_signal_is_answered(models: list[Path]) -> None:
    with serving(*models) as (address, process):

        async def end() -> None:
            await asyncio.sleep(0.5)
            process.send_signal(signal.SIGTERM)

        outcome, _ = await asyncio.gather(load(address, REQUEST, connections=32, seconds=1.8), end())
        assert await asyncio.to_thread(process.wait, 20) == 0
        # Elsewhere, a handshake may be completed between the last accept and the close.
        assert outcome.lost <= (0 if sys.platform == "linux" else 2)
        assert set(outcome.statuses) == {200}
        assert outcome.refused > 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="this system has no prlimit")
@pytest.mark.parametrize("sent", [b"", b"GET /v2 HTTP/1.1\r\n", b"GET /v2 HTTP/1.1\r\nHost: a\r\n\r\n"])
def test_clients_that_ask_nothing_do_not_keep_others_out(models: list[Path], sent: bytes) -> None:
    with serving(*models) as (address, process), ExitStack() as stack:
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (100, 100))
        host, _, port = address.rpartition(":")
        for _ in range(120):
            stack.enter_context(socket.create_connection((host, int(port)))).sendall(sent)
        assert status_of(exchange(address, b"GET /v2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")) == 200


# Hostile requests.


def exchange(address: str, sent: bytes) -> bytes:
    """What comes back until the server closes the connection."""

    async def talk() -> bytes:
        host, _, port = address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(sent)
        answer = await asyncio.wait_for(reader.read(), 15)
        writer.close()
        return answer

    return asyncio.run(talk())


def status_of(answer: bytes) -> int:
    assert b"Traceback" not in answer
    assert b'File "' not in answer
    return int(answer[9:12])


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nbad header\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"a: b\r\n" * 20_000, 431),
        (b"GET /" + b"a" * 100_000, 431),
        (f"POST {PATH} HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\nConnection: close\r\n\r\n".encode(), 413),
        (f"POST {PATH} HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n".encode(), 400),
        (CHUNKED, 400),
        (f"POST {PATH} HTTP/1.1\r\nContent-Length: 2\r\n\r\n{{}}".encode(), 400),  # without Host
        (f"POST {PATH} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: close\r\n\r\nab".encode(), 408),
        (b"GET /v2/models/%2e%2e%2f%2e%2e%2fetc%2fpasswd HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 404),
        (b"GET /page.js%00 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 404),
    ],
    ids=lambda value: str(value)[:40],
)
def test_bytes_that_are_no_request_are_refused(address: str, sent: bytes, status: int) -> None:
    assert status_of(exchange(address, sent)) == status


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)
tensors = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["x", "y", ""]) | json_values,
        "shape": st.sampled_from([[1, 16], [2, 16], [2**62, 16]]) | st.lists(st.integers(), max_size=4) | json_values,
        "datatype": st.sampled_from(["FP32", "FP16", "BYTES", "INT64"]) | json_values,
        "data": st.lists(st.floats(width=32), min_size=16, max_size=16) | json_values,
        "parameters": st.fixed_dictionaries({}, optional={"binary_data_size": st.integers(-1, 200) | json_values}),
    },
)
requests = st.fixed_dictionaries(
    {},
    optional={
        "id": json_values,
        "inputs": st.lists(tensors, max_size=3) | json_values,
        "outputs": st.lists(tensors, max_size=2) | json_values,
        "parameters": json_values,
    },
)


@given(requests, st.binary(max_size=80), st.none() | st.integers(-2, 400), st.integers(0, 30))
def test_requests_of_any_shape_are_answered_or_refused(
    address: str, request: dict[str, Any], follow: bytes, length: int | None, cut: int
) -> None:
    body = json.dumps(request).encode("utf-8", "surrogatepass") + follow
    body = body[: len(body) - cut]
    headers = {"Connection": "close", **({} if length is None else {"Inference-Header-Content-Length": str(length)})}
    answer = exchange(address, request_of(PATH, body, headers))
    assert status_of(answer) in (200, 400)


@given(st.binary(max_size=300))
def test_any_bytes_at_all_are_answered_or_refused(address: str, body: bytes) -> None:
    answer = exchange(address, request_of(PATH, body, {**LENGTH, "Connection": "close"}))
    assert status_of(answer) == 400


def test_deep_and_long_documents_take_no_time(address: str) -> None:
    most = 8 * 16 * 64 + 64 * 1024
    for body in (
        b"[" * most,
        b'{"a":' * (most // 5),
        b"[NaN," + b"[" * (most - 5),
        b"[" + b"[]," * (most // 3 - 1) + b"1]",
    ):
        assert status_of(exchange(address, request_of(PATH, body, {"Connection": "close"}))) == 400
    assert status_of(exchange(address, request_of(PATH, b" " * (most + 1), {"Connection": "close"}))) == 413


# The page.


@pytest.mark.skipif(find_browser() is None, reason="no Chromium is installed")
def test_the_page_shows_the_models_and_sends_a_request(address: str, tmp_path: Path) -> None:
    program = find_browser()
    assert program is not None
    with Browser(program, tmp_path / "profile") as page:
        page.open(f"http://{address}/")
        page.wait_for("document.querySelectorAll('#models tr').length === 2")
        assert page.value("document.querySelector('#models td').textContent") == "layer 1"
        page.wait_for("document.getElementById('request').value.includes('\"inputs\"')")
        page.value("document.getElementById('send').click()")
        page.wait_for("document.getElementById('outcome').textContent.startsWith('200, ')")
        answer = json.loads(page.value("document.getElementById('answer').value"))
        assert answer["outputs"][0]["data"] == [0, 0, 0, 0]
        page.value("document.getElementById('request').value = '{}'")
        page.value("document.getElementById('send').click()")
        page.wait_for("document.getElementById('outcome').textContent.startsWith('400, ')")
        page.wait_for("document.getElementById('state').textContent.startsWith('ready')")
        assert all(url.startswith((f"http://{address}/", "data:")) for url in page.requests)
        assert [each for each in page.complaints if "400" not in each] == []
        page.screenshot(tmp_path / "page.png")


def test_the_description_names_every_path(address: str) -> None:
    with urllib.request.urlopen(f"http://{address}/openapi.json") as answer:
        described = json.load(answer)
    assert described["openapi"] == "3.1.0"
    assert {"/v2/models/layer/infer", "/v2/models/layer/versions/1/infer", "/metrics"} <= set(described["paths"])
    for path, methods in described["paths"].items():
        if "get" in methods:
            with urllib.request.urlopen(f"http://{address}{path}") as answer:
                assert answer.status == 200
