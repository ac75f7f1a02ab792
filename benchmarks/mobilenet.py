"""How fast is a real model in the simplest loop, and does the event loop stay free meanwhile?

Ours: write a tensor, dispatch, await the result. Raw: onnxruntime with its defaults, on arrays that are bound
beforehand; in an executor where the event loop is measured. Lateness: how late a task on the same loop is that is due
every 2 ms.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import numpy as np

import webnn
from benchmarks.measure import Options, Report, bound, in_turn, main, seconds_per, session
from benchmarks.models import image_model

FRAMES, ROUNDS, BEAT = 30, 7, 0.002


async def lateness(work: Callable[[], Awaitable[object]]) -> float:
    """Seconds by which a beat on this loop is late while `work` goes on, at the 99th percentile."""
    late: list[float] = []

    async def beat() -> None:
        while True:
            started = time.perf_counter()
            await asyncio.sleep(BEAT)
            late.append(time.perf_counter() - started - BEAT)

    beating = asyncio.create_task(beat())
    await work()
    await asyncio.sleep(2 * BEAT)  # so that the last beat is counted, which the work may have held up
    beating.cancel()
    return float(np.percentile(late, 99))


async def measure(report: Report, options: Options) -> None:
    """Add the rows to `report`."""
    model, frames, rounds = image_model(options.models), options.count(FRAMES, 3), options.rounds(ROUNDS)
    (name, frame), (output, shape) = model.input, model.output
    async with webnn.ML().create_context(accelerated=False) as context:
        graph = await model.build(context.create_graph_builder())
        x = context.create_tensor(frame.shape, "float32", writable=True)
        y = context.create_tensor(shape, "float32", readable=True)

        async def naive() -> float:
            started = time.perf_counter()
            for _ in range(frames):
                context.write_tensor(x, frame)
                await context.dispatch(graph, {name: x}, {output: y})
                await context.read_tensor(y)
            return (time.perf_counter() - started) / frames

        def blocking() -> float:
            return seconds_per(frames, lambda: context.compute(graph, {name: frame}))

        raw_input, raw_output = frame.copy(), np.zeros(shape, np.float32)
        run = bound(session(model.onnx()), {name: raw_input}, {output: raw_output})

        def one_raw() -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
            np.copyto(raw_input, frame)
            run()
            return raw_output.copy()

        loop = asyncio.get_running_loop()

        async def in_executor() -> None:
            for _ in range(frames):
                await loop.run_in_executor(None, one_raw)

        times = await in_turn(
            rounds, {"raw": lambda: seconds_per(frames, one_raw), "naive": naive, "blocking": blocking}
        )
        report.rates(f"{model.name}, awaiting each frame", times["naive"], times["raw"], bar=0.95)
        report.rates(f"{model.name}, blocking compute", times["blocking"], times["raw"])
        late = await in_turn(rounds, {"naive": lambda: lateness(naive), "raw": lambda: lateness(in_executor)})
        report.times("lateness of the event loop, 99th percentile", late["naive"], late["raw"], "ms")
        result = await context.run(graph, {name: frame})
        report.notes.append(f"largest difference from raw onnxruntime: {np.abs(result[output] - one_raw()).max():.1e}")


if __name__ == "__main__":
    main(measure, peer="io-binding")
