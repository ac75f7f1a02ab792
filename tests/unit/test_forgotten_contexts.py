"""Contexts that nothing refers to any more: they end, but not before the promises that the program still has."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import numpy as np
import pytest

import webnn
from tests.loops import Loop
from tests.scripted import Gate, double, eventually, filled, scripted_context
from tests.stepped import number_in
from webnn.backends.base import Cancellation
from webnn.errors import ContextLostError, OperationError
from webnn.scheduler.promise import Promise

Result = Promise[Any]


def ends(lost: Promise[Any]) -> bool:
    """Whether the context has ended; what is left of it may be a cycle, and a lane may still hold its last graph."""
    gc.collect()
    return lost.done()


def number(result: Any) -> float:
    return number_in(result["y"] if isinstance(result, dict) else result)


def test_one_is_destroyed() -> None:
    context = webnn.ML().create_context(backend="arrays")
    lost = context.lost
    graph = double(context)
    context.compute(graph, {"x": filled(1)})
    del context
    gc.collect()
    assert not lost.done()  # the graph is a way to use it
    del graph
    gc.collect()
    assert lost.result(timeout=0).message.startswith("the context was forgotten: nothing referred to it any more")


def test_a_cycle_that_holds_one_can_be_collected() -> None:
    context = webnn.ML().create_context(backend="arrays")
    lost = context.lost
    cycle: list[Any] = [context, context.create_tensor([4], "float32")]
    cycle.append(cycle)
    del context, cycle
    gc.collect()
    assert lost.done()


def test_one_whose_graph_could_not_be_compiled_can_be_forgotten() -> None:
    gate = Gate()

    def fail(_: Cancellation) -> None:
        gate()
        raise RuntimeError("scripted")

    context, _ = scripted_context(on_compile=fail)
    lost, graph = context.lost, double(context)
    x, y, z = (context.create_tensor([4], "float32", readable=True) for _ in range(3))
    context.dispatch(graph, {"x": x}, {"y": y})
    context.dispatch(graph, {"x": x}, {"y": z})
    del y  # before it fails, and the other one afterwards
    gate.open()
    assert isinstance(graph._compiled.exception(5), OperationError)
    del x, z, graph, context
    eventually(lambda: ends(lost))


# Promises keep theirs.


def run(context: webnn.MLContext) -> Result:
    return context.run(double(context), {"x": filled(1)})


def read(context: webnn.MLContext) -> Result:
    x, y = (context.create_tensor([4], "float32", readable=True, writable=True) for _ in range(2))
    context.write_tensor(x, filled(1))
    context.dispatch(double(context), {"x": x}, {"y": y})
    return context.read_tensor(y)


def read_into(context: webnn.MLContext) -> Result:
    x, y = (context.create_tensor([4], "float32", readable=True, writable=True) for _ in range(2))
    context.write_tensor(x, filled(1))
    context.dispatch(double(context), {"x": x}, {"y": y})
    return context.read_tensor(y, out=np.empty(4, np.float32))


def read_what_was_written(context: webnn.MLContext) -> Result:
    tensor = context.create_tensor([4], "float32", readable=True, writable=True)
    context.write_tensor(tensor, filled(2))
    return context.read_tensor(tensor)


def follow(context: webnn.MLContext) -> Result:
    return run(context).then(lambda outputs: outputs["y"] + 0)


def replay(context: webnn.MLContext) -> Result:
    graph = double(context)
    x, y, z = (context.create_tensor([4], "float32", readable=True, writable=True) for _ in range(3))
    context.write_tensor(x, filled(0.5))
    with context.record() as program:
        context.dispatch(graph, {"x": x}, {"y": y})
        context.dispatch(graph, {"x": y}, {"y": z})
    end = context.replay(program).finished()
    result = context.read_tensor(z)
    return end.then(lambda _: result.result(timeout=5))


WAYS: list[Callable[[webnn.MLContext], Result]] = [run, read, read_into, read_what_was_written, follow, replay]


@pytest.mark.parametrize("max_batch", [1, 4])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("backend", ["onnxruntime", "arrays"])
def test_a_promise_keeps_its_context(backend: str, way: Callable[[webnn.MLContext], Result], max_batch: int) -> None:
    before = threading.active_count()
    context = webnn.create_context(backend=backend, max_batch=max_batch)
    lost = context.lost
    promise = way(context)
    del context
    gc.collect()
    assert number(promise.result(timeout=5)) == 2
    del promise
    eventually(lambda: ends(lost))
    assert "nothing referred to it any more" in lost.result().message
    eventually(lambda: threading.active_count() <= before)


@pytest.mark.parametrize("way", WAYS)
async def test_an_awaited_promise_keeps_it(event_loop: Loop, way: Callable[[webnn.MLContext], Result]) -> None:
    context = webnn.create_context(backend="onnxruntime")
    lost = context.lost
    promise = way(context)
    del context
    assert number(await promise) == 2
    del promise
    await event_loop.until(lost.done)


@pytest.mark.parametrize("max_batch", [1, 4])
def test_it_goes_on_while_it_runs(max_batch: int) -> None:
    gate = Gate()
    context, _ = scripted_context(on_run=gate, max_batch=max_batch)
    lost = context.lost
    first, second = run(context), run(context)
    assert gate.reached.wait(5)
    del context
    gc.collect()
    assert not lost.done()
    gate.open()
    assert number(first.result(timeout=5)) == 2
    assert not ends(lost) or second.done()
    assert number(second.result(timeout=5)) == 2
    eventually(lambda: ends(lost))


def test_it_goes_on_while_its_graph_is_compiled() -> None:
    gate = Gate()
    context, _ = scripted_context(on_compile=gate)
    lost = context.lost
    promise = run(context)
    assert gate.reached.wait(5)
    del context
    gc.collect()
    gate.open()
    assert number(promise.result(timeout=5)) == 2
    eventually(lambda: ends(lost))


def test_a_callback_keeps_it() -> None:
    gate = Gate()
    context, _ = scripted_context(on_run=gate)
    lost = context.lost
    seen: Future[float] = Future()
    run(context).add_done_callback(lambda promise: seen.set_result(number(promise.result())))
    assert gate.reached.wait(5)
    del context
    gc.collect()
    gate.open()
    assert seen.result(timeout=5) == 2
    eventually(lambda: ends(lost))


def test_it_is_kept_in_a_cycle_too() -> None:
    gate = Gate()
    context, _ = scripted_context(on_run=gate)
    lost = context.lost
    promise = run(context)
    assert gate.reached.wait(5)
    cycle: list[Any] = [context]
    cycle.append(cycle)
    del context, cycle
    gc.collect()
    gate.open()
    assert number(promise.result(timeout=5)) == 2
    eventually(lambda: ends(lost))


@pytest.mark.parametrize("max_batch", [1, 4])
def test_promises_that_are_given_up_do_not_keep_it(max_batch: int) -> None:
    gate = Gate()
    context, _ = scripted_context(on_run=gate, max_batch=max_batch)
    lost = context.lost
    running, cancelled, freed = run(context), run(context), run(context)
    assert gate.reached.wait(5)
    cancelled.cancel()
    del freed, context
    gc.collect()
    assert not lost.done()
    del running
    gate.open()
    eventually(lambda: ends(lost))
    assert cancelled.cancelled()


def test_one_that_is_kept_can_be_lost() -> None:
    gate = Gate()
    context, _ = scripted_context(on_run=gate)
    device = context._device
    promise = run(context)
    assert gate.reached.wait(5)
    del context, device
    gc.collect()
    device = promise._source.owner._device  # type: ignore[union-attr]
    device.died("the device was unplugged")
    with pytest.raises(ContextLostError, match="unplugged"):
        promise.result(timeout=5)
    gate.open()
