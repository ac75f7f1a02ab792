"""Contexts: the whole way from arrays to arrays, on every loop and on plain threads; several at once; the end."""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import trio

import webnn
from tests.loops import EVENT_LOOPS, Loop, loop_named
from tests.scripted import Gate, double, filled, scripted_context
from tests.stepped import number_in
from webnn.backends.base import Cancellation
from webnn.errors import ContextLostError, OperationError, ValidationError
from webnn.scheduler.promise import PENDING

LARGE = (2048,)


def numbers(outputs: dict[str, np.ndarray[Any, Any]]) -> dict[str, float]:
    return {name: number_in(array) for name, array in outputs.items()}


# What it is.


def test_it_says_what_it_is() -> None:
    with webnn.ML().create_context(accelerated=False, backend="arrays") as context:
        assert context.backend == "arrays"
        assert context.accelerated is False
        assert repr(context) == "<MLContext on arrays>"
    assert repr(context) == "<MLContext on arrays (lost)>"


def test_limits_are_in_the_words_of_the_specification(context: webnn.MLContext) -> None:
    limits = context.op_support_limits()
    assert limits["preferredInputLayout"] == "nchw"
    assert limits["maxTensorByteLength"] == 2**31 - 1
    assert limits["convTranspose2d"]["input"]["rankRange"] == {"min": 4, "max": 4}
    assert "float32" in limits["gatherND"]["input"]["dataTypes"]


@pytest.mark.parametrize(("inputs", "outputs"), [(0, 1), (0, 2), (1, 1), (2, 1), (3, 1), (1, 2), (2, 2)])
def test_a_tensor_in_two_places_of_a_dispatch_is_refused_whichever_they_are(
    context: webnn.MLContext, inputs: int, outputs: int
) -> None:
    builder = context.create_graph_builder()
    total = builder.constant(np.ones((2, 2), np.float32))
    for i in range(inputs):
        total = builder.add(total, builder.input(f"x{i}", [2, 2], "float32"))
    graph = builder.build({f"y{i}": builder.transpose(builder.neg(total)) for i in range(outputs)})
    places = [*(f"x{i}" for i in range(inputs)), *(f"y{i}" for i in range(outputs))]

    def dispatch(tensors: dict[str, webnn.MLTensor]) -> None:
        given, made = ({name: tensor for name, tensor in tensors.items() if name[0] == kind} for kind in ("x", "y"))
        context.dispatch(graph, given, made)

    tensors = {name: context.create_tensor([2, 2], "float32", readable=True) for name in places}
    dispatch(tensors)
    assert context.read_tensor(tensors["y0"]).result()[0, 0] == -1
    for first, second in itertools.combinations(places, 2):
        with pytest.raises(ValidationError, match=f"put '{second}': .* is given as (in|out)put '{first}' too"):
            dispatch({**tensors, second: tensors[first]})


def test_an_error_of_a_call_is_shown_without_the_exceptions_that_led_to_it(context: webnn.MLContext) -> None:
    builder = context.create_graph_builder()
    graph = builder.build({"y": builder.relu(builder.input("x", [2], "float32"))})
    tensor, other = context.create_tensor([2], "float32"), context.create_tensor([3], "float32")
    wrong: list[Callable[[], object]] = [
        lambda: context.dispatch(graph, {"x": tensor}, {"y": other}),
        lambda: context.dispatch(graph, {"x": tensor}, {}),
        lambda: context.dispatch(graph, {"x": tensor}, {"z": tensor}),
        lambda: context.dispatch(graph, {"x": 1}, {"y": tensor}),  # type: ignore[dict-item]
        lambda: context.run(graph, {"x": "no numbers"}),
        lambda: context.compute(graph, {"z": [1, 2]}),
        lambda: context.write_tensor(tensor, [1, 2]),
        lambda: context.read_tensor(tensor),
    ]
    for call in wrong:
        with pytest.raises(ValidationError) as caught:
            call()
        assert "During handling" not in "".join(traceback.format_exception(caught.value))


