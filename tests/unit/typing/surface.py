"""What type checkers see of the public surface: each line is checked by mypy and pyright, none is run.

The types that users rely on without writing them down: what calls give, and what awaiting gives.
"""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Awaitable, Mapping
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any, assert_type

import numpy as np

import webnn
from webnn import (
    ML,
    BackendInfo,
    Dispatch,
    GraphStatistics,
    ItemError,
    MemoryInfo,
    MLContext,
    MLContextLostInfo,
    MLGraph,
    MLGraphBuilder,
    MLOperand,
    MLOperandDescriptor,
    MLTensor,
    Promise,
    Statistics,
    Stream,
    StreamStatistics,
    Trace,
    TraceEvent,
)
from webnn.runtime.streaming.stream import StreamIterator, StreamResults

Array = np.ndarray[Any, Any]


def contexts(ml: ML) -> None:
    context = ml.create_context(power_preference="low-power", accelerated=False, backend="arrays", device_type="cpu")
    assert_type(context, MLContext)
    assert_type(context.lost, Promise[MLContextLostInfo])
    assert_type(context.accelerated, bool)
    assert_type(context.memory_info(), MemoryInfo)
    assert_type(context.memory_info().budget, int | None)
    assert_type(context.statistics(), Statistics)
    assert_type(context.statistics().graphs, tuple[GraphStatistics, ...])
    assert_type(context.statistics().graphs[0].whole.p99, float)
    assert_type(context.statistics().drops, Mapping[str, int])
    with context.trace("run.json") as trace:
        assert_type(trace, Trace)
    assert_type(trace.events, list[TraceEvent])
    context.trace(io.BytesIO())
    context.trace(io.StringIO())
    context.trace(7)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    assert_type(webnn.available_backends(), list[BackendInfo])
    with context as entered:
        assert_type(entered, MLContext)
    ml.create_context(power_preference="fast")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    ml.create_context(lanes="two")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


async def awaiting(ml: ML, builder: MLGraphBuilder[MLGraph], operand: MLOperand, tensor: MLTensor) -> None:
    async with ml.create_context() as context:
        assert_type(context, MLContext)
    assert_type(await ml.create_context(), MLContext)
    assert_type(await builder.build({"y": operand}), MLGraph)
    assert_type(await context.create_tensor([2], "float32"), MLTensor)
    assert_type(await context.read_tensor(tensor), Array)
    assert_type(await context.lost, MLContextLostInfo)


def tensors(context: MLContext, descriptor: MLOperandDescriptor) -> None:
    tensor = context.create_tensor([2, 3], "float32", readable=True, writable=True)
    assert_type(tensor, MLTensor)
    assert_type(tensor.shape, tuple[int, ...])
    assert_type(context.create_tensor(descriptor), MLTensor)
    assert_type(context.create_tensor(np.zeros(3, np.float32)), MLTensor)
    assert_type(context.create_tensor([2], np.float32), MLTensor)
    assert_type(tensor.dtype, np.dtype[Any])
    assert_type(context.create_tensor({"dataType": "int8", "shape": [1]}), MLTensor)
    assert_type(context.create_constant_tensor(np.zeros(3)), MLTensor)
    assert_type(context.create_constant_tensor([2], "int8", b"\0\0"), MLTensor)
    assert_type(context.read_tensor(tensor), Promise[Array])
    assert_type(context.read_tensor(tensor, bytearray(24)), Promise[bytearray])
    assert_type(context.read_tensor(tensor, out=memoryview(bytearray(24))).result(), memoryview)
    context.create_tensor([2], "float64")  # type: ignore[call-overload] # pyright: ignore[reportArgumentType, reportCallIssue]
    context.read_tensor([1, 2])  # type: ignore[call-overload] # pyright: ignore[reportArgumentType]


