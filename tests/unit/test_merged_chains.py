"""Hot chains on real contexts: they are compiled in the background, and given back with their graphs."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import webnn
from tests.scripted import double, filled, scripted_context
from webnn.backends.session_cache import Entry
from webnn.errors import ContextLostError, OperationError, ValidationError
from webnn.runtime.merged_chains import _Use
from webnn.scheduler.hot_chains import UNCOMPILED, Chain, HotChains

MANY = 60
"""Runs after which a chain is merged."""


@pytest.fixture(autouse=True)
def untimed(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is, chains are not found to be slower."""
    monkeypatch.setattr(HotChains, "timed", lambda *_: None)


def line(context: webnn.MLContext, data_type: Any = "float32") -> list[webnn.MLTensor]:
    return [context.create_tensor([4], data_type, readable=True, writable=True) for _ in range(4)]


def run(context: webnn.MLContext, graphs: Sequence[webnn.MLGraph], tensors: Sequence[webnn.MLTensor]) -> Any:
    context.write_tensor(tensors[0], np.ones(4, np.float32))
    for graph, source, target in zip(graphs, tensors, tensors[1:], strict=False):
        context.dispatch(graph, {"x": source}, {"y": target})
    return context.read_tensor(tensors[len(graphs)]).result()[0]


def compiled(context: webnn.MLContext) -> None:
    """Wait until what is wanted has been compiled, and what is not wanted given back."""
    done = threading.Event()
    assert context._device.build_lane.call(done.set)
    assert done.wait(30)


def warm(context: webnn.MLContext, graphs: Sequence[webnn.MLGraph], tensors: Sequence[webnn.MLTensor]) -> None:
    for _ in range(MANY):
        assert run(context, graphs, tensors) == 2 ** len(graphs)
        compiled(context)


def entry_of_chain(context: webnn.MLContext) -> tuple[Entry, weakref.ref[Chain]]:
    """What was compiled for the only chain of `context`, and the chain."""
    merged = context._timeline.inline.merged
    assert merged is not None
    (chain,) = (chain for ending in merged.chains.endings.values() for chain in ending.chains)
    assert isinstance(chain.use, _Use)
    return chain.use._used.entry, weakref.ref(chain)


def test_the_naive_loop_is_merged_without_being_asked() -> None:
    with webnn.ML().create_context(accelerated=False) as context:
        graphs, tensors = [double(context)] * 3, line(context)
        warm(context, graphs, tensors)
        merging = context.statistics().merging
        assert merging.chains == 1
        assert merging.dispatches == 3 * merging.runs > 0
        assert [context.read_tensor(tensor).result()[0] for tensor in tensors] == [1, 2, 4, 8]


def test_merging_can_be_forbidden() -> None:
    for options in ({"merge": False}, {"max_batch": 4}):
        with webnn.ML().create_context(accelerated=False, **options) as context:
            warm(context, [double(context)] * 3, line(context))
            assert context.statistics().merging.dispatches == 0
    with pytest.raises(ValidationError, match=r"create_context: merge .*'no'"):
        webnn.ML().create_context(merge="no")  # type: ignore[arg-type]


def test_a_destroyed_graph_gives_its_chains_back() -> None:
    with webnn.ML().create_context(accelerated=False) as context:
        first, second, tensors = double(context), double(context, times=3), line(context)
        for _ in range(MANY):
            assert run(context, [first, second, first], tensors) == 12
            compiled(context)
        assert context.statistics().merging.chains == 1
        entry, chain = entry_of_chain(context)
        first.destroy()
        compiled(context)
        compiled(context)  # the first one has asked for it
        gc.collect()
        assert chain() is None
        assert context.statistics().merging.chains == 0
        assert entry.users == 0


def test_a_context_that_is_forgotten_gives_its_chains_back() -> None:
    context = webnn.ML().create_context(accelerated=False)
    warm(context, [double(context)] * 3, line(context))
    device, (entry, chain) = weakref.ref(context._device), entry_of_chain(context)
    assert entry.users == 1
    freed = threading.Event()
    weakref.finalize(chain().use, freed.set)  # type: ignore[union-attr]
    del context
    gc.collect()
    gc.collect()
    assert device() is None
    assert freed.wait(30)  # a lane that ends may be the last to know the chain
    assert entry.users == 0


