"""Graphs as programs see them: usable while they are compiled, awaitable, cancelled when they are destroyed."""

from __future__ import annotations

import gc
import weakref
from concurrent.futures import CancelledError
from typing import Any

import pytest

import webnn
from tests.direct import direct_builder
from tests.loops import Loop, causes
from tests.scripted import Gate, ScriptedBackend, double, filled, scripted_context
from tests.stepped import number_in
from webnn.backends.base import Backend, Cancellation, CompileOptions
from webnn.backends.session_cache import session_cache
from webnn.errors import InvalidStateError, OperationError
from webnn.scheduler.promise import PENDING


def test_it_says_what_it_takes_and_gives() -> None:
    with webnn.ML().create_context(backend="arrays") as context:
        builder = context.create_graph_builder()
        a, b = builder.input("a", [2, 3], "float16"), builder.input("b", [], "float16")
        unused = builder.input("unused", [1], "int8")
        graph = builder.build({"sum": builder.add(a, b), "which": builder.arg_max(a, 1)})
        assert graph.inputs == {
            "a": webnn.MLOperandDescriptor("float16", [2, 3]),
            "b": webnn.MLOperandDescriptor("float16", []),
        }
        assert graph.outputs == {
            "sum": webnn.MLOperandDescriptor("float16", [2, 3]),
            "which": webnn.MLOperandDescriptor("int32", [2]),
        }
        assert list(graph.outputs) == ["sum", "which"]
        assert repr(graph) == "<MLGraph ['a', 'b'] -> ['sum', 'which']>"
        graph.destroy()
        assert repr(graph) == "<MLGraph ['a', 'b'] -> ['sum', 'which'] (destroyed)>"
        assert unused.name == "unused"


async def test_building_does_not_hold_up_the_loop(event_loop: Loop) -> None:
    gate = Gate()
    context, _ = scripted_context(gate)
    with context:
        graph = double(context)
        promise = context.run(graph, {"x": filled(1)})
        await event_loop.until(gate.reached.is_set)
        for _ in range(5):
            await event_loop.pause()
        assert promise._status is PENDING
        gate.open()
        assert await graph is graph
        assert number_in((await promise)["y"]) == 2


async def test_work_queues_behind_the_compilation(loop: Loop) -> None:
    gate = Gate()
    context, _ = scripted_context(gate)
    with context:
        graph = double(context)
        x = context.create_tensor([4], "float32", readable=True, writable=True)
        y = context.create_tensor([4], "float32", writable=True)
        context.write_tensor(x, filled(1))
        context.dispatch(graph, {"x": x}, {"y": y})
        context.dispatch(graph, {"x": y}, {"y": x})
        context.write_tensor(y, filled(0))
        read = context.read_tensor(x)
        assert not read.done()
        gate.open()
        assert number_in(await loop.result(read)) == 4


async def test_many_may_wait_for_one_compilation(event_loop: Loop) -> None:
    gate = Gate()
    context, _ = scripted_context(gate)
    with context:
        graph = double(context)

        async def wait() -> webnn.MLGraph:
            return await graph

        waiters = [event_loop.start(wait) for _ in range(3)]
        await event_loop.until(gate.reached.is_set)
        waiters[0].cancel()
        await event_loop.until(lambda: waiters[0].done)
        gate.open()
        assert [await event_loop.join(waiter) for waiter in waiters[1:]] == [graph, graph]


class OddError(Exception):
    """An error that no backend should raise."""


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OperationError("[stem] conv2d: no kernel"), r"^\[stem\] conv2d: no kernel$"),
        (OddError("odd"), r"^the scripted-\d+ backend could not compile x -> y: OddError: odd$"),
        (MemoryError("too large"), r"could not compile x -> y: MemoryError: too large"),
        (CancelledError(), r"could not compile x -> y: CancelledError"),
        (SystemExit(3), r"could not compile x -> y: SystemExit: 3"),
        (KeyboardInterrupt(), r"could not compile x -> y: KeyboardInterrupt"),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_a_failed_compilation_is_raised_wherever_it_matters(
    loop: Loop, error: BaseException, message: str
) -> None:
    def fail(_: Cancellation) -> None:
        raise error

    context, backend = scripted_context(fail)
    with context:
        graph = double(context)
        y, z = (context.create_tensor([4], "float32", readable=True) for _ in range(2))
        handle = context.dispatch(graph, {"x": context.create_tensor([4], "float32")}, {"y": y})
        promises: list[webnn.Promise[Any]] = [
            handle.finished(),
            context.read_tensor(y),
            context.run(graph, {"x": filled(1)}),
            graph._compiled,
        ]
        for promise in promises:
            with pytest.raises(OperationError, match=message) as caught:
                await loop.result(promise)
            assert error in causes(caught.value)
        with pytest.raises(OperationError, match=message):
            context.compute(graph, {"x": filled(1)})
        backend.on_compile = lambda _: None
        again = double(context, times=5)  # the context goes on
        assert number_in((await loop.result(context.run(again, {"x": filled(1)})))["y"]) == 5
        del z


