"""A second backend runs a graph until the context's own has compiled it; the change is between two runs."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator
from concurrent.futures import CancelledError
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import webnn
from tests.scripted import Gate, ScriptedBackend, double, filled
from tests.stepped import Endable
from webnn.backends.base import Cancellation, CompileOptions
from webnn.errors import NotSupportedError, OperationError, ValidationError
from webnn.memory.allocator import Allocator, HostAllocator
from webnn.memory.buffer import Buffer, View
from webnn.runtime.context import MLContext
from webnn.runtime.meanwhile import _Copying
from webnn.scheduler.hot_chains import HotChains


class Pair:
    """A context whose own backend compiles when the gate opens, and a quick one."""

    def __init__(self) -> None:
        self.gate = Gate()
        self.own = ScriptedBackend(self.gate)
        self.quick = ScriptedBackend()
        self.context = MLContext(self.own, CompileOptions(), lanes=1, memory_budget=None, meanwhile=self.quick)

    def finish(self, graph: webnn.MLGraph) -> None:
        """Let the own backend compile, and wait until it runs the graph."""
        self.gate.open()
        done = Gate()
        assert self.context._device.slow_lane.call(done.open)
        done()
        assert graph.backend == self.own.name


@pytest.fixture
def pair() -> Iterator[Pair]:
    pair = Pair()
    with pair.context:
        yield pair
        pair.gate.open()


def counted(pair: Pair) -> list[str]:
    """The backends in the order of their runs."""
    runs: list[str] = []
    pair.own.on_run = lambda: runs.append("own")
    pair.quick.on_run = lambda: runs.append("quick")
    return runs


def test_the_first_results_come_before_the_own_backend_has_compiled(pair: Pair) -> None:
    runs = counted(pair)
    graph = double(pair.context)
    for _ in range(2):
        np.testing.assert_array_equal(pair.context.compute(graph, {"x": filled(3)})["y"], filled(6))
    assert graph.backend == pair.quick.name
    pair.finish(graph)
    np.testing.assert_array_equal(pair.context.compute(graph, {"x": filled(4)})["y"], filled(8))
    assert runs == ["quick", "quick", "own"]


def test_a_chain_goes_on_over_the_change(pair: Pair) -> None:
    runs = counted(pair)
    context = pair.context
    graph = double(context)
    tensors = [context.create_tensor([4], "float32", readable=True, writable=True) for _ in range(2)]
    context.write_tensor(tensors[0], filled(1))
    for i in range(10):
        context.dispatch(graph, {"x": tensors[i % 2]}, {"y": tensors[(i + 1) % 2]})
        if i == 4:
            np.testing.assert_array_equal(context.read_tensor(tensors[1]).result(), filled(32))
            pair.finish(graph)
    np.testing.assert_array_equal(context.read_tensor(tensors[0]).result(), filled(1024))
    assert runs == ["quick"] * 5 + ["own"] * 5


@pytest.mark.asyncio
async def test_awaiting_the_graph_waits_for_the_quick_backend_alone(pair: Pair) -> None:
    graph = await double(pair.context)
    assert graph.backend == pair.quick.name


def test_other_graphs_start_while_one_is_being_compiled(pair: Pair) -> None:
    first, second = double(pair.context), double(pair.context, times=3)
    pair.context.compute(first, {"x": filled(1)})
    pair.gate.reached.wait(10)
    np.testing.assert_array_equal(pair.context.compute(second, {"x": filled(1)})["y"], filled(3))


def test_where_the_quick_backend_cannot_the_graph_waits_for_the_other(pair: Pair) -> None:
    def refuse(_: Cancellation) -> None:
        raise NotSupportedError("no such operator")

    pair.quick.on_compile = refuse
    pair.gate.open()
    graph = double(pair.context)
    np.testing.assert_array_equal(pair.context.compute(graph, {"x": filled(1)})["y"], filled(2))
    assert graph.backend == pair.own.name


def test_where_the_own_backend_fails_the_quick_one_goes_on(pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    def fail(_: Cancellation) -> None:
        pair.gate()
        raise OperationError("the engine ran out of tactics")

    pair.own.on_compile = fail
    graph = double(pair.context)
    pair.context.compute(graph, {"x": filled(1)})
    with caplog.at_level(logging.WARNING, "webnn"):
        pair.gate.open()
        done = Gate()
        assert pair.context._device.slow_lane.call(done.open)
        done()
    assert "goes on running on the scripted" in caplog.text
    assert "ran out of tactics" in caplog.text
    np.testing.assert_array_equal(pair.context.compute(graph, {"x": filled(2)})["y"], filled(4))


def test_destroying_a_graph_cancels_the_compilation_that_is_under_way(pair: Pair) -> None:
    seen: list[Cancellation] = []

    def hold(cancellation: Cancellation) -> None:
        seen.append(cancellation)
        pair.gate()
        cancellation.checkpoint()

    pair.own.on_compile = hold
    graph = double(pair.context)
    pair.context.compute(graph, {"x": filled(1)})
    pair.gate.reached.wait(10)
    graph.destroy()
    assert seen[0].cancelled


def test_destroying_the_context_while_it_compiles_ends_everything(pair: Pair) -> None:
    graph = double(pair.context)
    pair.context.compute(graph, {"x": filled(1)})
    pair.gate.reached.wait(10)
    pair.gate.open()
    pair.context.destroy()
    del graph
    gc.collect()


def test_chains_are_merged_on_the_own_backend_alone_and_hold_up_no_other_graph(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HotChains, "timed", lambda *_: None)  # however busy the machine is
    context = pair.context
    graph = double(context)
    tensors = [context.create_tensor([4], "float32", readable=True, writable=True) for _ in range(4)]

    def run(times: int) -> None:
        for _ in range(times):
            context.write_tensor(tensors[0], filled(1))
            for source, target in pairwise(tensors):
                context.dispatch(graph, {"x": source}, {"y": target})
            np.testing.assert_array_equal(context.read_tensor(tensors[-1]).result(), filled(8))

    run(100)
    assert graph.backend == pair.quick.name
    pair.finish(graph)
    assert pair.own.compiled == 1  # and no chain
    gate = Gate()
    pair.own.on_compile = gate
    run(100)
    assert gate.reached.wait(10)  # by the chain
    other = double(context, times=3)
    np.testing.assert_array_equal(context.compute(other, {"x": filled(1)})["y"], filled(3))
    gate.open()
    done = Gate()
    assert context._device.slow_lane.call(done.open)
    done()
    run(20)
    assert context.statistics().merging.chains == 1


class DeviceMemory(Allocator):
    """Memory that the host reaches only by copies: the bytes are inverted."""

    def __init__(self) -> None:
        self._host = HostAllocator()

    def allocate(self, size: int) -> Buffer:
        return self._host.allocate(size)

    def write(self, view: View, data: np.ndarray[Any, Any]) -> None:
        view.array.reshape(-1).view(np.uint8)[...] = ~np.ascontiguousarray(data).reshape(-1).view(np.uint8)

    def clear(self, view: View) -> None:
        self.write(view, np.zeros_like(view.array))

    def host_array(self, view: View) -> np.ndarray[Any, Any]:
        array: np.ndarray[Any, Any] = (~view.array.reshape(-1).view(np.uint8)).view(view.array.dtype)
        return array.reshape(view.array.shape)


def test_a_backend_of_another_memory_gets_copies() -> None:
    class DeviceBackend(ScriptedBackend):
        device_type = "gpu"

        @property
        def allocator(self) -> Allocator:
            return DeviceMemory()

    gate = Gate()
    with MLContext(
        DeviceBackend(gate), CompileOptions(), lanes=1, memory_budget=None, meanwhile=ScriptedBackend()
    ) as context:
        graph = double(context)
        np.testing.assert_array_equal(context.compute(graph, {"x": filled(3)})["y"], filled(6))
        gate.open()


def test_onnxruntime_takes_over_from_arrays() -> None:
    with webnn.create_context(backend="onnxruntime", meanwhile="arrays") as context:
        graph = double(context)
        np.testing.assert_array_equal(context.compute(graph, {"x": filled(3)})["y"], filled(6))
        done = Gate()
        assert context._device.build_lane.call(done.open)
        done()
        done = Gate()
        assert context._device.slow_lane.call(done.open)
        done()
        assert graph.backend == "onnxruntime"
        np.testing.assert_array_equal(context.compute(graph, {"x": filled(5)})["y"], filled(10))


@pytest.mark.parametrize(
    ("meanwhile", "message"),
    [
        ("arrays", "another backend than the context's own, which is 'arrays'"),
        (3, "meanwhile must be the name of a backend"),
    ],
)
def test_a_name_that_makes_no_sense_is_refused(meanwhile: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        webnn.create_context(backend="arrays", meanwhile=meanwhile)


def test_an_unknown_backend_is_refused() -> None:
    with pytest.raises(NotSupportedError, match="no backend is called 'abacus'"):
        webnn.create_context(backend="arrays", meanwhile="abacus")


def test_a_run_in_the_memory_of_another_device_can_be_ended() -> None:
    allocator, descriptor = HostAllocator(), webnn.MLOperandDescriptor("float32", [4])
    endable = Endable(lambda x: x + 1)
    endable.inputs = endable.outputs = [("x", descriptor)]
    copying = _Copying(endable, allocator, HostAllocator())
    x, y = (allocator.view(descriptor) for _ in range(2))
    allocator.write(x, filled(1))
    ending = copying.ending()
    assert ending is not None
    copying.run_until([x], [y], ending)
    assert y.array.tolist() == [2, 2, 2, 2]
    ending.end()
    with pytest.raises(CancelledError):
        copying.run_until([x], [y], ending)
    assert y.array.tolist() == [2, 2, 2, 2], "what an ended run has made is not copied"
