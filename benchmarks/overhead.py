"""How much does the runtime itself cost, on a graph that costs nothing?

Round trip: write a tensor, dispatch, await the result. Pipelined: a chain of dispatches, each of which reads what the
one before it wrote, so that none can be dropped. Run and blocking compute: arrays in, arrays out. Raw onnxruntime:
`session.run`. JAX, IREE and MLX, where they are installed: arrays in, arrays out, as their users call them.
"""

from __future__ import annotations

import time
from functools import partial

import numpy as np

import webnn
from benchmarks.engines import ENGINES, absent, installed
from benchmarks.measure import Kind, Options, Report, in_turn, installed_loops, main, run_on, seconds_per, session
from benchmarks.models import tiny

CALLS, ROUNDS = 2000, 7


async def on_this_loop(calls: int, rounds: int) -> dict[str, list[float]]:
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

        async def run() -> float:
            started = time.perf_counter()
            for _ in range(calls):
                result = await context.run(graph, {name: data})
            spent = (time.perf_counter() - started) / calls
            assert np.array_equal(result["y"], np.maximum(data + 1, 0))
            return spent

        def blocking() -> float:
            return seconds_per(calls, lambda: context.compute(graph, {name: data}))

        raw = session(model.onnx())
        engines: dict[str, Kind] = {}
        for engine, compiled in installed(data).items():
            np.testing.assert_array_equal(compiled(data), np.maximum(data + 1, 0))
            engines[engine] = partial(seconds_per, calls, partial(compiled, data))
        return await in_turn(
            rounds,
            {
                "raw": lambda: seconds_per(calls, lambda: raw.run(None, {name: data})),
                "round trip": round_trip,
                "pipelined dispatch": pipelined,
                "run": run,
                "blocking compute": blocking,
                **engines,
            },
        )


def measure(report: Report, options: Options) -> None:
    """Add the rows to `report`."""
    for loop in installed_loops():
        times = run_on(loop, lambda: on_this_loop(options.count(CALLS, 10), options.rounds(ROUNDS)))
        factor = 1.5 if loop == "trio" else 1.0
        report.times(f"round trip, {loop}", times["round trip"], times["raw"], bar=2.0 * factor)
        report.times(f"pipelined dispatch, {loop}", times["pipelined dispatch"], times["raw"], bar=1.5 * factor)
        report.times(f"run, {loop}", times["run"], times["raw"], bar=2.5 * factor)
        if loop == "asyncio":
            report.times("blocking compute", times["blocking compute"], times["raw"], bar=2.3)
            for engine in ENGINES:
                if engine in times:
                    report.times("arrays in and out", times[engine], times["raw"], subject=engine)
    if absent():
        report.notes.append(f"Not installed: {', '.join(absent())}. pip install 'webnn-runtime[peers]' brings them.")


if __name__ == "__main__":
    main(measure, peer="session.run")
