"""What does it give to recognise rotary embeddings and normalizations that are written out in operators?

Each part alone, in a session of raw onnxruntime on one thread: with the backend's passes, and as an exported `.onnx`
has it, both with the basic optimizers, which are those that models of 16 MB and more without convolutions get.

The last rows have all optimizers: without and with the fusion of a sum and the layer normalization behind it, which the
backend switches off.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from benchmarks.attention import run_of
from benchmarks.measure import Options, Report, in_turn, main, seconds_per
from webnn.backends.onnxruntime.passes.pipeline import prepared
from webnn.graph.builder import MLGraphBuilder
from webnn.graph.ir import Graph
from webnn.graph.limits import SPEC_LIMITS
from webnn.graph.operand import MLOperand
from webnn.runtime.draft import Draft

ROUNDS, SECONDS = 7, 0.1

Builder = MLGraphBuilder[Graph]


def rotated(b: Builder, length: int, heads: int = 16, size: int = 128) -> MLOperand:
    """The queries of a layer of Llama."""
    x = b.input("x", [1, heads, length, size], "float32")
    angles = np.outer(np.arange(length), 1e4 ** -(np.arange(0, size, 2) / size)).astype(np.float32)
    cos, sin = (b.constant(np.concatenate([part, part], 1)) for part in (np.cos(angles), np.sin(angles)))
    first, second = b.split(x, 2, axis=3)
    return b.add(b.mul(x, cos), b.mul(b.concat([b.neg(second), first], 3), sin))


def normalized_by_rms(b: Builder, length: int, size: int = 1024) -> MLOperand:
    """The normalization in front of a layer of Llama."""
    x = b.input("x", [1, length, size], "float32")
    mean = b.reduce_mean(b.pow(x, b.constant("float32", 2)), axes=[2], keep_dimensions=True)
    root = b.sqrt(b.add(mean, b.constant("float32", 1e-6)))
    return b.mul(b.div(x, root), b.constant(np.ones(size, np.float32)))


def gated(b: Builder, length: int, size: int = 2048) -> MLOperand:
    """SiLU, the activation of Llama."""
    x = b.input("x", [1, length, size], "float32")
    return b.mul(x, b.sigmoid(x))


def normalized_sum(b: Builder, length: int, size: int = 768) -> MLOperand:
    """The end of a layer of BERT."""
    x, y = (b.input(name, [1, length, size], "float32") for name in "xy")
    factors = [b.constant(np.ones(size, np.float32)) for _ in range(2)]
    return b.layer_normalization(b.add(x, y), scale=factors[0], bias=factors[1], axes=[2])


PARTS: Final[Mapping[str, tuple[Callable[[Builder, int], MLOperand], Mapping[str, Mapping[str, object]]]]] = {
    "rotary embedding": (rotated, {"ours": {"basic": True}, "plain": {"basic": True}}),
    "RMS normalization": (normalized_by_rms, {"ours": {"basic": True}, "plain": {"basic": True}}),
    "SiLU": (gated, {"ours": {"basic": True}, "plain": {"basic": True}}),
    "layer normalization of a sum": (normalized_sum, {"ours": {"without": {"SkipLayerNormFusion"}}, "plain": {}}),
}
"""Each part, with the options of both sessions."""


async def measure(report: Report, given: Options) -> None:
    """Add a row for each part and length to `report`."""
    cases = [(name, *part, length) for name, part in PARTS.items() for length in (1, 64, 512)]
    for name, part, options, length in given.some(cases, 2):
        b: Builder = MLGraphBuilder(Draft(SPEC_LIMITS))
        graph = b.build({"y": part(b, length)})
        random = np.random.default_rng(1)
        feeds = {each: random.standard_normal(x.shape, np.float32) for each, x in graph.inputs.items()}
        graphs = {"ours": prepared(graph), "plain": graph}
        runs = {each: run_of(g, feeds, threads=1, **options[each]) for each, g in graphs.items()}
        count = max(3, int(SECONDS * given.scale / max(seconds_per(3, runs["plain"]), 1e-6)))
        timed = {each: lambda run=run: seconds_per(count, run) for each, run in runs.items()}  # noqa: B023
        times = await in_turn(given.rounds(ROUNDS), timed)
        report.times(f"{name}, {length} positions", times["ours"], times["plain"], "ms")


if __name__ == "__main__":
    main(measure, peer="plain ONNX")