# There and back.


def test_the_seed_program_computes_what_numpy_does(backend: Any) -> None:
    with webnn.ML().create_context(accelerated=False, backend=backend.name) as context:
        builder = context.create_graph_builder()
        x = builder.input("x", [2, 3], "float32")
        y = builder.input("y", [2, 3], "float32")
        graph = builder.build({"output": builder.relu(builder.add(x, y))})
        x_data = np.array([[1, -2, 3], [4, -5, 6]], dtype=np.float32)
        for y_data in (-x_data, x_data, np.flip(x_data)):
            results = context.compute(graph, {"x": x_data, "y": y_data})
            np.testing.assert_array_equal(results["output"], np.maximum(x_data + y_data, 0))


async def test_write_dispatch_and_read_on_every_loop(context: webnn.MLContext, loop: Loop) -> None:
    graph = double(context)
    x = context.create_tensor([4], "float32", writable=True)
    y = context.create_tensor([4], "float32", readable=True)
    for i in range(50):
        context.write_tensor(x, filled(i))
        await context.dispatch(graph, {"x": x}, {"y": y})
        assert number_in(await loop.result(context.read_tensor(y))) == 2 * i


async def test_run_on_every_loop(context: webnn.MLContext, loop: Loop) -> None:
    graph = double(context, LARGE)
    for i in range(20):
        assert numbers(await loop.result(context.run(graph, {"x": filled(i, LARGE)}))) == {"y": 2 * i}


async def test_pipelined_runs_keep_apart(context: webnn.MLContext, loop: Loop) -> None:
    graph = double(context, LARGE)
    promises = [context.run(graph, {"x": filled(i, LARGE)}) for i in range(30)]
    assert [numbers(await loop.result(p))["y"] for p in promises] == [2 * i for i in range(30)]


async def test_the_end_of_a_dispatch_can_be_waited_for(context: webnn.MLContext, loop: Loop) -> None:
    graph = double(context)
    x, y = (context.create_tensor([4], "float32") for _ in range(2))
    handle = context.dispatch(graph, {"x": x}, {"y": y})
    await loop.result(handle.finished())
    assert repr(handle) == "<Dispatch done>"


async def test_every_handle_can_be_awaited(event_loop: Loop) -> None:
    async with webnn.ML().create_context(backend="arrays") as context:
        assert await context is context
        graph = double(context)
        assert await graph is graph
        assert await graph is graph
        x = context.create_tensor([4], "float32", readable=True)
        y = context.create_tensor([4], "float32", readable=True)
        assert await x is x
        handle = context.dispatch(graph, {"x": x}, {"y": y})
        assert await handle is handle
        constant = context.create_constant_tensor(filled(1))
        assert await constant is constant
    assert event_loop.name in EVENT_LOOPS


def test_compute_runs_on_the_callers_thread() -> None:
    threads: list[threading.Thread] = []
    context, _ = scripted_context(on_run=lambda: threads.append(threading.current_thread()))
    with context:
        graph = double(context)
        context.compute(graph, {"x": filled(1)})  # may wait for the compilation, and run on the lane
        context.compute(graph, {"x": filled(1)})
    assert threads[1] is threading.current_thread()


def test_compute_waits_for_what_the_lane_is_doing() -> None:
    gate = Gate()
    context, backend = scripted_context(on_run=lambda: gate() if backend.ran == 1 else None)
    with context:
        graph = double(context)
        x, y = (context.create_tensor([4], "float32", readable=True, writable=True) for _ in range(2))
        context.write_tensor(x, filled(1))
        context.dispatch(graph, {"x": x}, {"y": y})
        assert gate.reached.wait(5)
        read = context.read_tensor(y)
        assert numbers(context.compute(graph, {"x": filled(5)})) == {"y": 10}  # does not depend on it
        assert not read.done()
        gate.open()
        assert number_in(read.result()) == 2