def graphs(context: MLContext) -> None:
    builder = context.create_graph_builder()
    assert_type(builder, MLGraphBuilder[MLGraph])
    assert_type(MLGraphBuilder(context), MLGraphBuilder[MLGraph])
    x = builder.input("x", [2, 3], "float32")
    assert_type(x, MLOperand)
    assert_type(2 * x[0, ..., 1:] ** 2 - np.ones(3, np.float32) @ x, MLOperand)
    assert_type(builder.constant("float32", 0.5), MLOperand)
    assert_type(builder.constant(np.zeros(3, np.float32)), MLOperand)
    assert_type(builder.gemm(x, x, c=x, alpha=2, a_transpose=True, label="here"), MLOperand)
    assert_type(builder.conv2d(x, x, padding=[1, 1, 1, 1], input_layout="nhwc"), MLOperand)
    assert_type(builder.split(x, 3, axis=1), list[MLOperand])
    assert_type(builder.relu(x).shape, tuple[int, ...])
    graph = builder.build({"y": builder.relu(x)})
    assert_type(graph, MLGraph)
    assert_type(graph.inputs, Mapping[str, MLOperandDescriptor])
    builder.relu()  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    builder.relu(3)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    builder.gemm(x, x, x)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    builder.conv2d(x, x, input_layout="whcn")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


def running(context: MLContext, graph: MLGraph, tensor: MLTensor, data: Array) -> None:
    assert_type(context.compute(graph, {"x": data}), dict[str, Array])
    assert_type(context.run(graph, {"x": data}), Promise[dict[str, Array]])
    handle = context.dispatch(graph, {"x": tensor}, {"y": tensor})
    assert_type(handle, Dispatch)
    assert_type(handle.finished(), Promise[None])
    context.dispatch(graph, {"x": data}, {})  # type: ignore[dict-item] # pyright: ignore[reportArgumentType]


async def streaming(context: MLContext, graph: MLGraph, frames: AsyncIterator[Mapping[str, Array]]) -> None:
    stream = context.stream(graph, frames, depth=2, policy="latest", deadline=0.1)
    assert_type(stream, Stream[dict[str, Array]])
    assert_type(aiter(stream), StreamResults[dict[str, Array]])
    async for outputs in stream:
        assert_type(outputs, dict[str, Array])
    assert_type(iter(context.stream(graph, [])), StreamIterator[dict[str, Array]])
    assert_type(stream.statistics(), StreamStatistics)


def functions_of_streams(context: MLContext, graph: MLGraph, files: list[Path]) -> None:
    def before(file: Path) -> dict[str, bytes]:
        return {"x": file.read_bytes()}

    def after(outputs: dict[str, Array]) -> float:
        return float(outputs["y"][0])

    def key(file: Path) -> str:
        return file.name

    for result in context.stream(graph, files, before=before, after=after):
        assert_type(result, float)
    for either in context.stream(graph, files, before=before, after=after, on_error="yield"):
        assert_type(either, float | ItemError)
    for pair in context.stream(graph, files, before=before, after=after, key=key):
        assert_type(pair, tuple[str, float])
    for both in context.stream(graph, files, before=before, key=key, on_error="yield"):
        assert_type(both, tuple[str, dict[str, Array] | ItemError])
    assert_type(context.stream([before, graph, after], files, state={"h": "h0"}), Stream[Any])
    wider: Stream[object] = context.stream(graph, files, before=before)
    print(wider)
    context.stream(graph, files, policy="newest")  # type: ignore[call-overload] # pyright: ignore[reportArgumentType, reportCallIssue]


def promises(promise: Promise[int]) -> None:
    awaitable: Awaitable[int] = promise
    wider: Promise[float] = promise
    assert_type(promise.result(timeout=1), int)
    assert_type(promise.exception(), BaseException | None)
    assert_type(promise.done(), bool)
    assert_type(promise.then(str), Promise[str])
    promise.add_done_callback(lambda settled: print(settled.result() + 1))
    print(awaitable, wider, CancelledError)
