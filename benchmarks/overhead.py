"""What does the runtime itself cost, on a graph that costs nothing?

Round trip: write a tensor, dispatch, await the result. Pipelined: a chain of dispatches, each of which reads what the
one before it wrote, so that none can be left out. Raw onnxruntime: `session.run`.
"""

from __future__ import annotations

import time

import numpy as np

import webnn
from benchmarks.measure import Report, arguments, in_turn, installed_loops, run_on, seconds_per, session
from benchmarks.models import tiny

CALLS, ROUNDS = 2000, 7


async def measure(calls: int) -> dict[str, list[float]]:
    """Seconds per call of each kind on the event loop that runs this."""
    model = tiny()
    name, data = model.input
    async with webnn.ML().create_context(accelerated=False) as context:
        graph = await model.build(context.create_graph_builder())
        x, y = (context.create_tensor(data.shape, "float32", readable=True, writable=True) for _ in range(2))

        async def round_trip() -> float:
            started = time.perf_counter()
            for _ in range(calls):
                context.write_tensor(x, data)
                context.dispatch(graph, {name: x}, {"y": y})
                result = await context.read_tensor(y)
            spent = (time.perf_counter() - started) / calls
            assert np.array_equal(result, np.maximum(data + 1, 0))
            return spent

        async def pipelined() -> float:
            context.write_tensor(x, np.zeros_like(data))
            there, back = x, y
            started = time.perf_counter()
            for _ in range(calls):
                await context.dispatch(graph, {name: there}, {"y": back})
                there, back = back, there
            result = await context.read_tensor(there)
            spent = (time.perf_counter() - started) / calls
            assert np.array_equal(result, np.full_like(data, calls))
            return spent

        def blocking() -> float:
            return seconds_per(calls, lambda: context.compute(graph, {name: data}))

        raw = session(model.onnx())
        return await in_turn(
            ROUNDS,
            {
                "raw": lambda: seconds_per(calls, lambda: raw.run(None, {name: data})),
                "round trip": round_trip,
                "pipelined dispatch": pipelined,
                "blocking compute": blocking,
            },
        )


if __name__ == "__main__":
    options = arguments("What does the runtime itself cost?")
    report = Report("The runtime's own cost, on relu(x + 1) of 2x3 float32; raw is session.run")
    for loop in installed_loops():
        times = run_on(loop, lambda: measure(max(100, int(CALLS * options.scale))))
        for kind in ("round trip", "pipelined dispatch", *(["blocking compute"] if loop == "asyncio" else [])):
            what = kind if kind == "blocking compute" else f"{kind}, {loop}"
            report.times(what, times[kind], times["raw"])
    report.show(options.json)
