"""A Starlette application around one context: each request has a deadline, and its run ends if the client leaves.

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
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import webnn
from examples.file_types import Magika, NotShownError

Array = np.ndarray[Any, Any]

WAITING = 64  # runs under way; more are refused at once
SECONDS = 5.0  # for an answer
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
    """A body that the model cannot take; the argument says why."""


def elements(model: Path) -> Service:
    """Any model with one input, float32 and of a fixed shape: bodies are its elements, and answers are all outputs."""

    def size(graph: webnn.MLGraph) -> int:
        (port,) = graph.inputs.values()
        return math.prod(port.shape) * 4

    def before(body: bytes, graph: webnn.MLGraph) -> Array:
        (port,) = graph.inputs.values()
        if len(body) != size(graph):
            raise RefusedError(f"the body must have {size(graph)} bytes, got {len(body)}")
        return np.frombuffer(body, np.float32).reshape(port.shape)

    return Service(model, {}, size, before, lambda outputs: {name: array.tolist() for name, array in outputs.items()})


def file_types(magika: Magika) -> Service:
    """Magika: bodies are files, and answers are their types."""

    def before(body: bytes, graph: webnn.MLGraph) -> Array:
        try:
            return magika.tokens_of(io.BytesIO(body))
        except NotShownError as error:
            raise RefusedError(f"the file has too few bytes for the network: {error}") from None

    def after(outputs: Mapping[str, Array]) -> object:
        probabilities = outputs["target_label"]
        return {"type": magika.label(probabilities), "probability": round(float(probabilities.max()), 2)}

    shapes = {"bytes": [1, magika.begin + magika.end]}
    return Service(magika.file, shapes, lambda graph: 2**24, before, after)


def application(service: Service, *, max_batch: int = 32, threads: int = 0) -> Starlette:
    """The application. The model is loaded when the server starts."""
    under_way = 0

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        # In the process that serves: with several workers, each has a context of its own.
        async with webnn.create_context(max_batch=max_batch, threads=threads) as context:
            app.state.context = context
            app.state.graph = await webnn.load_onnx(service.model, context, shapes=service.shapes)
            yield

    async def run(request: Request) -> Response:
        nonlocal under_way
        context, graph = request.app.state.context, request.app.state.graph
        largest = service.largest(graph)
        if under_way >= WAITING:
            return JSONResponse({"error": "try again later"}, 503, {"Retry-After": "1"})
        body = b""
        async for part in request.stream():  # the whole body first: then `receive` waits for nothing but the client
            body += part
            if len(body) > largest:
                return JSONResponse({"error": f"the body may have {largest} bytes"}, 413)
        try:
            given = service.before(body, graph)
        except RefusedError as error:
            return JSONResponse({"error": str(error)}, 400)
        under_way += 1
        promise = context.run(graph, given, timeout=SECONDS)
        watch = asyncio.create_task(left(request, promise))
        try:
            outputs = await promise
        except TimeoutError:
            return JSONResponse({"error": f"no result in {SECONDS:g} s"}, 504)
        except CancelledError:  # by `left`
            return Response(status_code=499)
        finally:
            under_way -= 1
            watch.cancel()
        return JSONResponse(service.after(outputs))

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