def test_graphs_run_side_by_side_on_several_lanes() -> None:
    barrier = threading.Barrier(2)
    context, _ = scripted_context(on_run=lambda: barrier.wait(5), lanes=2)
    with context:
        graphs = [double(context, times=i) for i in (2, 3)]
        promises = [context.run(graph, {"x": filled(1)}) for graph in graphs]
        assert [p.exception() for p in promises] == [None, None]  # each has waited for the other
        assert [numbers(p.result()) for p in promises] == [{"y": 2}, {"y": 3}]


# Data in and out.


@pytest.mark.parametrize(
    "data",
    [
        np.array([[1, 2], [3, 4]], np.float32),
        np.array([[1, 3], [2, 4]], np.float32).T,
        np.array([[0, 1, 0, 2], [0, 3, 0, 4]], np.float32)[:, 1::2],
        np.array([1, 2, 3, 4], np.float32),
        np.array([[1, 2], [3, 4]], np.float32).tobytes(),
        bytearray(np.array([[1, 2], [3, 4]], np.float32)),
        np.array([[1, 2], [3, 4]], np.float32).data,
        np.array([[1, 2], [3, 4]], np.float32).data.toreadonly(),
        [[1, 2], [3, 4]],
        ((1.0, 2.0), (3.0, 4.0)),
    ],
    ids=["array", "transposed", "strided", "flat", "bytes", "bytearray", "memoryview", "read-only", "lists", "tuples"],
)
def test_whatever_holds_numbers_can_be_written(context: webnn.MLContext, data: Any) -> None:
    tensor = context.create_tensor([2, 2], "float32", readable=True, writable=True)
    context.write_tensor(tensor, data)
    assert context.read_tensor(tensor).result().tolist() == [[1, 2], [3, 4]]
    builder = context.create_graph_builder()
    graph = builder.build({"y": builder.identity(builder.input("x", [2, 2], "float32"))})
    assert context.compute(graph, {"x": data})["y"].tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize("x", [np.array([3], np.float32), [3], b"\0\0\x40\x40"])
def test_the_only_input_of_a_graph_need_not_be_named(context: webnn.MLContext, x: Any) -> None:
    builder = context.create_graph_builder()
    graph = builder.build({"y": builder.input("x", [1], "float32") * 2})
    assert context.compute(graph, x)["y"] == context.run(graph, x).result()["y"] == 6
    with pytest.raises(ValidationError, match=r"compute: input 'x': expected float32 \[1\], got float64 \[1\]"):
        context.compute(graph, np.zeros(1))


def test_one_of_several_inputs_must_be_named(context: webnn.MLContext) -> None:
    builder = context.create_graph_builder()
    a, b = (builder.input(name, [1], "float32") for name in "ab")
    graph = builder.build({"y": a + b})
    with pytest.raises(
        ValidationError, match=r"run: inputs must be a mapping of names to arrays, got list; .* 'a', 'b'"
    ):
        context.run(graph, [1])


class Speaker:
    """An array of another library: all that it has is DLPack."""

    def __init__(self, array: np.ndarray[Any, Any]) -> None:
        self._array = array

    def __dlpack__(self, **options: Any) -> Any:
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self._array.__dlpack_device__()


def test_whatever_speaks_dlpack_can_be_written(context: webnn.MLContext) -> None:
    tensor = context.create_tensor([4], "float32", readable=True, writable=True)
    context.write_tensor(tensor, Speaker(filled(7)))
    assert number_in(context.read_tensor(tensor).result()) == 7


def test_what_is_read_speaks_dlpack(context: webnn.MLContext) -> None:
    tensor = context.create_tensor(LARGE, "float32", readable=True, writable=True)
    context.write_tensor(tensor, filled(7, LARGE))
    array = np.from_dlpack(context.read_tensor(tensor).result())
    tensor.destroy()
    other = context.create_tensor(LARGE, "float32", writable=True)
    context.write_tensor(other, filled(8, LARGE))
    assert number_in(array) == 7


