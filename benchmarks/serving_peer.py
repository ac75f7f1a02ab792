"""A server as one writes it by hand: Starlette over onnxruntime in an executor. The peer of benchmarks/serving.py.

python -m benchmarks.serving_peer MODEL.onnx
"""

from __future__ import annotations

import asyncio
import socket
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnxruntime
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


def application(path: str) -> Starlette:
    """The server of one model with one input and one output, in JSON and in bytes."""
    session = onnxruntime.InferenceSession(path)
    pool = ThreadPoolExecutor(2)
    (source,), (target,) = session.get_inputs(), session.get_outputs()
    shape = [size if isinstance(size, int) else 1 for size in source.shape]

    def run(x: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        (y,) = session.run(None, {source.name: x})
        return np.asarray(y)

    async def in_json(request: Request) -> Response:
        (tensor,) = (await request.json())["inputs"]
        x = np.array(tensor["data"], np.float32).reshape(tensor["shape"])
        y = await asyncio.get_running_loop().run_in_executor(pool, run, x)
        output = {"name": target.name, "datatype": "FP32", "shape": list(y.shape), "data": y.reshape(-1).tolist()}
        return JSONResponse({"outputs": [output]})

    async def in_bytes(request: Request) -> Response:
        x = np.frombuffer(await request.body(), np.float32).reshape(shape)
        y = await asyncio.get_running_loop().run_in_executor(pool, run, x)
        return Response(y.tobytes(), media_type="application/octet-stream")

    return Starlette(routes=[Route("/json", in_json, methods=["POST"]), Route("/bytes", in_bytes, methods=["POST"])])


if __name__ == "__main__":
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(f"127.0.0.1:{listener.getsockname()[1]}", flush=True)
        config = uvicorn.Config(application(sys.argv[1]), log_level="warning", access_log=False)
        uvicorn.Server(config).run([listener])
