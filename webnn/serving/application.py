"""The server as an ASGI application: it answers requests for runs itself, and all others through Starlette."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from time import perf_counter
from typing import Any, Final
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from webnn.runtime.parts import device_of
from webnn.serving.admission import Admission
from webnn.serving.backlog import Backlog
from webnn.serving.endings import refusal
from webnn.serving.exchanges import Limits, Message, Observer, Receive, Scope, Send, Shared
from webnn.serving.inference import Inference
from webnn.serving.json_text import written
from webnn.serving.metrics import CONTENT_TYPE as METRICS
from webnn.serving.metrics import Metrics
from webnn.serving.openapi import openapi
from webnn.serving.protocol import Refused
from webnn.serving.repository import Repository, Served
from webnn.serving.status import FILES, POLICY, example, status

__all__ = ["Application"]

SERVER: Final = "webnn"
EXTENSIONS: Final = ("binary_tensor_data", "model_repository")


class Application:
    """An ASGI application that serves models.

    Args:
        models: every version of every model.
        version: the version of the server, for its metadata.
        limits: the limits of queues, times and bodies.
        log: called after each request, with its scope, its status, the bytes of its answer and its seconds.
    """

    def __init__(
        self, models: Sequence[Served], *, version: str, limits: Limits | None = None, log: Observer | None = None
    ) -> None:
        self.repository = Repository(models)
        self.limits = limits or Limits()
        self.shared = Shared(self.limits.timeout, self.limits.max_bodies)
        self.draining = False
        """Whether the server stops: it answers what comes, and says that it is not ready."""
        self.inferences: list[Inference] = []
        self._version = version
        self._log = log
        self._turn = asyncio.Lock()
        """Has one request in each turn of the event loop begin that is not for a run. A thousand of them at once would
        hold up the runs, since they have no queue with a limit."""
        self._by_path: dict[str, Inference] = {}
        self._contexts = list({id(served.context): served.context for served in self.repository}.values())
        lanes = sum(len(device_of(context).lanes) for context in self._contexts)
        self.backlog = Backlog(lanes, self.shared.memory)
        admissions = {
            name: Admission(
                self.limits.max_queue,
                self.limits.timeout,
                max(self.repository.find(name, version).pace for version in self.repository.versions(name)),
            )
            for name in self.repository.names
        }
        for served in self.repository:  # the highest version comes last, and is the default
            inference = Inference(served, self.limits, self.shared, admissions[served.name], self.backlog, log=log)
            self.inferences.append(inference)
            self._by_path[f"/v2/models/{served.name}/versions/{served.version}/infer"] = inference
            self._by_path[f"/v2/models/{served.name}/infer"] = inference
        self.by_url = {path.encode(): each for path, each in self._by_path.items() if quote(path) == path}
        """What answers requests for runs, by the path as clients send it, for connections that need no more."""
        self._figures = Metrics(self.inferences, self._contexts, self.shared)
        self._others = Starlette(
            routes=self._routes(),
            exception_handlers={HTTPException: _refused, Refused: _refused, Exception: _failed},
        )
        self._others.router.redirect_slashes = (
            False  # the address in a redirection would be that in the client's headers
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, as ASGI has it."""
        if scope["type"] == "http" and scope["method"] == "POST":
            inference = self._by_path.get(scope["path"])
            if inference is not None:
                return await inference(scope, receive, send)
        async with self._turn:
            await asyncio.sleep(0)
        if self._log is not None and scope["type"] == "http":
            return await self._logged(scope, receive, send, self._log)
        return await self._others(scope, receive, send)

    async def _logged(self, scope: Scope, receive: Receive, send: Send, log: Observer) -> None:
        """Answer a request that is not for a run, and log it."""
        began, status, size = perf_counter(), 500, 0

        async def sending(message: Message) -> None:
            nonlocal status, size
            status = message.get("status", status)
            size += len(message.get("body", b""))
            await send(message)

        try:
            await self._others(scope, receive, sending)
        finally:
            log(scope, status, size, perf_counter() - began)

    def _routes(self) -> list[Route]:
        model = "/v2/models/{name}"
        version = model + "/versions/{version}"
        return [
            *(Route(path, self._file) for path in FILES),
            Route("/status.json", self._status),
            Route("/example.json", self._example),
            Route("/openapi.json", self._openapi),
            Route("/metrics", self._metrics),
            Route("/v2", self._metadata),
            Route("/v2/health/live", self._live),
            Route("/v2/health/ready", self._ready),
            Route("/v2/repository/index", self._index, methods=["GET", "POST"]),
            Route("/v2/repository/models/{name}/load", self._no_control, methods=["POST"]),
            Route("/v2/repository/models/{name}/unload", self._no_control, methods=["POST"]),
            Route(model, self._model),
            Route(version, self._model),
            Route(model + "/ready", self._model_ready),
            Route(version + "/ready", self._model_ready),
            Route(model + "/infer", self._no_model, methods=["POST"]),
            Route(version + "/infer", self._no_model, methods=["POST"]),
        ]

    async def _file(self, request: Request) -> Response:
        kind, content = FILES[request.scope["path"]]
        return Response(content, headers={"content-security-policy": POLICY}, media_type=kind)

    async def _status(self, _: Request) -> Response:
        batching = [context.statistics().batching for context in self._contexts]
        batches = sum(each.batches for each in batching)
        size = round(sum(each.requests for each in batching) / batches, 1) if batches else None
        return _json(
            {
                "ready": not self.draining,
                "in_progress": len(self.shared.exchanges),
                "batch_size": size,
                "models": [status(inference) for inference in self.inferences],
            }
        )

    async def _example(self, request: Request) -> Response:
        inference = self._by_path.get(request.query_params.get("path", ""))
        found = None if inference is None else example(inference)
        if found is None:
            raise Refused(404, "there is no example of a request to this path")
        return _json(found)

    async def _openapi(self, _: Request) -> Response:
        return _json(openapi(self.repository, self._version))

    async def _metrics(self, _: Request) -> Response:
        return Response(self._figures.text(), media_type=METRICS)

    async def _metadata(self, _: Request) -> Response:
        return _json({"name": SERVER, "version": self._version, "extensions": EXTENSIONS})

    async def _live(self, _: Request) -> Response:
        return _json({"live": True})

    async def _ready(self, _: Request) -> Response:
        self._check_ready()
        return _json({"ready": True})

    def _check_ready(self) -> None:
        if self.draining:
            raise Refused(503, "the server is shutting down", ((b"retry-after", b"1"),))

    async def _index(self, _: Request) -> Response:
        state, reason = ("UNAVAILABLE", "the server is shutting down") if self.draining else ("READY", "")
        return _json(
            [
                {"name": served.name, "version": served.version, "state": state, "reason": reason}
                for served in self.repository
            ]
        )

    async def _model(self, request: Request) -> Response:
        return _json(self._found(request).metadata(self.repository.versions(request.path_params["name"])))

    async def _model_ready(self, request: Request) -> Response:
        served = self._found(request)
        self._check_ready()
        return _json({"name": served.name, "ready": True})

    async def _no_control(self, _: Request) -> Response:
        raise Refused(400, "models are loaded when the server starts, and no request loads or unloads one")

    async def _no_model(self, request: Request) -> Response:
        self._found(request)
        raise AssertionError("a model that exists has been found by its path")

    def _found(self, request: Request) -> Served:
        return self.repository.find(request.path_params["name"], request.path_params.get("version"))


def _json(value: Any) -> Response:
    return Response(written(value), media_type="application/json")


async def _refused(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):  # of Starlette's router
        takes = ", ".join(sorted((error.headers or {}).get("Allow", "other methods").split(", ")))
        reason = {
            404: "there is nothing at this path; GET /openapi.json lists the paths",
            405: f"this path does not take {request.method}, but {takes}",
        }
        more = tuple((name.encode(), value.encode()) for name, value in (error.headers or {}).items())
        error = Refused(error.status_code, reason.get(error.status_code, error.detail), more)
    assert isinstance(error, Refused)
    headers, body = refusal(error)
    return Response(body, error.status, {name.decode(): value.decode() for name, value in headers})


async def _failed(_: Request, __: Exception) -> Response:
    """The answer where the server itself failed; Starlette raises the error again, and uvicorn logs it."""
    headers, body = refusal(Refused(500, "the server failed; its log has the reason"))
    return Response(body, 500, {name.decode(): value.decode() for name, value in headers})