def test_a_context_that_is_destroyed_in_between_ends_as_ever() -> None:
    context = webnn.ML().create_context(accelerated=False)
    graphs, tensors = [double(context)] * 3, line(context)
    warm(context, graphs, tensors)
    context.dispatch(graphs[0], {"x": tensors[0]}, {"y": tensors[1]})
    context.dispatch(graphs[0], {"x": tensors[1]}, {"y": tensors[2]})
    read = context.read_tensor(tensors[2])
    context.destroy()
    with pytest.raises(ContextLostError):
        read.result()


def quantized(builder: Any, x: Any) -> Any:
    scale, zero = builder.constant(np.ones(4, np.float32)), builder.constant(np.zeros(4, np.int8))
    return builder.dequantize_linear(builder.quantize_linear(builder.add(x, x), scale, zero), scale, zero)


@pytest.mark.parametrize(
    ("data_type", "dtype", "compute"),
    [("float16", np.float16, lambda b, x: b.add(x, x)), ("float32", np.float32, quantized)],
    ids=["float16", "quantized"],
)
def test_chains_that_a_backend_may_round_otherwise_are_left_alone(data_type: Any, dtype: Any, compute: Any) -> None:
    with webnn.ML().create_context(accelerated=False) as context:
        builder = context.create_graph_builder()
        graph = builder.build({"y": compute(builder, builder.input("x", [4], data_type))})
        tensors = line(context, data_type)
        for _ in range(MANY):
            context.write_tensor(tensors[0], np.ones(4, dtype))
            for source, target in pairwise(tensors):
                context.dispatch(graph, {"x": source}, {"y": target})
            assert context.read_tensor(tensors[3]).result()[0] == 8
            compiled(context)
        assert context.statistics().merging.refused == {UNCOMPILED: 1}


def test_a_backend_that_cannot_compile_the_merged_graph_runs_the_single_ones() -> None:
    compilations = 0

    def on_compile(_: object) -> None:
        nonlocal compilations
        compilations += 1
        if compilations > 1:
            raise OperationError("no room")

    context, _ = scripted_context(on_compile)
    with context:
        graph, tensors = double(context), line(context)
        for _ in range(MANY):
            context.write_tensor(tensors[0], filled(1))
            for source, target in pairwise(tensors):
                context.dispatch(graph, {"x": source}, {"y": target})
            assert context.read_tensor(tensors[3]).result()[0] == 8
            compiled(context)
        assert compilations == 2
        assert context.statistics().merging.refused == {UNCOMPILED: 1}


def test_threads_that_run_the_same_chain_do_not_disturb_each_other() -> None:
    wrong: list[object] = []
    with webnn.ML().create_context(accelerated=False) as context:
        graph = double(context)
        warm(context, [graph] * 3, line(context))  # beside four threads, the first trials may take longer than the test

        def work(seed: int) -> None:
            random, tensors = np.random.default_rng(seed), line(context)
            for _ in range(300):
                number = float(random.integers(1, 99))
                context.write_tensor(tensors[0], np.full(4, number, np.float32))
                for source, target in pairwise(tensors):
                    context.dispatch(graph, {"x": source}, {"y": target})
                reads = [(context.read_tensor(tensors[i]), number * 2**i) for i in random.permutation(4).tolist()]
                match random.integers(4):
                    case 0:
                        reads.pop()[0].cancel()
                    case 1:  # the first dispatch is dropped if nothing needs it any more
                        context.write_tensor(tensors[1], np.zeros(4, np.float32))
                    case 2:
                        tensors[3].destroy()
                        reads = [(read, expected) for read, expected in reads if expected != number * 8]
                        tensors[3] = line(context)[0]
                wrong.extend(expected for read, expected in reads if read.result()[0] != expected)

        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()
        assert not wrong
        assert context.statistics().merging.dispatches
        assert (context.statistics().queued, context.statistics().running) == (0, 0)


def test_an_audit_sees_the_runs_of_a_chain_that_was_merged() -> None:
    with webnn.ML().create_context(accelerated=False) as context:
        graphs, tensors = [double(context), double(context), double(context)], line(context)
        warm(context, graphs, tensors)
        merged_before = context.statistics().merging.runs
        assert merged_before > 0
        with context.audit(graphs[1], rate=1) as audit:
            for _ in range(5):
                assert run(context, graphs, tensors) == 8
                audit.compared().result(timeout=30)
        assert (audit.runs, audit.checked, audit.finding) == (5, 5, None)
        assert context.statistics().merging.runs == merged_before
        warm(context, graphs, tensors)
        warm(context, graphs, tensors)  # some runs were not looked at meanwhile
        assert context.statistics().merging.chains == 1
        assert audit.runs == 5
