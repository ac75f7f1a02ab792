"""Models that are served in tests, and requests to them without a network."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from webnn.runtime.context import MLContext
from webnn.serving.application import Application
from webnn.serving.exchanges import CONNECTION, Limits
from webnn.serving.repository import Served

__all__ = ["Answer", "affine", "application", "ask", "infer", "tensor"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Attributes:
        status: of HTTP; 0 if nothing came.
        headers: by name.
        body: the bytes.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        assert self.headers["content-type"] == "application/json"
        assert "Traceback" not in self.body.decode()
        (error,) = self.json.values()
        return str(error)


def affine(
    context: MLContext, *, name: str = "affine", version: str = "1", batched: bool = True, pace: float = 0.0
) -> Served:
    """A model of two inputs: `y = 2 x + z`, rows of three; a run is said to take `pace` seconds."""
    builder = context.create_graph_builder()
    x, z = (builder.input(port, [1, 3], "float32") for port in "xz")
    graph = builder.build({"y": x * 2 + z})
    served = Served(name, version, graph, batched=batched)
    served.pace = pace
    return served


def application(*models: Served, **limits: Any) -> Application:
    return Application(models, version="0", limits=Limits(**limits))


def tensor(name: str, data: Any, datatype: str = "FP32", **more: Any) -> dict[str, Any]:
    """A tensor of a request, in JSON."""
    return {"name": name, "shape": list(np.shape(data)), "datatype": datatype, "data": data, **more}


async def ask(
    app: Application,
    path: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    *,
    method: str = "",
    parts: int = 1,
    left: asyncio.Event | None = None,
    connection: Any = None,
) -> Answer:
    """The answer to one request; a POST if there is a body, which comes in so many parts.

    Args:
        app: answers.
        path: of the request.
        body: None for a GET.
        headers: further headers, or others.
        method: another one.
        parts: of the body; 0 if it never comes.
        left: set when the client goes away.
        connection: what the server has of it.
    """
    content = body or b""
    given = {"content-length": str(len(content)), **(headers or {})}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method or ("GET" if body is None else "POST"),
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "server": ("localhost", 80),
        "client": ("localhost", 1),
        "headers": [(key.lower().encode(), value.encode("latin-1")) for key, value in given.items()],
    }
    if connection is not None:
        scope[CONNECTION] = connection
    size = -(-len(content) // max(parts, 1))
    coming = [
        {"type": "http.request", "body": content[i * size : (i + 1) * size], "more_body": i + 1 < parts}
        for i in range(parts)
    ]
    coming.reverse()
    status = 0
    answered: dict[str, str] = {}
    received = []

    async def receive() -> dict[str, Any]:
        if coming:
            return coming.pop()
        await (left or asyncio.Event()).wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
            answered.update((key.decode(), value.decode()) for key, value in message["headers"])
        else:
            received.append(message.get("body", b""))

    await app(scope, receive, send)
    answer = Answer(status, answered, b"".join(received))
    assert answer.headers.get("content-length", str(len(answer.body))) == str(len(answer.body))
    return answer


async def infer(
    app: Application, *inputs: Any, model: str = "affine", asked: Mapping[str, Any] | None = None, **more: Any
) -> Answer:
    """The answer to a request for a run, in JSON; `asked` are options of `ask`."""
    body = json.dumps({"inputs": inputs, **more}).encode()
    return await ask(app, f"/v2/models/{model}/infer", body, **(asked or {}))
