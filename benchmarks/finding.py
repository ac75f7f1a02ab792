"""How much does it cost to find out that an equal graph was compiled before?

Ours: looking up a graph in the session cache, and the part of this that computes the digest of its weights. Raw:
compiling the graph, and summing the weights as 64-bit words, which reads them once but distinguishes them poorly.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from rich.filesize import decimal

from benchmarks.measure import Options, Report, in_turn, main, seconds_per
from webnn.backends.base import Cancellation, CompileOptions
from webnn.backends.digests import array_digest
from webnn.backends.onnxruntime.backend import OnnxRuntimeBackend
from webnn.backends.session_cache import SessionCache
from webnn.graph.builder import MLGraphBuilder
from webnn.graph.ir import Graph
from webnn.graph.limits import SPEC_LIMITS
from webnn.runtime.draft import Draft

ROUNDS = 9


async def measure(report: Report, options: Options) -> None:
    """Add the rows to `report`."""
    rng = np.random.default_rng(0)
    rounds = options.rounds(ROUNDS)
    for side, count in options.some(((16, 2000), (512, 200), (4000, 3))):
        repetitions = options.count(count, 2)
        weights = rng.random((side, side), np.float32)
        words, size = weights.reshape(-1).view(np.uint64), decimal(weights.nbytes)
        kinds = {
            "digest": partial(seconds_per, repetitions, partial(array_digest, weights)),
            "sum": partial(seconds_per, repetitions, partial(words.sum, dtype=np.uint64)),
        }
        times = await in_turn(rounds, kinds)
        report.times(f"digest of {size}", times["digest"], times["sum"], peer="sum of its words")
        graph, cache, backend = _product(weights), SessionCache(), OnnxRuntimeBackend()
        find = partial(cache.compile, backend, graph, CompileOptions(), Cancellation())
        compile = partial(backend.compile, graph, CompileOptions(), Cancellation())
        kept = find()
        few = max(1, repetitions // 20)
        kinds = {"find": partial(seconds_per, few, find), "compile": partial(seconds_per, few, compile)}
        times = await in_turn(rounds, kinds)
        cache.release(kept)
        report.times(f"a product with {size}, found", times["find"], times["compile"], peer="compiled")


def _product(weights: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> Graph:
    builder: MLGraphBuilder[Graph] = MLGraphBuilder(Draft(SPEC_LIMITS))
    x = builder.input("x", [1, weights.shape[0]], "float32")
    return builder.build({"y": builder.matmul(x, builder.constant(weights))})


if __name__ == "__main__":
    main(measure, peer="compiled")
