"""A Starlette application around one context: bodies and runs have deadlines, and a run ends if its client leaves.

    python -m examples.server [MODEL.onnx] [--port 8000] [--workers 2 --threads 1]
    curl --data-binary @Makefile localhost:8000/run

Without MODEL.onnx, the server recognizes the type of a file with Magika, as examples/file_types.py does. A MODEL.onnx
has one input, float32 and of a fixed shape. The body of a request has its elements, and the answer has all outputs.

`webnn serve MODEL.onnx` needs no code. This program shows how to put a model into an application of your own.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import math
import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import CancelledError
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import webnn
from examples.file_types import Magika, NotShownError

Array = np.ndarray[Any, Any]

WAITING = 64  # runs under way; more are refused at once
SECONDS = 5.0  # for the body of a request, and again for its run
HELD = 2**28  # bytes of all bodies together
OPTIONS = "WEBNN_EXAMPLE_SERVER"  # the variable by which workers get theirs


@dataclass(frozen=True, slots=True)
class Service:
    """A model, and the code around it.

    Attributes:
        shapes: the sizes of the dimensions that the file leaves open.
        largest: bytes that the body of a request has at most.
        before: the body of a request as the model's input.
        after: the model's outputs as an answer.
    """

    model: Path
    shapes: Mapping[str, list[int]]
    largest: Callable[[webnn.MLGraph], int]
    before: Callable[[bytes, webnn.MLGraph], Array]
    after: Callable[[Mapping[str, Array]], object]


class RefusedError(Exception):
    """A request that is not run; the arguments are the status of HTTP and the reason."""


class Answer(JSONResponse):
    """JSON with NaN and Infinity, which networks give and clients read; Starlette's own answers 500 to them."""

    def render(self, content: object) -> bytes:
        """The text of the answer."""
        return json.dumps(content, separators=(",", ":")).encode()


def elements(model: Path) -> Service:
    """Any model with one input, float32 and of a fixed shape: bodies are its elements, and answers are all outputs."""

    def size(graph: webnn.MLGraph) -> int:
        (port,) = graph.inputs.values()
        return math.prod(port.shape) * 4

    def before(body: bytes, graph: webnn.MLGraph) -> Array:
        (port,) = graph.inputs.values()
        if len(body) != size(graph):
            raise RefusedError(400, f"the body must have {size(graph)} bytes, got {len(body)}")
        return np.frombuffer(body, np.float32).reshape(port.shape)

    return Service(model, {}, size, before, lambda outputs: {name: array.tolist() for name, array in outputs.items()})


def file_types(magika: Magika) -> Service:
    """Magika: bodies are files, and answers are their types."""

    def before(body: bytes, graph: webnn.MLGraph) -> Array:
        try:
            return magika.tokens_of(io.BytesIO(body))
        except NotShownError as error:
            raise RefusedError(400, f"the file has too few bytes for the network: {error}") from None

    def after(outputs: Mapping[str, Array]) -> object:
        probabilities = outputs["target_label"]
        return {"type": magika.label(probabilities), "probability": round(float(probabilities.max()), 2)}

    shapes = {"bytes": [1, magika.begin + magika.end]}
    return Service(magika.file, shapes, lambda graph: 2**24, before, after)


def application(service: Service, *, max_batch: int = 32, threads: int = 0) -> Starlette:
    """The application. The model is loaded when the server starts."""
    under_way = held = 0

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        # In the process that serves: with several workers, each has a context of its own.
        async with webnn.create_context(max_batch=max_batch, threads=threads) as context:
            app.state.context = context
            app.state.graph = await webnn.load_onnx(service.model, context, shapes=service.shapes)
            yield

    async def run(request: Request) -> Response:
        try:
            async with body_of(request) as body:
                return await answer(request, body)
        except RefusedError as error:
            status, why = error.args
            return Answer({"error": why}, status, {"Retry-After": "1"} if status == 503 else None)
        except (ClientDisconnect, CancelledError):  # amid the body; by `left`
            return Response(status_code=499)

    @asynccontextmanager
    async def body_of(request: Request) -> AsyncIterator[bytes]:
        """The whole body first: after that, `receive` waits for nothing but the client."""
        nonlocal held
        if under_way >= WAITING:
            raise RefusedError(503, "try again later")
        largest = service.largest(request.app.state.graph)
        body = bytearray()
        try:
            try:
                async with asyncio.timeout(SECONDS):  # the client may stop sending
                    async for part in request.stream():
                        body += part
                        held += len(part)
                        if len(body) > largest:
                            raise RefusedError(413, f"the body may have {largest} bytes")
                        if held > HELD:
                            raise RefusedError(503, "try again later")
            except TimeoutError:
                raise RefusedError(408, f"no whole body in {SECONDS:g} s") from None
            yield bytes(body)
        finally:
            held -= len(body)

    async def answer(request: Request, body: bytes) -> Response:
        nonlocal under_way
        context, graph = request.app.state.context, request.app.state.graph
        given = service.before(body, graph)
        under_way += 1
        promise = context.run(graph, given, timeout=SECONDS)
        watch = asyncio.create_task(left(request, promise))
        try:
            outputs = await promise
        except TimeoutError:
            raise RefusedError(504, f"no result in {SECONDS:g} s") from None
        finally:
            under_way -= 1
            watch.cancel()
        return Answer(service.after(outputs))

    async def left(request: Request, promise: webnn.Promise[Any]) -> None:
        """Give the run up when the client goes away: a handler is not cancelled then."""
        while (await request.receive())["type"] != "http.disconnect":
            pass
        promise.cancel()

    return Starlette(routes=[Route("/run", run, methods=["POST"])], lifespan=lifespan)


def worker() -> Starlette:
    """The application in one of several processes, which get the options by their environment."""
    model, threads = json.loads(os.environ[OPTIONS])
    magika = Magika.installed()
    if model is not None:
        return application(elements(Path(model)), threads=threads)
    assert magika is not None, "main() has looked"
    return application(file_types(magika), threads=threads)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", help="an ONNX file; default: Magika")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument(
        "--workers", type=int, default=1, help="processes, each with the model and a context of its own"
    )
    parser.add_argument("--threads", type=int, default=0, help="of a run; 0 lets the backend choose; 1 beside workers")
    options = parser.parse_args()
    if options.model is None and Magika.installed() is None:
        sys.exit("the weights are missing: pip install 'magika>=1.0.3,<2', or give MODEL.onnx")
    os.environ[OPTIONS] = json.dumps([options.model, options.threads])
    end = math.ceil(2 * SECONDS)
    uvicorn.run(
        "examples.server:worker",
        factory=True,
        port=options.port,
        workers=options.workers,
        timeout_graceful_shutdown=end,
    )


if __name__ == "__main__":
    main()
