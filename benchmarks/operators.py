"""What do the forms cost, or give, in which operators are computed for accuracy?

One operator at a time in a session of raw onnxruntime: with the backend's passes, and as an exported `.onnx` has it.
`docs/behaviour.md` says under "Accuracy" why each is computed in another form.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from benchmarks.measure import Options, Report, bound, in_turn, main, seconds_per, session
from webnn.backends.onnx.lower import lower
from webnn.backends.onnxruntime.kernels import cpu_kernels
from webnn.backends.onnxruntime.passes.pipeline import prepared
from webnn.graph.builder import MLGraphBuilder
from webnn.graph.ir import Graph
from webnn.graph.limits import SPEC_LIMITS
from webnn.runtime.draft import Draft

ROUNDS, SECONDS = 7, 0.2

CASES: Final[Sequence[tuple[str, Sequence[int], dict[str, Any]]]] = (
    *(
        (op, shape, {"axes": axes})
        for op in ("reduce_l1", "reduce_l2", "reduce_log_sum_exp", "reduce_mean")
        for shape, axes in (
            ((8, 384), [1]),
            ((32, 128, 384), [2]),
            ((1, 128, 384), [1]),
            ((100_000, 16), [1]),
            ((151_936,), [0]),
            ((4096, 1000), [0]),
            ((8, 32, 128, 128), [2, 3]),
        )
    ),
    *(("cumulative_sum", shape, {"axis": axis}) for shape, axis in (((65_536,), 0), ((4096, 256), 0))),
    ("average_pool2d", (1, 64, 56, 56), {}),
    ("l2_pool2d", (1, 32, 112, 112), {"window_dimensions": [3, 3], "strides": [2, 2]}),
    *(("instance_normalization", shape, {}) for shape in ((1, 32, 64, 64), (1, 3, 256, 256))),
    *((op, (size,), {}) for op in ("elu", "sigmoid") for size in (1000, 100_000)),
)
"""The operator, the shape of its input, its arguments."""


def one_operator(op: str, shape: Sequence[int], options: dict[str, Any]) -> Graph:
    """A graph of `op` alone."""
    builder: MLGraphBuilder[Graph] = MLGraphBuilder(Draft(SPEC_LIMITS))
    return builder.build({"y": getattr(builder, op)(builder.input("x", shape, "float32"), **options)})


def run_of(graph: Graph) -> Callable[[], None]:
    """A run of `graph`, lowered as it is, on arrays that are bound beforehand."""
    x = np.random.default_rng(0).uniform(0.5, 1, graph.inputs["x"].shape).astype(np.float32)
    model = lower(graph, cpu_kernels()).finish()
    return bound(session(model.SerializeToString()), {"x": x}, {"y": np.zeros(graph.outputs["y"].shape, np.float32)})


async def measure(report: Report, given: Options) -> None:
    """Add a row for each case to `report`."""
    for op, shape, options in given.some(CASES, 2):
        graph = one_operator(op, shape, options)
        ours, plain = run_of(prepared(graph)), run_of(graph)
        count = max(3, int(SECONDS * given.scale / max(seconds_per(3, plain), 1e-6)))
        kinds = {"ours": lambda: seconds_per(count, ours), "plain": lambda: seconds_per(count, plain)}  # noqa: B023
        times = await in_turn(given.rounds(ROUNDS), kinds)
        what = " ".join([op, str([*shape]), *(f"{name} {value}" for name, value in options.items())])
        report.times(what, times["ours"], times["plain"], "us")


if __name__ == "__main__":
    main(measure, peer="plain ONNX")
