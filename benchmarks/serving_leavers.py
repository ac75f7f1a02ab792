"""How many runs does a client of `webnn serve` wait for, after 1,000 others have left in the middle?

The others connect, send a request, half of one or nothing, and close their connections, one after the other or all at
once. Then a client sends a request, on an open connection or on a new one. Its wait is the time from then until it has
the answer, so its own run is in it; the unit is its wait where no others have been, a run on all cores and the way to
the server and back. `webnn serve` is used as it is, and without batches, since the run of a batch takes longer. The
rounds are apart, so that the server has closed the connections of the round before.
"""

from __future__ import annotations

import http.client
import resource
import socket
import statistics
import time
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks.http_load import request_of
from benchmarks.measure import Options, Report, main
from benchmarks.models import Model, convolutions, mlp
from benchmarks.serving import ours, request, server

LEAVING, ROUNDS = 1000, 5
CLOSING: Final = 0.2
"""Seconds in which the server closes the connections of those who have left."""
SETTLING: Final = 10
"""Runs after which a run that is alone has all cores again."""
ALONE: Final = 5
"""Runs whose median wait is the unit."""
BAR: Final = 2.0
SERVERS: Final = (("", ()), (", without batches", ("--max-batch", "1")))


def measure(report: Report, options: Options) -> None:
    """Add the waits among those who leave, for runs of about 1.5, 10 and 40 ms on two cores."""
    models = (
        mlp("MLP of 12 million weights", [512, 3072, 3072, 1024, 10]),
        convolutions("64 convolutions", 64),
        convolutions("256 convolutions", 256),
    )
    for model in options.some(models):
        with TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            path.write_bytes(model.onnx())
            for how, words in options.some(SERVERS):
                if not options.has(model.name + how):
                    continue
                among_leavers(report, options, model, ours(path, *words), model.name + how)


def among_leavers(report: Report, options: Options, model: Model, words: list[str], name: str) -> None:
    """Add the waits for one model and one way to serve it."""
    body, headers = request(model, binary=True)
    sent = request_of("/v2/models/model/infer", body, headers)
    number = min(max(10, round(LEAVING * min(1.0, options.scale))), resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 100)
    with server(words) as address, connected(address) as kept:
        for how, leave in (("one after the other", in_turn), ("at once", at_once)):
            ends_of = {"no request": 0, "half a request": len(sent) - len(body) // 2, "a request": len(sent)}
            for what, end in ends_of.items():  # without a request, it is the cost of the connections alone
                for kind in ("kept", "new"):
                    waits, usual = [], []
                    for _ in range(options.rounds(ROUNDS)):
                        alone = [wait(kept, sent) for _ in range(options.count(SETTLING) + ALONE)]
                        usual.append(statistics.median(alone[-ALONE:]))
                        leave(address, sent[:end], number)
                        waits.append(wait(kept, sent) if kind == "kept" else wait_on_new_connection(address, sent))
                        time.sleep(CLOSING)
                    title = f"{name}: after {number} clients with {what} have left {how}, on a {kind} connection"
                    report.times(title, waits, usual, "ms", peer="without them", bar=BAR)


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


def wait_on_new_connection(address: str, sent: bytes) -> float:
    """Seconds until a client has connected and its request is answered."""
    began = time.perf_counter()
    with connected(address) as client:
        wait(client, sent)
        return time.perf_counter() - began


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
    main(measure, peer="without them")
