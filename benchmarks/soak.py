"""Does anything stay behind after a million round trips, and after twenty thousand graphs that came and went?

Each part runs in a process of its own, which first does a hundredth of the work to warm up. Ours: resident memory at
the end, how much it has grown since the warm-up, and the threads and pending promises that are left. Raw: as many runs,
and as many sessions, of onnxruntime alone; what that keeps is onnxruntime's own.
"""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Sequence

import webnn
from benchmarks.measure import Options, Report, in_fresh_process, main, resident_memory, session
from benchmarks.models import mlp, tiny

ROUND_TRIPS, BUILDS = 1_000_000, 20_000
WARM_UP = 0.01


async def round_trips(count: int) -> None:
    """Write, dispatch, await the result, `count` times."""
    model = tiny()
    name, data = model.input
    async with webnn.ML().create_context(accelerated=False) as context:
        graph = await model.build(context.create_graph_builder())
        x, y = (context.create_tensor(data.shape, "float32", readable=True, writable=True) for _ in range(2))
        for _ in range(count):
            context.write_tensor(x, data)
            context.dispatch(graph, {name: x}, {"y": y})
            await context.read_tensor(y)


async def builds(count: int) -> None:
    """Build, run and destroy `count` graphs, each of other weights and now and then of another shape."""
    async with webnn.ML().create_context(accelerated=False) as context:
        for i in range(count):
            model = mlp("", [8, 8 + i % 64, 8], seed=i)
            graph = await model.build(context.create_graph_builder())
            await context.run(graph, dict([model.input]))
            graph.destroy()


async def raw_round_trips(count: int) -> None:
    """As `round_trips`, with onnxruntime alone."""
    model = tiny()
    raw = session(model.onnx())
    for _ in range(count):
        raw.run(None, dict([model.input]))


async def raw_builds(count: int) -> None:
    """As `builds`, with onnxruntime alone."""
    for i in range(count):
        model = mlp("", [8, 8 + i % 64, 8], seed=i)
        session(model.onnx()).run(None, dict([model.input]))


PARTS = {"round trips": (round_trips, raw_round_trips), "builds": (builds, raw_builds)}


def soak(part: str, who: str, count: int) -> dict[str, float]:
    """Memory and what is left, after `count` repetitions."""
    work = PARTS[part][who == "raw"]
    asyncio.run(work(max(1, int(count * WARM_UP))))
    gc.collect()
    threads, before = threading.active_count(), resident_memory()
    asyncio.run(work(count))
    gc.collect()
    after = resident_memory()
    pending = sum(isinstance(each, webnn.Promise) and not each.done() for each in gc.get_objects())
    return {"memory": after, "grown": after - before, "threads": threading.active_count() - threads, "pending": pending}


def measure(report: Report, options: Options) -> None:
    """Add the rows to `report`."""
    for part, whole in (("round trips", ROUND_TRIPS), ("builds", BUILDS)):
        count = options.count(whole, 100)
        ours, raw = (in_fresh_process("benchmarks.soak", part, who, str(count)) for who in ("ours", "raw"))
        report.sizes(f"memory after {count} {part}", [ours["memory"]], [raw["memory"]])
        report.figure(f"grown by, during {count} {part}", [ours["grown"] / 1e6], "MB")
        report.figure(f"threads left after {count} {part}", [ours["threads"]], "threads", bar=0)
        report.figure(f"promises pending after {count} {part}", [ours["pending"]], "promises", bar=0)
        report.notes.append(f"{count} {part}: onnxruntime alone has grown by {raw['grown'] / 1e6:.1f} MB")


def child(words: Sequence[str]) -> dict[str, float]:
    """One part, in a fresh process."""
    part, who, count = words
    return soak(part, who, int(count))


if __name__ == "__main__":
    main(measure, peer="onnxruntime", child=child)
