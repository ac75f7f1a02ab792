"""How long does it take to build a graph and run it once, and how much memory does it need?

Each in a fresh process that has the weights in memory at the start. Raw: an ONNX model made of the same weights, handed
to onnxruntime as bytes. Memory: growth of the peak from after the imports to after the first run.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import webnn
from benchmarks.measure import Options, Report, in_fresh_process, main, peak_memory, session
from benchmarks.models import Model, image_model, mlp, tiny

ROUNDS = 5
LARGE = ("an MLP of 84 MB", [2048, 4096, 2048, 2048, 512])


def model_called(which: str, models: Path | None) -> Model:
    """`image`, or `large`."""
    return image_model(models) if which == "image" else mlp(*LARGE)


def build_ours(model: Model) -> dict[str, float]:
    """Build and run once, the backend being loaded already."""
    with webnn.ML().create_context(accelerated=False) as context:
        warm = tiny()
        context.compute(warm.build(context.create_graph_builder()), dict([warm.input]))
        before, started = peak_memory(), time.perf_counter()
        graph = model.build(context.create_graph_builder())
        called = time.perf_counter()
        context.compute(graph, dict([model.input]))
        ready = time.perf_counter()
        again = model.build(context.create_graph_builder())
        context.compute(again, dict([model.input]))
        return {
            "ready": ready - started,
            "called": called - started,
            "again": time.perf_counter() - ready,
            "memory": peak_memory() - before,
        }


def build_raw(model: Model) -> dict[str, float]:
    """The same with onnxruntime alone."""
    warm = tiny()
    session(warm.onnx()).run(None, dict([warm.input]))
    before, started = peak_memory(), time.perf_counter()
    session(model.onnx()).run(None, dict([model.input]))
    return {"ready": time.perf_counter() - started, "memory": peak_memory() - before}


def report_on(which: str, rounds: int, models: Path | None, report: Report) -> None:
    """Add the figures of one model to `report`."""
    folder = [str(models)] if models else []
    both = [
        (
            in_fresh_process("benchmarks.build", "ours", which, *folder),
            in_fresh_process("benchmarks.build", "raw", which, *folder),
        )
        for _ in range(rounds)
    ]
    name = model_called(which, models).name
    report.times(f"{name}: build and run once", [a["ready"] for a, _ in both], [b["ready"] for _, b in both], "ms")
    report.times(f"{name}: until build() returns", [a["called"] for a, _ in both], [b["ready"] for _, b in both], "ms")
    report.times(f"{name}: build it a second time", [a["again"] for a, _ in both], [b["ready"] for _, b in both], "ms")
    report.sizes(f"{name}: growth of the peak memory", [a["memory"] for a, _ in both], [b["memory"] for _, b in both])


def measure(report: Report, options: Options) -> None:
    """Add the rows to `report`."""
    for which in options.some(("image", "large")):
        report_on(which, 1 if options.is_tiny else options.count(ROUNDS, 2), options.models, report)


def child(words: Sequence[str]) -> dict[str, float]:
    """One build, in a fresh process."""
    who, which, *folder = words
    model = model_called(which, Path(folder[0]) if folder else None)
    return {"ours": build_ours, "raw": build_raw}[who](model)


if __name__ == "__main__":
    main(measure, peer="onnxruntime", child=child)
