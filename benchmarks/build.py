"""How long does it take to build a graph and run it once, and how much memory at the most?

Each in a fresh process that has the weights in memory at the start. Raw: an ONNX model made of the same weights, handed
to onnxruntime as bytes. Memory: growth of the peak from after the imports to after the first run.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import webnn
from benchmarks.measure import Report, arguments, in_fresh_process, peak_memory, session
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


if __name__ == "__main__":
    options = arguments("How long does a build take, and how much memory?")
    if options.child:
        who, which, *folder = options.child
        model = model_called(which, Path(folder[0]) if folder else None)
        print(json.dumps({"ours": build_ours, "raw": build_raw}[who](model)))
    else:
        report = Report("Building in a fresh process, the backend loaded; raw is onnxruntime from a model's bytes")
        for which in ("image", "large"):
            report_on(which, max(2, int(ROUNDS * options.scale)), options.models, report)
        report.show(options.json)
