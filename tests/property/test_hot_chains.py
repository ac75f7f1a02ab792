"""Random chains of small graphs that repeat give the same bits as in a context that merges nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import webnn
from tests.property.test_replays import KINDS, ROWS, WIDTH

Array = np.ndarray[Any, Any]


class Chains:
    """A context with the graphs of `test_replays`, and a few tensors."""

    def __init__(self, context: webnn.MLContext) -> None:
        self.context = context
        self.graphs: dict[str, webnn.MLGraph] = {}
        for kind, build in KINDS.items():
            builder = context.create_graph_builder()
            outputs = build(builder, *(builder.input(name, [ROWS, WIDTH], "float32") for name in "xy"))
            self.graphs[kind] = builder.build({f"out{i}": output for i, output in enumerate(outputs)})
        self.tensors = [context.create_tensor([ROWS, WIDTH], "float32", readable=True, writable=True) for _ in range(5)]

    def run(self, links: Sequence[tuple[str, Sequence[int]]], data: Sequence[Array]) -> list[bytes]:
        """Write `data`, dispatch all links, and read all tensors, the last output first."""
        for tensor, array in zip(self.tensors, data, strict=True):
            self.context.write_tensor(tensor, array)
        for kind, order in links:
            graph, chosen = self.graphs[kind], iter(self.tensors[i] for i in order)
            inputs = {name: next(chosen) for name in graph.inputs}
            outputs = {name: next(chosen) for name in graph.outputs}
            self.context.dispatch(graph, inputs, outputs)
        self.context.read_tensor(next(iter(outputs.values()))).result()
        return [self.context.read_tensor(tensor).result().tobytes() for tensor in self.tensors]

    def wait(self) -> None:
        """Wait until everything that is wanted has been compiled."""
        compiled = threading.Event()
        if self.context._device.build_lane.call(compiled.set):
            assert compiled.wait(30)


@pytest.fixture(scope="module", params=["onnxruntime", "arrays"])
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[Chains, Chains]]:
    with (
        webnn.ML().create_context(backend=request.param) as merging,
        webnn.ML().create_context(backend=request.param, merge=False) as single,
    ):
        runs = merging._timeline.inline.merged
        assert runs is not None
        runs.chains._hot = runs.chains._rest = 0
        yield Chains(merging), Chains(single)


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=3 * settings().max_examples)
def test_a_chain_that_repeats_gives_the_same_bits(pair: tuple[Chains, Chains], seed: int) -> None:
    random = np.random.default_rng(seed)
    merging, single = pair
    links: list[tuple[str, Sequence[int]]] = []
    made = 0
    for kind in map(str, random.choice(list(KINDS), random.integers(3, 9))):
        order = [
            made,
            *(i for i in random.permutation(5).tolist() if i != made),
        ]  # each reads a result of the one before
        links.append((kind, order))
        made = order[len(merging.graphs[kind].inputs)]
    for i in range(12):
        data = [random.standard_normal((ROWS, WIDTH), np.float32) for _ in range(5)]
        if i == 9:
            data[0].fill(np.nan)
            data[1].fill(-0.0)
        assert merging.run(links, data) == single.run(links, data), links
        merging.wait()


def test_the_chains_were_merged(pair: tuple[Chains, Chains]) -> None:
    statistics = pair[0].context.statistics().merging
    if sum(graph.runs for graph in pair[0].context.statistics().graphs) < 500:
        pytest.skip("the chains were not run")
    assert statistics.dispatches > 100
    assert "other results" not in statistics.refused
    assert pair[1].context.statistics().merging.dispatches == 0
