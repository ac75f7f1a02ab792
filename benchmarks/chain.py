"""What does a chain of small dispatches cost, one by one and recorded?

A dispatch is a dense layer with relu, of a square matrix, which reads what the one before it wrote to a tensor; in the
end one tensor is read. Raw: a session of one thread and one graph, with a preallocated binding for each link, called in
the same order. Each variant runs 200 times before it is measured, so that recorded programs and hot chains are merged
by then.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

import webnn
from benchmarks.measure import Options, Report, bound, in_turn, main, seconds_per, session
from benchmarks.models import Model, dense

CHAINS, ROUNDS, WARM = 300, 7, 200


@dataclass(frozen=True, slots=True)
class Chain:
    """A shape of a chain.

    Attributes:
        what: what the report calls it.
        width: of the square matrices.
        links: for each dispatch, the number of the graph, and those of the tensors that it reads and writes.
        batch: rows of each tensor.
        one_by_one: the ratio to be reached by dispatches.
        replayed: the ratio to be reached by a replay.
    """

    what: str
    width: int
    links: Sequence[tuple[int, int, int]]
    batch: int = 1
    one_by_one: float | None = None
    replayed: float | None = None


def _line(count: int, graphs: int = 1) -> list[tuple[int, int, int]]:
    return [(i % graphs, i, i + 1) for i in range(count)]


_BRANCHES: Final = [(0, 0 if i == 0 else branch * 5 + i, branch * 5 + i + 1) for i in range(5) for branch in range(4)]

CASES: Final = (
    Chain("20 links of 32", 32, _line(20), one_by_one=0.5, replayed=2.0),
    Chain("20 links of 64", 64, _line(20), one_by_one=0.5, replayed=1.8),
    Chain("20 links of 128", 128, _line(20), one_by_one=0.55, replayed=1.3),
    Chain("20 links of 256", 256, _line(20), one_by_one=0.65, replayed=1.0),
    Chain("5 links of 64", 64, _line(5)),
    Chain("50 links of 64", 64, _line(50)),
    Chain("20 links of 64, two graphs in turn", 64, _line(20, graphs=2)),
    Chain("20 links of 64, 8 rows", 64, _line(20), batch=8),
    Chain("4 branches of 5 links of 64", 64, _BRANCHES),
    Chain("20 links of 512", 512, _line(20)),
)


async def measure(report: Report, options: Options) -> None:
    """Add the rows to `report`."""
    count = options.count(CHAINS, 2)
    for case in options.some(CASES):
        times = await _times(case, count, options)
        report.rates(f"{case.what}, one by one", times["one by one"], times["raw"], bar=case.one_by_one)
        report.rates(f"{case.what}, replayed", times["replayed"], times["raw"], bar=case.replayed)


async def _times(case: Chain, count: int, options: Options) -> dict[str, list[float]]:
    models = [dense(case.width, case.batch, seed) for seed in range(1 + max(graph for graph, _, _ in case.links))]
    data = models[0].input[1]
    last = case.links[-1][2]
    async with webnn.ML().create_context(accelerated=False) as context:
        graphs = [await model.build(context.create_graph_builder()) for model in models]
        tensors = [
            context.create_tensor(data.shape, "float32", readable=True, writable=True)
            for _ in range(1 + max(written for _, _, written in case.links))
        ]

        def dispatch_all() -> None:
            for graph, read, written in case.links:
                context.dispatch(graphs[graph], {"x": tensors[read]}, {"y": tensors[written]})

        with context.record() as program:
            dispatch_all()

        async def seconds(queue: Callable[[], object]) -> float:
            started = time.perf_counter()
            for _ in range(count):
                context.write_tensor(tensors[0], data)
                queue()
                result = await context.read_tensor(tensors[last])
            spent = (time.perf_counter() - started) / count
            np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-6)
            return spent

        raw = _raw(case, models)
        expected = raw().copy()
        for queue in (dispatch_all, lambda: context.replay(program)):
            for _ in range(8 if options.is_tiny else WARM):
                context.write_tensor(tensors[0], data)
                queue()
                await context.read_tensor(tensors[last])
        return await in_turn(
            options.rounds(ROUNDS),
            {
                "raw": lambda: seconds_per(count, raw),
                "one by one": lambda: seconds(dispatch_all),
                "replayed": lambda: seconds(lambda: context.replay(program)),
            },
        )


def _raw(case: Chain, models: Sequence[Model]) -> Callable[[], np.ndarray[Any, Any]]:
    data = models[0].input[1]
    sessions = [session(model.onnx(), threads=1) for model in models]
    arrays = [data.copy() for _ in range(1 + max(written for _, _, written in case.links))]
    runs = [bound(sessions[graph], {"x": arrays[i]}, {"y": arrays[o]}) for graph, i, o in case.links]
    last = arrays[case.links[-1][2]]

    def chain() -> np.ndarray[Any, Any]:
        np.copyto(arrays[0], data)
        for run in runs:
            run()
        return last.copy()

    return chain


if __name__ == "__main__":
    main(measure, peer="io-binding")