@pytest.mark.parametrize("make", [lambda: np.zeros((2, 2), np.float32), lambda: bytearray(16), lambda: bytearray(20)])
async def test_read_fills_what_it_is_given(context: webnn.MLContext, loop: Loop, make: Any) -> None:
    tensor = context.create_tensor([2, 2], "float32", readable=True, writable=True)
    context.write_tensor(tensor, [[1, 2], [3, 4]])
    out = make()
    assert await loop.result(context.read_tensor(tensor, out)) is out
    assert np.frombuffer(out, np.float32)[:4].tolist() == [1, 2, 3, 4]


def test_whatever_speaks_dlpack_can_be_read_into(context: webnn.MLContext) -> None:
    tensor = context.create_tensor([4], "float32", readable=True, writable=True)
    context.write_tensor(tensor, filled(7))
    array = filled(0)
    out = Speaker(array)
    if not np.from_dlpack(out).flags.writeable:
        pytest.skip(f"NumPy {np.__version__} makes arrays from DLPack read-only; 2.2.6 does not")
    assert context.read_tensor(tensor, out).result() is out
    assert array.tolist() == [7, 7, 7, 7]


@pytest.mark.parametrize(
    "make", [lambda: np.zeros(6, np.float32), lambda: np.zeros(24, np.uint8), lambda: bytearray(24)]
)
@pytest.mark.parametrize("shape", [[], [4], [2, 2]])
def test_the_first_bytes_of_a_larger_buffer_are_filled(context: webnn.MLContext, make: Any, shape: list[int]) -> None:
    out = make()
    tensor = context.create_tensor(shape, "float32", readable=True, writable=True)
    context.write_tensor(tensor, np.full(shape, 7, np.float32))
    context.read_tensor(tensor, out).result()
    count = tensor.descriptor.element_count
    assert np.frombuffer(out, np.float32).tolist()[: count + 1] == [7] * count + [0]


def test_a_memoryview_can_be_read_into(context: webnn.MLContext) -> None:
    tensor = context.create_tensor([2], "int64", readable=True, writable=True)
    context.write_tensor(tensor, [5, -6])
    storage = np.zeros(4, np.int64)
    out = storage.data[1:3]
    assert context.read_tensor(tensor, out).result() is out
    assert storage.tolist() == [0, 5, -6, 0]


# Memory.


@pytest.mark.parametrize("shape", [(4,), LARGE], ids=["small", "large"])
def test_memory_info_is_exact(context: webnn.MLContext, shape: tuple[int, ...]) -> None:
    size = 64 if shape == (4,) else 8192
    graph = double(context, shape)
    assert context.memory_info().in_use == 0
    x = context.create_tensor(shape, "float32", writable=True)
    y = context.create_tensor(shape, "float32", readable=True)
    assert context.memory_info().in_use == 0  # what was never written takes nothing
    context.write_tensor(x, filled(1, shape))
    assert context.memory_info().in_use == size
    context.dispatch(graph, {"x": x}, {"y": y}).finished().result()
    assert context.memory_info().in_use == 2 * size
    array = context.read_tensor(y).result()
    assert number_in(array) == 2
    for tensor in (x, y):
        tensor.destroy()
    assert context.memory_info().in_use == (size if shape == LARGE else 0)
    del array
    info = context.memory_info()
    assert info.in_use == 0
    assert info.idle == info.peak


def test_forgotten_tensors_and_results_give_their_memory_back(context: webnn.MLContext) -> None:
    graph = double(context, LARGE)
    tensors = [context.create_tensor(LARGE, "float32", writable=True) for _ in range(3)]
    for tensor in tensors:
        context.write_tensor(tensor, filled(1, LARGE))
    outputs = context.compute(graph, {"x": filled(1, LARGE)})
    assert context.memory_info().in_use == 4 * 8192
    del tensors, tensor
    assert context.memory_info().in_use == 8192
    del outputs
    assert context.memory_info().in_use == 0


