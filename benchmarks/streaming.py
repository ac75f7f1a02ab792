"""How many frames per second are computed if the host works on each frame before and after the run?

Ours: a plain generator as the source of `context.stream`, and the same with the host's work passed as functions. Raw
onnxruntime: the sequential loop that people write, and the better of two programs tuned by hand in each round: host
work on the main thread with inference on a worker, and two threads that do everything for every other frame, both with
sessions of one thread.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from onnxruntime import InferenceSession

import webnn
from benchmarks.measure import Options, Report, bound, in_turn, main, session
from benchmarks.models import Model, image_model

FRAMES, ROUNDS = 60, 5
PICTURE = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)

Array = np.ndarray[Any, Any]


class HostWork:
    """What a program does around the network: about 3 ms of NumPy before it, about 1 ms after."""

    def __init__(self, model: Model) -> None:
        self.name, self._frame = model.input
        self.output, self.shape = model.output

    def before(self, picture: Array) -> dict[str, Array]:
        """Crop, average 2x2, normalize; then as many values as the network takes."""
        small = picture[16:464, 96:544].reshape(224, 2, 224, 2, 3).astype(np.float32).mean((1, 3))
        values = np.ascontiguousarray(((small - 128) / 128).transpose(2, 0, 1)).reshape(-1)
        return {self.name: values[: self._frame.size].reshape(self._frame.shape)}

    def after(self, outputs: dict[str, Array]) -> Array:
        """The five likeliest classes, found a few times over."""
        for _ in range(12):
            order = np.argsort(outputs[self.output], axis=1)[:, ::-1][:, :5]
        return order


def sequential(raw: InferenceSession, host: HostWork, count: int) -> list[Array]:
    """One frame after the other."""
    return [host.after({host.output: raw.run(None, host.before(PICTURE))[0]}) for _ in range(count)]


def with_worker(raw: InferenceSession, host: HostWork, count: int) -> list[Array]:
    """Inference on a worker, which never waits for the host's work as long as there is some in the queue."""
    todo: queue.Queue[Array | None] = queue.Queue(3)
    done: queue.SimpleQueue[Array] = queue.SimpleQueue()
    results: list[Array] = []

    def work() -> None:
        frame = np.zeros_like(host.before(PICTURE)[host.name])
        output = np.zeros(host.shape, np.float32)
        run = bound(raw, {host.name: frame}, {host.output: output})
        while (given := todo.get()) is not None:
            np.copyto(frame, given)
            run()
            done.put(output.copy())

    worker = threading.Thread(target=work)
    worker.start()
    for _ in range(count):
        todo.put(host.before(PICTURE)[host.name])
        while not done.empty():
            results.append(host.after({host.output: done.get()}))
    todo.put(None)
    while len(results) < count:
        results.append(host.after({host.output: done.get()}))
    worker.join()
    return results


def every_other(raw: InferenceSession, host: HostWork, count: int) -> list[Array]:
    """Two threads that each do everything for half of the frames."""
    halves: list[list[Array]] = [[], []]
    threads = [
        threading.Thread(target=lambda half=half: half.extend(sequential(raw, host, count // 2))) for half in halves
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [result for pair in zip(*halves, strict=True) for result in pair]


async def measure(report: Report, options: Options) -> None:
    """Add the rows to `report`."""
    model, frames = image_model(options.models), 2 * options.count(FRAMES // 2, 2)
    host = HostWork(model)
    async with webnn.ML().create_context(accelerated=False) as context:
        graph = await model.build(context.create_graph_builder())

        async def generator() -> float:
            started = time.perf_counter()
            async for outputs in context.stream(graph, (host.before(PICTURE) for _ in range(frames))):
                host.after(outputs)
            return (time.perf_counter() - started) / frames

        async def functions() -> float:
            started = time.perf_counter()
            stream = context.stream(graph, (PICTURE for _ in range(frames)), before=host.before, after=host.after)
            async for _ in stream:
                pass
            return (time.perf_counter() - started) / frames

        onnx = model.onnx()
        default, single = session(onnx), session(onnx, threads=1)

        def timed(program: Callable[[InferenceSession, HostWork, int], list[Array]], raw: InferenceSession) -> float:
            started = time.perf_counter()
            assert len(program(raw, host, frames)) == frames
            return (time.perf_counter() - started) / frames

        times = await in_turn(
            options.rounds(ROUNDS),
            {
                "sequential": lambda: timed(sequential, default),
                "worker": lambda: timed(with_worker, single),
                "every other": lambda: timed(every_other, single),
                "generator": generator,
                "functions": functions,
            },
        )
    tuned = [min(pair) for pair in zip(times["worker"], times["every other"], strict=True)]
    report.rates("a plain generator", times["generator"], times["sequential"], peer="sequential loop")
    report.rates("functions", times["functions"], times["sequential"], peer="sequential loop", bar=1.3)
    report.rates("a plain generator", times["generator"], tuned, peer="tuned by hand", bar=0.9)
    report.rates("functions", times["functions"], tuned, peer="tuned by hand", bar=0.95)
    report.notes.append(f"the network is {model.name}")


if __name__ == "__main__":
    main(measure, peer="onnxruntime")
