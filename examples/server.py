"""A Starlette application around one context: each request has a deadline, and its run ends if the client leaves.

    python -m examples.server MODEL.onnx --port 8000 [--workers 2 --threads 1]
    curl --data-binary @image.f32 localhost:8000/run

`webnn serve MODEL.onnx` needs no code. This program shows how to put a model into an application of your own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
from collections.abc import AsyncIterator
from concurrent.futures import CancelledError
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import webnn

WAITING = 64  # runs under way; more are refused at once
SECONDS = 5.0  # for an answer
OPTIONS = "WEBNN_EXAMPLE_SERVER"  # the variable by which workers get theirs


def application(model: Path, *, max_batch: int = 32, threads: int = 0) -> Starlette:
    """The application. The model has one input, float32 and of a fixed shape, and is loaded when the server starts."""
    under_way = 0

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        # In the process that serves: with several workers, each has a context of its own.
        async with webnn.create_context(max_batch=max_batch, threads=threads) as context:
            app.state.context = context
            app.state.graph = await webnn.load_onnx(model, context)
            yield

    async def run(request: Request) -> Response:
        nonlocal under_way
        context, graph = request.app.state.context, request.app.state.graph
        (port,) = graph.inputs.values()
        size = math.prod(port.shape) * 4
        if under_way >= WAITING:
            return JSONResponse({"error": "try again later"}, 503, {"Retry-After": "1"})
        body = b""
        async for part in request.stream():  # the whole body first: then `receive` waits for nothing but the client
            body += part
            if len(body) > size:
                return JSONResponse({"error": f"the body must have {size} bytes"}, 413)
        if len(body) != size:
            return JSONResponse({"error": f"the body must have {size} bytes, got {len(body)}"}, 400)
        under_way += 1
        promise = context.run(graph, np.frombuffer(body, np.float32).reshape(port.shape), timeout=SECONDS)
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
        return JSONResponse({name: array.tolist() for name, array in outputs.items()})

    async def left(request: Request, promise: webnn.Promise[Any]) -> None:
        """Give the run up when the client goes away: a handler is not cancelled then."""
        while (await request.receive())["type"] != "http.disconnect":
            pass
        promise.cancel()

    return Starlette(routes=[Route("/run", run, methods=["POST"])], lifespan=lifespan)


def worker() -> Starlette:
    """The application in one of several processes, which get the options by their environment."""
    model, threads = json.loads(os.environ[OPTIONS])
    return application(Path(model), threads=threads)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument(
        "--workers", type=int, default=1, help="processes, each with the model and a context of its own"
    )
    parser.add_argument("--threads", type=int, default=0, help="of a run; 0 lets the backend choose; 1 beside workers")
    options = parser.parse_args()
    os.environ[OPTIONS] = json.dumps([str(options.model), options.threads])
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