def test_a_budget_that_is_too_small_is_an_error_at_the_call_and_the_context_goes_on() -> None:
    with webnn.ML().create_context(backend="arrays", memory_budget=20_000) as context:
        graph = double(context, LARGE)
        x = context.create_tensor(LARGE, "float32", writable=True, readable=True)
        y = context.create_tensor(LARGE, "float32", readable=True)
        with pytest.raises(OperationError, match="the memory budget of 20000 bytes does not hold 24576 more"):
            context.create_tensor([6000], "float32")
        context.write_tensor(x, filled(1, LARGE))
        context.dispatch(graph, {"x": x}, {"y": y}).finished().result()
        with pytest.raises(OperationError, match="memory budget"):
            context.write_tensor(context.create_tensor(LARGE, "float32", writable=True), filled(1, LARGE))
        with pytest.raises(OperationError, match="memory budget"):
            context.run(graph, {"x": filled(1, LARGE)})
        assert number_in(context.read_tensor(y).result()) == 2
        y.destroy()
        assert numbers(context.compute(double(context), {"x": filled(1)})) == {"y": 2}
        assert context.memory_info().in_use == 8192
        assert context.memory_info().budget == 20_000


# Several at once.


def test_consecutive_loops_may_use_one_context() -> None:
    with webnn.ML().create_context(backend="arrays") as context:
        graph = double(context)
        x = context.create_tensor([4], "float32", writable=True)
        y = context.create_tensor([4], "float32", readable=True)
        left: list[webnn.Promise[Any]] = []

        async def main(number: float) -> float:
            context.write_tensor(x, filled(number))
            await context.dispatch(graph, {"x": x}, {"y": y})
            left.append(context.read_tensor(y))  # nobody awaits this one before the loop ends
            return number_in(await context.read_tensor(y))

        assert [asyncio.run(main(1)), trio.run(main, 2), asyncio.run(main(3))] == [2, 4, 6]
        assert [number_in(promise.result()) for promise in left] == [2, 4, 6]


def test_a_loop_that_stops_in_the_middle_of_a_tick_leaves_a_context_that_works() -> None:
    with webnn.ML().create_context(backend="arrays") as context:
        graph = double(context)
        context.compute(graph, {"x": filled(0)})
        y = context.create_tensor([4], "float32", readable=True)

        async def main() -> None:
            context.dispatch(graph, {"x": context.create_tensor([4], "float32")}, {"y": y})

        loop = asyncio.new_event_loop()
        loop.run_until_complete(main())
        loop.close()
        assert number_in(context.read_tensor(y).result()) == 0
        assert asyncio.run(_awaited(context.run(graph, {"x": filled(4)})))["y"][0] == 8


async def _awaited(promise: webnn.Promise[Any]) -> Any:
    return await promise