class TestDestroying:
    async def test_a_compilation_that_is_under_way_is_cancelled(self, loop: Loop) -> None:
        gate, seen = Gate(), list[Cancellation]()

        def hold_up(cancellation: Cancellation) -> None:
            seen.append(cancellation)
            gate()

        context, _ = scripted_context(hold_up)
        with context:
            graph = double(context)
            run = context.run(graph, {"x": filled(1)})
            await loop.until(gate.reached.is_set)
            assert not seen[0].cancelled
            graph.destroy()
            assert seen[0].cancelled
            for promise in (run, graph._compiled):
                with pytest.raises(InvalidStateError, match="the graph was destroyed before it was compiled"):
                    await loop.result(promise)
            gate.open()

    def test_a_compilation_that_has_not_begun_never_does(self) -> None:
        gate = Gate()
        context, backend = scripted_context(gate)
        with context:
            first, second = double(context), double(context, times=3)
            assert gate.reached.wait(5)
            second.destroy()
            gate.open()
            assert number_in(context.compute(first, {"x": filled(1)})["y"]) == 2
        assert backend.compiled == 1

    def test_runs_that_were_queued_before_go_on(self) -> None:
        gate = Gate()
        context, _ = scripted_context(on_run=gate)
        with context:
            graph = double(context)
            promises = [context.run(graph, {"x": filled(i)}) for i in range(3)]
            assert gate.reached.wait(5)
            graph.destroy()
            graph.destroy()
            gate.open()
            assert [number_in(promise.result()["y"]) for promise in promises] == [0, 2, 4]

    def test_afterwards_it_cannot_be_used(self) -> None:
        with webnn.ML().create_context(backend="arrays") as context:
            graph = double(context)
            x, y = (context.create_tensor([4], "float32") for _ in range(2))
            graph.destroy()
            calls: dict[str, Any] = {
                "dispatch": lambda: context.dispatch(graph, {"x": x}, {"y": y}),
                "run": lambda: context.run(graph, {"x": filled(1)}),
                "compute": lambda: context.compute(graph, {"x": filled(1)}),
                "stream": lambda: context.stream(graph, []),
            }
            for name, call in calls.items():
                with pytest.raises(InvalidStateError, match=rf"{name}: <MLGraph .* \(destroyed\)> was destroyed"):
                    call()

    @pytest.mark.parametrize("what", ["graph", "context"])
    async def test_awaiting_it_afterwards_says_so(self, event_loop: Loop, what: str) -> None:
        with webnn.ML().create_context(backend="arrays") as context:
            graph = await double(context)
            victims: dict[str, Any] = {"graph": graph, "context": context}
            victims[what].destroy()
            with pytest.raises(InvalidStateError, match=f"was {'destroyed' if what == 'graph' else 'lost'}"):
                await graph

    def test_a_backend_stops_compiling_when_it_is_told_to(self, backend: Backend) -> None:
        builder = direct_builder()
        graph = builder.build({"y": builder.relu(builder.input("x", [4], "float32"))})
        cancellation = Cancellation()
        cancellation.cancel()
        with pytest.raises(CancelledError):
            backend.compile(graph, CompileOptions(), cancellation)


class TestTheCache:
    def test_two_equal_graphs_compile_once(self) -> None:
        context, backend = scripted_context()
        with context:
            graphs = [double(context), double(context), double(context, times=3)]
            results = [number_in(context.compute(graph, {"x": filled(1)})["y"]) for graph in graphs]
        assert results == [2, 2, 3]
        assert backend.compiled == 2

    def test_a_graph_that_is_destroyed_while_it_compiles_is_not_kept_as_used(self) -> None:
        context, backend = scripted_context()
        with context:
            graphs: list[webnn.MLGraph] = []
            backend.on_compile = lambda _: graphs[-1].destroy()
            for times in range(10):
                graphs.append(double(context, times=times))
                graphs[-1]._compiled.exception()
        context._device.build_lane.close(wait=True)
        assert not any(users_of(backend))

    def test_building_and_destroying_at_once_releases_every_entry(self) -> None:
        context, backend = scripted_context()
        with context:
            for times in range(60):
                graph = double(context, times=times)
                if times % 3:
                    graph._compiled.exception(timeout=5 if times % 3 == 1 else None)
                graph.destroy()
        context._device.build_lane.close(wait=True)  # which gives entries back
        assert not any(users_of(backend))

    @pytest.mark.parametrize("ending", ["destroyed", "forgotten", "context destroyed"])
    def test_a_graph_that_has_ended_no_longer_uses_its_entry(self, ending: str) -> None:
        context, backend = scripted_context()
        with context:
            graph = double(context)
            context.compute(graph, {"x": filled(1)})
            assert users_of(backend) == [1]
            if ending == "destroyed":
                graph.destroy()
            elif ending == "context destroyed":
                context.destroy()
            reference = weakref.ref(graph)
            del graph
            gc.collect()
            assert reference() is None
        context._device.build_lane.close(wait=True)  # which gives entries back
        assert users_of(backend) == [0]


def users_of(backend: ScriptedBackend) -> list[int]:
    """How many graphs use each of the cache's entries for a backend."""
    return [e.users for key, entries in session_cache._entries.items() for e in entries if key[0] == backend.name]
