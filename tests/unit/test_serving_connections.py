"""Connections of the server over real sockets: answers in one piece, limits, and an end."""

from __future__ import annotations

import asyncio
import gc
import json
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from webnn.serving.connections import PIPELINE, Connection
from webnn.serving.exchanges import CONNECTION
from webnn.serving.hosts import ADDRESS, FIELDS, HEAD
from webnn.serving.listening import listen
from webnn.serving.transports import BEHIND, FEW

ASK = b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answer with the body, in one piece, or in messages as ASGI has it if the path is /messages.

    Answer at once if it is /early, and not before the client leaves if it is /never.
    """
    body, more = b"", scope["path"] != "/early"
    while more:
        message = await receive()
        body, more = body + message["body"], message["more_body"]
    headers = [(b"content-length", b"%d" % len(body))]
    if scope["path"] == "/never":
        assert await receive() == {"type": "http.disconnect"}
        return
    if scope["path"] == "/messages":
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        return
    assert scope[CONNECTION].answer(scope, 200, headers, body)


@asynccontextmanager
async def connected(state: ServerState) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter, Connection]]:
    config = uvicorn.Config(echo, http=Connection, lifespan="off", log_config=None, date_header=False)
    config.load()
    loop = asyncio.get_running_loop()
    with listen("127.0.0.1", 0) as listener:
        reader, writer = await asyncio.open_connection(*listener.getsockname()[:2])
        accepted, _ = listener.accept()
    make = partial(Connection, accepted, config=config, server_state=state, app_state={}, _loop=loop)
    try:
        yield reader, writer, (await loop.connect_accepted_socket(make, accepted))[1]
    finally:
        writer.close()


@pytest.mark.asyncio
async def test_requests_are_answered_in_one_piece_each_also_those_in_a_pipeline() -> None:
    state = ServerState()
    async with connected(state) as (reader, writer, _):
        writer.write(ASK)
        assert await reader.readuntil(b"hi") == b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"
        writer.write(2 * ASK)
        for _ in range(2):
            assert (await reader.readuntil(b"hi")).startswith(b"HTTP/1.1 200 OK\r\n")
        assert state.total_requests == 3


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "asked", [ASK.replace(b"/1.1\r\n", b"/1.1\r\nConnection: close\r\n"), ASK.replace(b"1.1", b"1.0")]
)
async def test_a_client_that_wants_no_more_is_told_so_and_the_connection_ends(asked: bytes) -> None:
    async with connected(ServerState()) as (reader, writer, _):
        writer.write(asked)
        assert (await reader.read()).endswith(b"connection: close\r\n\r\nhi")


@pytest.mark.asyncio
@pytest.mark.parametrize("asked", [ASK, ASK.replace(b"/a", b"/messages")], ids=["in one piece", "in messages"])
async def test_a_request_that_has_been_answered_leaves_nothing_to_the_garbage_collector(asked: bytes) -> None:
    async with connected(ServerState()) as (reader, writer, connection):
        writer.write(asked)
        await reader.readuntil(b"hi")
        cycle = weakref.ref(connection.cycle)
        gc.disable()
        try:
            writer.write(asked)
            await reader.readuntil(b"hi")
            assert cycle() is None
        finally:
            gc.enable()


@pytest.mark.asyncio
async def test_a_body_that_the_application_does_not_read_is_forgotten_with_its_answer() -> None:
    async with connected(ServerState()) as (reader, writer, connection):
        writer.write(ASK.replace(b"/a", b"/early"))
        await reader.readuntil(b"\r\n\r\n")
        assert connection.cycle.body == b""


@pytest.mark.asyncio
async def test_a_connection_that_ends_leaves_nothing_to_the_garbage_collector() -> None:
    async with connected(ServerState()) as (_, writer, connection):
        writer.write(ASK.replace(b"/a", b"/never") + 2 * ASK)
        while len(connection.pipeline) < 2:  # noqa: ASYNC110 (data_received is called by the loop)
            await asyncio.sleep(0)
        cycles = [weakref.ref(cycle) for cycle, _ in connection.pipeline]
        (task,) = connection.tasks
        gc.disable()
        try:
            connection.transport.abort()
            while connection in connection.connections:  # noqa: ASYNC110 (connection_lost is called by the loop)
                await asyncio.sleep(0)
            assert [cycle() for cycle in cycles] == [None, None]
            ended = weakref.ref(connection)
            await asyncio.wait([task])
            del connection, task
            await asyncio.sleep(0)
            assert ended() is None
        finally:
            gc.enable()


@pytest.mark.asyncio
async def test_an_answer_to_a_client_that_has_left_is_dropped() -> None:
    async with connected(ServerState()) as (_, writer, connection):
        writer.write(ASK[:-1])
        while connection.cycle is None:  # noqa: ASYNC110 (data_received is called by the loop)
            await asyncio.sleep(0)
        scope: Any = connection.scope
        connection.transport.abort()
        while connection in connection.connections:  # noqa: ASYNC110 (connection_lost is called by the loop)
            await asyncio.sleep(0)
        assert connection.answer(scope, 503, [], b"")


@pytest.mark.asyncio
async def test_a_server_that_stops_closes_the_connection_with_the_answer() -> None:
    state = ServerState()
    state.default_headers = [(b"connection", b"close")]
    async with connected(state) as (reader, writer, _):
        writer.write(ASK)
        assert (await reader.read()).count(b"connection: close\r\n") == 1


@pytest.mark.asyncio
async def test_a_connection_that_is_idle_is_closed_and_one_that_is_asked_is_not() -> None:
    async with connected(ServerState()) as (reader, writer, connection):
        now = asyncio.get_running_loop().time()
        connection.close_if_idle(now - 1)
        writer.write(ASK[:-1])
        while connection.cycle is None:  # noqa: ASYNC110 (data_received is called by the loop)
            await asyncio.sleep(0)
        connection.close_if_idle(now + 1)
        writer.write(ASK[-1:])
        assert (await reader.readuntil(b"hi")).startswith(b"HTTP/1.1 200 OK\r\n")
        connection.close_if_idle(now + 1000)
        assert await reader.read() == b""


def text_of(answers: bytes) -> list[tuple[int, str]]:
    """The statuses and bodies of answers, all of which have a length."""
    found = []
    while answers:
        head, _, rest = answers.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        found.append((int(head.split()[1]), rest[:length].decode()))
        answers = rest[length:]
    return found


def error(message: str) -> str:
    return json.dumps({"error": message}, separators=(",", ":"))


INVALID = 400, error("the request is not valid HTTP")
CHUNKED = b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.asyncio
@pytest.mark.parametrize("kept", [0, 1, 3])
@pytest.mark.parametrize("wrong", [b"no request\r\n\r\n", CHUNKED + b"2\r\nhi\r\nno number\r\n"])
async def test_what_is_no_request_is_refused_after_the_requests_before_it_have_been_answered(
    kept: int, wrong: bytes
) -> None:
    async with connected(ServerState()) as (reader, writer, _):
        writer.write(kept * ASK + wrong + ASK)
        assert text_of(await reader.read()) == [(200, "hi")] * kept + [INVALID]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "address", [b"http://a", b"http://", b"http:///v2", b"http://a:/v2", b"http://a:99999999/v2", b"http://a@b@c/v2"]
)
@pytest.mark.parametrize("kept", [0, 2])
async def test_an_address_that_has_no_path_or_is_invalid_is_refused(address: bytes, kept: int) -> None:
    async with connected(ServerState()) as (reader, writer, _):
        writer.write(kept * ASK + ASK.replace(b"/a", address, 1) + ASK)
        message = f"the address of a request must have a path, such as /v2; got {address.decode()!a}"
        assert text_of(await reader.read()) == [(200, "hi")] * kept + [(400, error(message))]


@pytest.mark.asyncio
@pytest.mark.parametrize("kept", [0, 2])
async def test_an_address_is_bounded(kept: int) -> None:
    for more in (0, 1):
        address = b"/a?" + b"b" * (ADDRESS - 3 + more)
        async with connected(ServerState()) as (reader, writer, _):
            writer.write(kept * ASK + ASK.replace(b"/a", address, 1) + b"no request\r\n\r\n")
            refused = 414, error(f"the address of a request may have {ADDRESS} bytes, got {ADDRESS + 1}")
            assert text_of(await reader.read()) == [(200, "hi")] * kept + (
                [refused] if more else [(200, "hi"), INVALID]
            )


@pytest.mark.asyncio
@pytest.mark.parametrize("kept", [0, 2])
async def test_headers_are_bounded_in_number(kept: int) -> None:
    for more in (0, 1):
        fields = b"a:b\r\n" * (FIELDS - 2 + more)
        async with connected(ServerState()) as (reader, writer, _):
            writer.write(kept * ASK + ASK.replace(b"\r\n\r\n", b"\r\n" + fields + b"\r\n") + b"no request\r\n\r\n")
            refused = 431, error(f"the request has more than {FIELDS} headers")
            assert text_of(await reader.read()) == [(200, "hi")] * kept + (
                [refused] if more else [(200, "hi"), INVALID]
            )


@pytest.mark.asyncio
@pytest.mark.parametrize("part", ["address", "header"])
async def test_a_large_head_that_comes_at_once_is_refused(part: str) -> None:
    long = b"a" * (HEAD + 1)
    head = ASK.replace(b"/", b"/" + long, 1) if part == "address" else ASK.replace(b"Host: a", b"Host: a\r\nX: " + long)
    async with connected(ServerState()) as (_, _, connection):
        sent: list[bytes] = []
        connection.transport.write = lambda data: sent.append(bytes(data))  # type: ignore[method-assign]
        connection.data_received(head)
        assert text_of(b"".join(sent)) == [(431, error(f"the head of the request is larger than {HEAD} bytes"))]


@pytest.mark.asyncio
async def test_a_head_that_began_in_a_read_before_is_bounded_as_exactly() -> None:
    for size, status in ((HEAD - 1000, 200), (HEAD + 1, 431)):
        head, _, body = ASK.replace(b"Host: a", b"Host: a\r\nX: " + b"a" * size).partition(b"\r\n\r\n")
        async with connected(ServerState()) as (reader, _, connection):
            connection.data_received(head[:-2])
            connection.data_received(head[-2:] + b"\r\n\r\n" + body)
            assert (await reader.readline()).split()[1] == b"%d" % status


@pytest.mark.asyncio
async def test_a_large_body_before_a_head_does_not_count_for_it() -> None:
    body = b"b" * (HEAD + 1)
    large = b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    for cut in (1, 10, 30, len(ASK) - 4):
        async with connected(ServerState()) as (reader, _, connection):
            connection.data_received(large + ASK[:cut])
            connection.data_received(ASK[cut:])
            await reader.readuntil(body)
            assert (await reader.readuntil(b"hi")).startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.asyncio
async def test_the_time_for_a_head_begins_with_it() -> None:
    async with connected(ServerState()) as (reader, _, connection):
        connection.data_received(ASK[:20])
        first = connection._head_timer
        assert first is not None
        await asyncio.sleep(0.01)
        connection.data_received(ASK[20:] + ASK[:20])
        second = connection._head_timer
        assert second is not None
        assert first.cancelled()
        assert second.when() > first.when()
        connection.data_received(ASK[20:])
        assert connection._head_timer is None
        assert (await reader.readexactly(2 * len(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"))).endswith(b"hi")


@pytest.mark.asyncio
@pytest.mark.parametrize("stops", [False, True])
async def test_what_every_answer_says_is_said_of_what_is_no_request_and_once(stops: bool) -> None:
    state = ServerState()
    state.default_headers = [(b"date", b"today"), *([(b"connection", b"close")] if stops else [])]
    async with connected(state) as (reader, writer, _):
        writer.write(b"no request\r\n\r\n")
        answer = await reader.read()
        assert answer.count(b"date: today\r\n") == 1
        assert answer.count(b"connection: close\r\n") == 1


@pytest.mark.asyncio
async def test_the_rest_of_a_body_that_is_wrong_gets_no_second_answer() -> None:
    async with connected(ServerState()) as (reader, writer, _):
        writer.write(CHUNKED.replace(b"/a", b"/early"))
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK\r\n")
        writer.write(b"no number\r\n")
        assert await reader.read() == b""


@pytest.mark.asyncio
async def test_as_many_requests_are_answered_as_may_wait_and_the_last_answer_ends_the_connection() -> None:
    async with connected(ServerState()) as (reader, writer, _):
        writer.write((PIPELINE + 50) * ASK)
        answers = await reader.read()
        assert text_of(answers) == [(200, "hi")] * (PIPELINE + 1)
        assert answers.count(b"connection: close\r\n") == 1


@pytest.mark.asyncio
async def test_nothing_is_read_while_many_requests_wait_behind_another_one() -> None:
    async with connected(ServerState()) as (reader, writer, connection):
        writer.write((FEW + 1) * ASK + ASK[:-1])
        while not connection.pipeline:  # noqa: ASYNC110 (data_received is called by the loop)
            await asyncio.sleep(0)
        connection.watch(None)
        assert not connection.transport.is_reading()
        for _ in range(FEW + 1):
            await reader.readuntil(b"hi")
        assert connection.transport.is_reading()  # then the last one has its turn, and reads its body
        writer.write(ASK[-1:])
        await reader.readuntil(b"hi")


@pytest.mark.asyncio
async def test_nothing_is_read_while_a_large_request_waits_behind_another_one() -> None:
    async with connected(ServerState()) as (_, writer, connection):
        head = b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (BEHIND + 1)
        writer.write(ASK.replace(b"/a", b"/never") + head + bytes(BEHIND + 1))
        while not connection.pipeline or len(connection.pipeline[0][0].body) <= BEHIND:
            connection.watch(None)
            await asyncio.sleep(0)
        connection.watch(None)
        assert not connection.transport.is_reading()


@pytest.mark.asyncio
@pytest.mark.parametrize("host", ["a", "a:80", "", "127.0.0.1:8000", "[::1]:8000", "a-b.example", "[fe80::1%25eth0]"])
async def test_a_request_has_a_host(host: str) -> None:
    async with connected(ServerState()) as (reader, writer, _):
        writer.write(ASK.replace(b"Host: a", f"Host: {host}".encode()))
        assert (await reader.readuntil(b"hi")).startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("hosts", "got"),
    [
        ([], "none"),
        (["a", "a"], "'a' and 'a'"),
        (["a b"], "'a b'"),
        (["a/b"], "'a/b'"),
        (["b@a"], "'b@a'"),
        (["a:b"], "'a:b'"),
        (["[::1"], "'[::1'"),
    ],
)
async def test_a_request_without_one_valid_host_is_refused_after_those_before_it(hosts: list[str], got: str) -> None:
    lines = "".join(f"Host: {host}\r\n" for host in hosts)
    async with connected(ServerState()) as (reader, writer, _):
        writer.write(2 * ASK + ASK.replace(b"Host: a\r\n", lines.encode()) + ASK)
        message = f"a request must have one Host header, such as Host: localhost:8000; got {got}"
        assert text_of(await reader.read()) == [(200, "hi"), (200, "hi"), (400, error(message))]


@pytest.mark.asyncio
async def test_a_request_of_http_1_0_needs_no_host_but_may_not_have_two() -> None:
    old = ASK.replace(b"HTTP/1.1", b"HTTP/1.0")
    for sent, status in (
        (old.replace(b"Host: a\r\n", b""), 200),
        (old, 200),
        (old.replace(b"Host: a", b"Host: a\r\nHost: b"), 400),
    ):
        async with connected(ServerState()) as (reader, writer, _):
            writer.write(sent)
            assert (await reader.read()).startswith(b"HTTP/1.1 %d " % status)


@pytest.mark.asyncio
async def test_trailers_are_not_headers() -> None:
    async with connected(ServerState()) as (reader, writer, connection):
        trailers = b"0\r\nContent-Type: text/plain\r\nExpect: 100-continue\r\n\r\n"
        writer.write(CHUNKED + b"2\r\nhi\r\n" + trailers)
        await reader.readuntil(b"hi")
        assert connection.headers == [(b"host", b"a"), (b"transfer-encoding", b"chunked")]
        assert not connection.expect_100_continue


@pytest.mark.asyncio
@pytest.mark.parametrize("line", [b"a: b\r\n", b"a"], ids=["many", "a long one"])
async def test_trailers_are_bounded(line: bytes) -> None:
    async with connected(ServerState()) as (reader, writer, connection):
        writer.write(CHUNKED + b"2\r\nhi\r\n0\r\na: ")
        sent, part = 0, HEAD // len(line) // 4 * line
        while not connection.transport.is_closing():
            if connection._since_chunk == sent:
                writer.write(part)
                sent += len(part)
            await asyncio.sleep(0)
        assert sent <= HEAD + len(part)
        answer = await reader.read()
        assert text_of(answer) == [(431, error(f"the trailers of the request are larger than {HEAD} bytes"))]


@pytest.mark.asyncio
async def test_chunks_are_no_trailers() -> None:
    async with connected(ServerState()) as (reader, writer, _):
        body = b"x" * 1000
        writer.write(CHUNKED)
        for _ in range(200):  # the head of each comes with the chunk before it
            writer.write(b"3e8\r\n")
            await asyncio.sleep(0)
            writer.write(body + b"\r\n")
        writer.write(b"0\r\n\r\n")
        assert await reader.readuntil(200 * body)


UPGRADES = [
    b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
    b"Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
]


@pytest.mark.asyncio
@pytest.mark.parametrize("upgrade", UPGRADES, ids=["HTTP/2", "WebSocket"])
@pytest.mark.parametrize("pieces", [1, 2, 1000])
async def test_a_request_that_would_upgrade_the_connection_is_answered_without_that(
    upgrade: bytes, pieces: int
) -> None:
    sent = 2 * ASK.replace(b"\r\n", b"\r\n" + upgrade, 1) + ASK
    size = -(-len(sent) // pieces)
    async with connected(ServerState()) as (reader, writer, connection):
        for begin in range(0, len(sent), size):
            writer.write(sent[begin : begin + size])
            await asyncio.sleep(0)
        for _ in range(3):
            assert (await reader.readuntil(b"hi")).startswith(b"HTTP/1.1 200 OK\r\n")
        assert connection.transport.is_reading()


@pytest.mark.asyncio
async def test_thousands_of_requests_to_upgrade_the_connection_are_not_nested() -> None:
    async with connected(ServerState()) as (reader, writer, _):
        writer.write(4000 * (b"GET /early HTTP/1.1\r\nHost: a\r\n" + UPGRADES[1] + b"\r\n"))
        answers = await reader.read()
        assert text_of(answers) == [(200, "")] * (PIPELINE + 1)


@pytest.mark.asyncio
async def test_the_server_is_no_proxy() -> None:
    async with connected(ServerState()) as (reader, writer, _):
        writer.write(ASK + b"CONNECT example.com:80 HTTP/1.1\r\nHost: a\r\n\r\n" + ASK)
        assert text_of(await reader.read()) == [(200, "hi"), (400, error("this server is not a proxy"))]


@pytest.mark.asyncio
async def test_what_follows_is_not_taken_for_a_body_that_the_client_was_not_told_to_send() -> None:
    async with connected(ServerState()) as (reader, writer, _):
        early = ASK.replace(b"/a", b"/early").replace(b"\r\n", b"\r\nExpect: 100-continue\r\n", 1)
        writer.write(early[:-2])
        answer = await reader.read()
        assert text_of(answer) == [(200, "")]
        assert b"connection: close\r\n" in answer