@pytest.mark.parametrize("lanes", [1, 2])
def test_several_loops_and_threads_use_one_context_at_once(lanes: int) -> None:
    errors: list[BaseException] = []
    with webnn.ML().create_context(backend="arrays", lanes=lanes) as context:
        graph = double(context)
        shared = context.create_tensor([4], "float32", writable=True)
        context.write_tensor(shared, filled(100))

        def use(name: str, seed: int) -> None:
            loop = loop_named(name)

            async def main() -> None:
                x = context.create_tensor([4], "float32", writable=True)
                y = context.create_tensor([4], "float32", readable=True)
                for i in range(40):
                    context.write_tensor(x, filled(seed + i))
                    context.dispatch(graph, {"x": x}, {"y": y})
                    read = context.read_tensor(y)
                    context.dispatch(graph, {"x": shared}, {"y": y})
                    assert number_in(await loop.result(context.read_tensor(y))) == 200
                    assert number_in(await loop.result(read)) == 2 * (seed + i)

            try:
                loop.run(main, late=5)  # five threads take turns with the interpreter
            except BaseException as error:
                errors.append(error)

        kinds = ["asyncio", "trio", "thread", "asyncio", "thread"]
        threads = [threading.Thread(target=use, args=(kind, 1000 * i)) for i, kind in enumerate(kinds)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        gc.collect()
        assert context.memory_info().in_use == 64  # what they share


def test_contexts_do_not_disturb_each_other(context: webnn.MLContext) -> None:
    with webnn.ML().create_context(backend="arrays") as other:
        graph = double(other)
        assert numbers(other.compute(graph, {"x": filled(1)})) == {"y": 2}
    assert numbers(context.compute(double(context), {"x": filled(1)})) == {"y": 2}


# The end.


def test_lost_resolves_with_a_message() -> None:
    context = webnn.ML().create_context(backend="arrays")
    lost = context.lost
    assert not lost.done()
    assert context.lost is lost
    context.destroy()
    assert lost.result(timeout=0).message == "destroy() was called"


async def test_lost_can_be_awaited(event_loop: Loop) -> None:
    context = webnn.ML().create_context(backend="arrays")
    waiter = event_loop.start(lambda: event_loop.result(context.lost))
    await event_loop.pause()
    context.destroy()
    info = await event_loop.join(waiter)
    assert isinstance(info, webnn.MLContextLostInfo)


def test_a_block_destroys_it_also_when_it_fails() -> None:
    with pytest.raises(LookupError), webnn.ML().create_context(backend="arrays") as context:
        raise LookupError
    assert context.lost.done()


async def test_an_async_block_destroys_it(event_loop: Loop) -> None:
    async with webnn.ML().create_context(backend="arrays") as context:
        assert not context.lost.done()
    assert context.lost.done()
    assert event_loop.name in EVENT_LOOPS


def test_destroying_twice_is_fine(context: webnn.MLContext) -> None:
    context.destroy()
    context.destroy()
    assert context.lost.result().message == "destroy() was called"


@pytest.mark.parametrize(
    "call",
    [
        "create_tensor",
        "create_constant_tensor",
        "create_graph_builder",
        "build",
        "input",
        "constant",
        "write_tensor",
        "read_tensor",
        "dispatch",
        "run",
        "compute",
        "stream",
        "await",
        "await tensor",
    ],
)
def test_afterwards_every_call_says_that_it_is_lost(call: str) -> None:
    context = webnn.ML().create_context(backend="arrays")
    graph = double(context)
    graph.__await__()
    x, y = (context.create_tensor([4], "float32", readable=True, writable=True) for _ in range(2))
    builder = context.create_graph_builder()
    output = builder.relu(builder.input("x", [4], "float32"))
    context.destroy()
    calls: dict[str, Any] = {
        "create_tensor": lambda: context.create_tensor([4], "float32"),
        "create_constant_tensor": lambda: context.create_constant_tensor(filled(1)),
        "create_graph_builder": context.create_graph_builder,
        "build": lambda: builder.build({"y": output}),
        "input": lambda: builder.input("z", [4], "float32"),
        "constant": lambda: builder.constant("float32", 1),
        "write_tensor": lambda: context.write_tensor(x, filled(1)),
        "read_tensor": lambda: context.read_tensor(x),
        "dispatch": lambda: context.dispatch(graph, {"x": x}, {"y": y}),
        "run": lambda: context.run(graph, {"x": filled(1)}),
        "compute": lambda: context.compute(graph, {"x": filled(1)}),
        "stream": lambda: context.stream(graph, []),
        "await": lambda: context.__await__().send(None),
        "await tensor": lambda: x.__await__().send(None),
    }
    with pytest.raises(ContextLostError, match=r"the context was lost: destroy\(\) was called"):
        calls[call]()


async def test_nothing_is_left_pending_whatever_was_going_on(event_loop: Loop) -> None:
    run_gate, compile_gate = Gate(), Gate()

    def hold_up(_: object) -> None:
        if backend.compiled == 2:
            compile_gate()

    context, backend = scripted_context(hold_up, run_gate)
    running, compiling = double(context), double(context, times=3)
    x, y, z = (context.create_tensor([4], "float32", readable=True, writable=True) for _ in range(3))
    context.write_tensor(x, filled(1))
    handles = [
        context.dispatch(running, {"x": x}, {"y": y}),
        context.dispatch(running, {"x": y}, {"y": z}),
        context.dispatch(compiling, {"x": z}, {"y": x}),
    ]
    promises: list[webnn.Promise[Any]] = [
        *(handle.finished() for handle in handles),
        *(context.read_tensor(tensor) for tensor in (x, y, z)),
        context.run(running, {"x": filled(1)}),
        context.run(compiling, {"x": filled(1)}),
    ]

    async def wait() -> None:
        await compiling

    waiter = event_loop.start(wait)
    await event_loop.until(run_gate.reached.is_set)
    await event_loop.until(compile_gate.reached.is_set)
    assert all(promise._status is PENDING for promise in promises)
    context.destroy()
    assert all(isinstance(promise.exception(timeout=0), ContextLostError) for promise in promises)
    assert context.lost.done()
    with pytest.raises(ContextLostError):
        await event_loop.join(waiter)
    run_gate.open()
    compile_gate.open()


def test_it_gives_its_memory_back(context: webnn.MLContext) -> None:
    tensor = context.create_tensor(LARGE, "float32", readable=True, writable=True)
    constant = context.create_constant_tensor(filled(1, LARGE))
    context.write_tensor(tensor, filled(1, LARGE))
    array = context.read_tensor(tensor).result()
    context.destroy()
    assert context.memory_info().in_use == 8192  # the array
    assert number_in(array) == 1
    del array
    assert context.memory_info().in_use == 0
    assert repr(tensor) == "<MLTensor float32 [2048] (destroyed)>"
    del constant


def test_a_program_that_ends_does_not_wait_for_compilations() -> None:
    gate, given_up = Gate(), threading.Event()

    def compile(cancellation: Cancellation) -> None:
        cancellation.on_cancel(given_up.set)
        gate()

    context, _ = scripted_context(on_compile=compile)
    graph = double(context)
    assert gate.reached.wait(5)
    context._device.forget()  # as at exit, where context and graph are still there
    assert given_up.is_set()
    gate.open()
    assert graph is not None


def test_a_build_that_meets_the_end_on_another_thread_is_not_left_pending(context: webnn.MLContext) -> None:
    class Outputs(dict[str, webnn.MLOperand]):
        def items(self) -> Any:
            context.destroy()
            return super().items()

    builder = context.create_graph_builder()
    outputs = Outputs(y=builder.relu(builder.input("x", [4], "float32")))
    with pytest.raises(ContextLostError):
        builder.build(outputs)


@pytest.mark.parametrize("ending", ["pass", "raise SystemExit(0)"])
def test_a_process_ends_with_work_under_way(ending: str) -> None:
    program = f"""
import numpy as np, webnn
context = webnn.ML().create_context(backend="arrays", lanes=2)
builder = context.create_graph_builder()
x = builder.input("x", [64, 64], "float32")
for _ in range(20):
    x = builder.relu(builder.matmul(x, x))
graph = builder.build({{"y": x}})
promises = [context.run(graph, {{"x": np.ones((64, 64), np.float32)}}) for _ in range(20)]
promises[0].result()
{ending}
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(os.name == "nt", reason="there Ctrl-C goes to the test as well")
def test_ctrl_c_does_not_wait_for_a_long_compute(gate: Gate) -> None:
    context, backend = scripted_context(on_run=lambda: gate() if backend.ran == 2 else None)
    graph = double(context)
    context.compute(graph, {"x": filled(1)})
    graph._work.cost = 1e9

    def interrupt() -> None:
        if gate.reached.wait(5):
            os.kill(os.getpid(), signal.SIGINT)

    interrupting = threading.Thread(target=interrupt)
    interrupting.start()
    with pytest.raises(KeyboardInterrupt):
        context.compute(graph, {"x": filled(1)})
    interrupting.join()
    gate.open()
    assert context.compute(graph, {"x": filled(2)})["y"].tolist() == [4] * 4
    context.destroy()
