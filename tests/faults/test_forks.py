"""Processes that fork while contexts live: the parent goes on, the child gets an error at once or makes its own."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import multiprocessing
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
import trio

import webnn
from tests.forks import PATIENCE, Child, in_child, split
from tests.loops import Loop
from tests.scripted import Gate, double, filled, scripted_context
from webnn.backends.session_cache import session_cache
from webnn.errors import ContextLostError
from webnn.runtime.record import MEASURED
from webnn.scheduler.promise import resolve

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning"),
]

FEEDS: Final = {"x": filled(3)}


def of_the_parent() -> str:
    """The error for what belongs to this process, as a pattern."""
    return rf"belongs to the process that made it \(pid {os.getpid()}\).*Make a context in each process after the fork"


def refuses(function: Callable[[], object], match: str) -> None:
    """In a child `function` raises the error that says whose the context is."""
    with pytest.raises(ContextLostError, match=match):
        in_child(function)


def works(context: webnn.MLContext, number: float = 3) -> float:
    """Builds the graph `y = 2 * x` in `context` and runs it on another thread."""
    outputs = context.run(double(context, (4096,)), {"x": filled(number, (4096,))}).result(timeout=PATIENCE)
    return float(outputs["y"][-1])


def own(backend: str = "arrays") -> float:
    """What a context that is made now computes."""
    with webnn.ML().create_context(backend=backend) as context:
        return works(context)


class Before:
    """A context with everything that hangs on it, all of which has been used."""

    def __init__(self, backend: str, folder: Path) -> None:
        self.context = webnn.ML().create_context(backend=backend, cache_dir=folder)
        self.graph = double(self.context)
        self.x = self.context.create_tensor([4], "float32", readable=True, writable=True)
        self.y = self.context.create_tensor([4], "float32", readable=True)
        self.constant = self.context.create_constant_tensor(filled(1))
        self.builder = self.context.create_graph_builder()
        self.context.run(self.graph, FEEDS).result()
        self.context.write_tensor(self.x, filled(3))
        self.context.dispatch(self.graph, {"x": self.x}, {"y": self.y})
        self.context.read_tensor(self.y).result()
        self.context.save_graph("double", self.graph).result()
        with self.context.record() as self.program:
            for _ in range(2):
                self.context.dispatch(self.graph, {"x": self.x}, {"y": self.y})
                self.context.dispatch(self.graph, {"x": self.y}, {"y": self.x})
        self.context.replay(self.program).finished().result()

    async def awaited(self, awaitable: Any) -> object:
        return await awaitable

    async def streamed(self) -> object:
        return [outputs async for outputs in self.context.stream(self.graph, [FEEDS])]


@pytest.fixture(params=["arrays", "onnxruntime"])
def before(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Before]:
    made = Before(request.param, tmp_path)
    yield made
    made.context.destroy()


CALLS: Final[dict[str, Callable[[Before], object]]] = {
    "compute": lambda b: b.context.compute(b.graph, FEEDS),
    "run": lambda b: b.context.run(b.graph, FEEDS).result(),
    "await run": lambda b: asyncio.run(b.awaited(b.context.run(b.graph, FEEDS))),
    "stream": lambda b: list(b.context.stream(b.graph, [FEEDS])),
    "async stream": lambda b: asyncio.run(b.streamed()),
    "write": lambda b: b.context.write_tensor(b.x, filled(1)),
    "dispatch": lambda b: b.context.dispatch(b.graph, {"x": b.x}, {"y": b.y}),
    "record": lambda b: b.context.record(),
    "replay": lambda b: b.context.replay(b.program),
    "read": lambda b: b.context.read_tensor(b.y),
    "create_tensor": lambda b: b.context.create_tensor([4], "float32"),
    "create_constant_tensor": lambda b: b.context.create_constant_tensor(filled(1)),
    "create_graph_builder": lambda b: b.context.create_graph_builder(),
    "an operator": lambda b: b.builder.relu(b.builder.input("x", [4], "float32")),
    "a constant": lambda b: b.builder.constant(b.constant),
    "save_graph": lambda b: b.context.save_graph("other", b.graph),
    "load_graph": lambda b: b.context.load_graph("double"),
    "list_graphs": lambda b: b.context.list_graphs(),
    "delete_graph": lambda b: b.context.delete_graph("double"),
    "graph.save": lambda b: b.graph.save("never.onnx"),
    "await context": lambda b: asyncio.run(b.awaited(b.context)),
    "await graph": lambda b: asyncio.run(b.awaited(b.graph)),
    "await tensor": lambda b: asyncio.run(b.awaited(b.x)),
    "from a thread": lambda b: in_thread(lambda: b.context.run(b.graph, FEEDS)),
}


def in_thread(function: Callable[[], Any]) -> Any:
    """What `function` returns, or raises, on a thread of its own."""
    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        return executor.submit(function).result(timeout=PATIENCE)


@pytest.mark.parametrize("name", CALLS)
def test_every_call_on_a_context_from_before_raises_at_once(before: Before, name: str) -> None:
    refuses(lambda: CALLS[name](before), of_the_parent())
    assert works(before.context) == 6


def test_the_end_can_be_called_and_is_known_in_the_child(before: Before) -> None:
    def end() -> str:
        for each in (before.graph, before.x, before.context):
            each.destroy()
        with before.context:
            pass
        return before.context.lost.result(timeout=0).message

    assert f"pid {os.getpid()}" in in_child(end)
    assert works(before.context) == 6
    assert not before.context.lost.done()


def test_what_says_how_a_context_is_made_still_answers(before: Before) -> None:
    def facts() -> object:
        context = before.context
        return context.backend, context.memory_info().in_use > 0, context.statistics().queued, repr(context)

    name = before.context.backend
    assert in_child(facts) == (name, True, 0, f"<MLContext on {name} (lost)>")


def test_arrays_that_were_read_before_stay_valid(before: Before) -> None:
    array = before.context.run(double(before.context, (4096,)), {"x": filled(3, (4096,))}).result()["y"]
    assert in_child(array.sum) == 4096 * 6


# A context of the child.


@pytest.mark.parametrize("backend", ["arrays", "onnxruntime"])
def test_a_context_that_is_made_in_the_child_works(before: Before, backend: str) -> None:
    assert in_child(lambda: own(backend)) == 6
    assert own(backend) == 6


def test_the_child_compiles_anew_what_the_parent_has_compiled(before: Before) -> None:
    def compiled() -> tuple[int, int]:
        with webnn.ML().create_context(backend=before.context.backend) as context:
            for _ in range(2):  # and finds again what it has compiled itself
                context.run(double(context), FEEDS).result(timeout=PATIENCE)
        return session_cache.statistics.misses, session_cache.statistics.hits

    hits = session_cache.statistics.hits
    assert in_child(compiled) == (1, 1)
    assert session_cache.statistics.hits == hits


def test_the_child_never_destroys_a_session_with_threads_of_the_parent() -> None:
    context = webnn.ML().create_context(backend="onnxruntime", threads=2)
    graphs = [double(context, times=2)]
    large = context.create_graph_builder()  # too large for the session cache
    weight = large.constant(np.ones((4096, 4200), np.float32))
    graphs.append(large.build({"y": large.matmul(large.input("x", [1, 4096], "float32"), weight)}))
    context.compute(graphs[0], FEEDS)
    context.compute(graphs[1], {"x": filled(1, (1, 4096))})

    def let_go() -> float:
        nonlocal context, large, weight
        graphs.clear()
        del context, large, weight
        gc.collect()
        session_cache.clear()
        return own("onnxruntime")

    side = split()
    if isinstance(side, Child):
        side.leave_with(let_go)
    assert side.outcome() == 6
    context.destroy()


def test_each_of_nested_forks_has_contexts_of_its_own(before: Before) -> None:
    def child() -> tuple[float, str, str, int]:
        mine = webnn.ML().create_context(backend=before.context.backend)
        first = works(mine)

        def grandchild() -> tuple[str, str]:
            assert own() == 6
            messages = []
            for context in (before.context, mine):
                with pytest.raises(ContextLostError) as caught:
                    works(context)
                messages.append(str(caught.value))
            return messages[0], messages[1]

        of_parent, of_child = in_child(grandchild)
        assert works(mine) == first
        return first, of_parent, of_child, os.getpid()

    number, of_parent, of_child, pid = in_child(child)
    assert number == 6
    assert f"(pid {os.getpid()})" in of_parent
    assert f"(pid {pid})" in of_child


# What was pending.


class Pending:
    """A context whose lane is in the middle of a run, with everything waiting for it that can wait."""

    def __init__(self) -> None:
        self.gate = Gate()
        self.context, _ = scripted_context(on_run=self.gate)
        context, graph = self.context, double(self.context)
        self.x = context.create_tensor([4], "float32", writable=True)
        self.y = context.create_tensor([4], "float32", readable=True)
        context.write_tensor(self.x, filled(3))
        self.running = context.run(graph, FEEDS)
        self.gate_reached()
        self.queued = context.run(graph, FEEDS)
        self.dispatched = context.dispatch(graph, {"x": self.x}, {"y": self.y})
        self.called: list[str] = []
        self.promises = {
            "running": self.running,
            "queued": self.queued,
            "read": context.read_tensor(self.y),
            "read into": context.read_tensor(self.y, np.zeros(4, np.float32)),
            "finished": self.dispatched.finished(),
            "derived": self.running.then(self.call),
            "derived twice": self.queued.then(self.call).then(self.call),
        }
        self.running.add_done_callback(self.call)
        self.queued.add_done_callback(self.call)

    def gate_reached(self) -> None:
        assert self.running is not None
        assert self.gate.reached.wait(PATIENCE)

    def call(self, result: object) -> object:
        self.called.append("called")
        return result


@pytest.fixture
def pending() -> Iterator[Pending]:
    made = Pending()
    yield made
    made.gate.open()
    for promise in made.promises.values():
        promise.result(timeout=PATIENCE)
    made.context.destroy()


NAMES: Final = ("running", "queued", "read", "read into", "finished", "derived", "derived twice")


@pytest.mark.parametrize("name", NAMES)
def test_a_promise_that_is_pending_at_the_fork_fails_in_the_child(pending: Pending, name: str) -> None:
    promise = pending.promises[name]

    async def awaited() -> object:
        return await promise

    def states() -> tuple[bool, str, bool]:
        concurrent.futures.wait([promise], timeout=PATIENCE)
        return promise.done(), str(promise.exception(timeout=0)), promise.cancel()

    refuses(promise.result, of_the_parent())
    refuses(lambda: asyncio.run(awaited()), of_the_parent())
    refuses(lambda: trio.run(awaited), of_the_parent())
    done, message, cancelled = in_child(states)
    assert (done, cancelled) == (True, False)
    assert f"(pid {os.getpid()})" in message
    assert not promise.done()


def test_the_end_of_what_was_queued_or_running_cannot_be_asked_for() -> None:
    gate = Gate()
    context, _ = scripted_context(on_run=gate)
    with context:
        graph = double(context)
        x, y, z = (context.create_tensor([4], "float32", readable=True, writable=True) for _ in range(3))
        running = context.dispatch(graph, {"x": x}, {"y": y})
        assert gate.reached.wait(PATIENCE)
        queued = context.dispatch(graph, {"x": y}, {"y": z})
        for dispatch in (running, queued):
            refuses(lambda dispatch=dispatch: dispatch.finished().result(timeout=PATIENCE), of_the_parent())  # type: ignore[misc]
        gate.open()
        queued.finished().result(timeout=PATIENCE)


def test_the_child_calls_no_callback_of_the_parent(pending: Pending) -> None:
    def called() -> list[str]:
        pending.gate.open()
        pending.x.destroy()
        pending.context.destroy()
        for promise in pending.promises.values():
            promise.cancel()
        gc.collect()
        return pending.called

    assert in_child(called) == []
    pending.gate.open()
    for promise in pending.promises.values():
        promise.result(timeout=PATIENCE)
    assert len(pending.called) == 5


def test_a_graph_that_is_being_compiled_fails_in_the_child() -> None:
    gate = Gate()
    context, _ = scripted_context(on_compile=gate)
    with context:
        graph, later = double(context), double(context, times=3)
        waiting = context.run(graph, FEEDS)
        assert gate.reached.wait(PATIENCE)

        async def awaited(graph: webnn.MLGraph) -> object:
            return await graph

        for each in (graph, later):
            refuses(lambda each=each: asyncio.run(awaited(each)), of_the_parent())  # type: ignore[misc]
        refuses(waiting.result, of_the_parent())
        assert in_child(own) == 6
        gate.open()
        assert waiting.result(timeout=PATIENCE)["y"][0] == 6


def test_a_program_whose_dispatches_are_being_merged_is_refused_in_the_child_and_goes_on_in_the_parent() -> None:
    gate = Gate()
    compilations: Iterator[Callable[[], None]] = iter([lambda: None, gate])
    context, _ = scripted_context(on_compile=lambda _: next(compilations)())
    with context:
        graph = double(context)
        x, y = (context.create_tensor([4], "float32", readable=True, writable=True) for _ in range(2))
        with context.record() as program:
            context.dispatch(graph, {"x": x}, {"y": y})
            context.dispatch(graph, {"x": y}, {"y": x})
        for _ in range(MEASURED + 1):
            context.replay(program).finished().result(timeout=PATIENCE)
        assert gate.reached.wait(PATIENCE)
        refuses(lambda: context.replay(program), of_the_parent())
        gate.open()
        context.write_tensor(x, filled(1))
        context.replay(program)
        assert float(context.read_tensor(x).result(timeout=PATIENCE)[0]) == 4


def test_a_file_that_is_being_written_is_written_by_the_parent_alone(before: Before, tmp_path: Path) -> None:
    gate = Gate()
    blocked = before.context._storage.submit(gate)
    assert gate.reached.wait(PATIENCE)
    saved = before.context.save_graph("later", before.graph)
    refuses(saved.result, of_the_parent())
    gate.open()
    blocked.result(timeout=PATIENCE)
    saved.result(timeout=PATIENCE)
    assert before.context.list_graphs().result(timeout=PATIENCE) == ["double", "later"]


# Where the fork comes from.


def test_a_fork_of_another_thread(before: Before, pending: Pending) -> None:
    def there() -> None:
        refuses(pending.queued.result, of_the_parent())
        assert in_child(own) == 6

    in_thread(there)


def test_a_callback_on_a_lane_may_fork_and_come_back() -> None:
    gate = Gate()
    context, _ = scripted_context(on_run=gate)
    answers: list[object] = []
    with context:
        graph = double(context)
        first = context.run(graph, FEEDS)
        second = context.run(graph, FEEDS)
        assert gate.reached.wait(PATIENCE)

        def fork(_: object) -> None:
            pid = os.fork()
            if pid:
                answers.append(os.waitpid(pid, 0)[1])

        first.add_done_callback(fork)
        after = first.then(lambda outputs: outputs["y"][0])
        gate.open()
        assert after.result(timeout=PATIENCE) == 6
        assert second.result(timeout=PATIENCE)["y"][0] == 6
        assert answers == [0]  # the lane's thread was the child's only one, and has ended


def test_a_callback_where_the_result_is_waited_for_may_fork_and_come_back() -> None:
    with webnn.ML().create_context(backend="arrays") as context:
        graph = double(context)
        context.compute(graph, FEEDS)
        sides: list[Child] = []
        promise = context.run(graph, FEEDS)

        def fork(_: object) -> None:
            side = split()
            if isinstance(side, Child):
                sides.append(side)
            else:
                with pytest.raises(ContextLostError, match=of_the_parent()):
                    side.outcome()

        promise.add_done_callback(fork)
        promise.add_done_callback(lambda _: None)
        value = promise.result()
        if sides:
            sides[0].leave_with(lambda: context.run(graph, FEEDS))
        assert value["y"][0] == 6


async def test_a_task_of_an_event_loop_may_fork(event_loop: Loop, pending: Pending) -> None:
    side = split()
    if isinstance(side, Child):  # the loop of the parent goes on here, as a copy
        try:
            await pending.queued
        except BaseException as error:
            side.leave(str(error))
        side.leave("no error")
    assert f"(pid {os.getpid()})" in side.outcome()
    pending.gate.open()
    assert (await pending.queued)["y"][0] == 6


async def test_a_stream_that_goes_on_at_the_fork_ends_in_the_child(event_loop: Loop) -> None:
    with webnn.ML().create_context(backend="arrays") as context:
        graph, more = double(context), webnn.Promise[None]()

        async def items() -> AsyncIterator[object]:
            yield FEEDS
            await more
            yield FEEDS

        results = aiter(context.stream(graph, items()))
        assert (await anext(results))["y"][0] == 6
        side = split()
        if isinstance(side, Child):
            try:
                await anext(results)
            except BaseException as error:
                side.leave(str(error))
            side.leave("no error")
        assert f"the stream has ended: it belongs to the process that made it (pid {os.getpid()})" in side.outcome()
        resolve(more, None)
        assert [outputs["y"][0] async for outputs in results] == [6]


def test_the_parents_event_loop_is_not_woken_by_the_child() -> None:
    async def main() -> tuple[int, int]:
        loop = asyncio.get_running_loop()
        gate = Gate()
        context, _ = scripted_context(on_run=gate)
        promise = context.run(double(context), FEEDS)
        waiting = asyncio.ensure_future(asyncio.wait_for(asyncio.shield(asyncio.wrap_future(promise)), PATIENCE))
        waiter = asyncio.create_task(_wait_for(promise))
        await asyncio.sleep(0)

        def leave_everything() -> int:
            written: list[int] = []
            loop.call_soon_threadsafe = lambda *_, **__: written.append(1)  # type: ignore[assignment,method-assign]
            gate.open()
            promise.cancel()
            context.destroy()
            gc.collect()
            return len(written)

        written = in_child(leave_everything)
        gate.open()
        await waiting
        await waiter
        context.destroy()
        return written, promise.result()["y"][0]

    assert asyncio.run(main()) == (0, 6)


async def _wait_for(promise: webnn.Promise[Any]) -> object:
    return await promise


# Exit.

EXITING: Final = """
import os, sys, threading
import numpy as np
import webnn

def graph_of(context):
    builder = context.create_graph_builder()
    x = builder.input("x", [512, 512], "float32")
    return builder.build({{"y": builder.matmul(x, x)}})

context = webnn.ML().create_context(backend={backend!r})
graph = graph_of(context)
feeds = {{"x": np.ones((512, 512), np.float32)}}
context.run(graph, feeds).result()
queued = [context.run(graph, feeds) for _ in range(20)]
pid = os.fork()
if pid == 0:
    {child}
else:
    _, status = os.waitpid(pid, 0)
    assert all(promise.result()["y"][0, 0] == 512 for promise in queued)
    print("child", os.waitstatus_to_exitcode(status))
"""
MINE: Final = "mine = webnn.ML().create_context(); mine.run(graph_of(mine), feeds).result(); sys.exit(5)"


@pytest.mark.parametrize("backend", ["arrays", "onnxruntime"])
@pytest.mark.parametrize(
    ("child", "code"),
    [("sys.exit(3)", 3), ("raise RuntimeError", 1), ("pass", 0), (MINE, 5), ("context.destroy(); sys.exit(4)", 4)],
    ids=["sys.exit", "an error", "the end", "a context of its own", "destroy"],
)
def test_a_child_that_exits_as_any_program_does_ends(backend: str, child: str, code: int) -> None:
    script = EXITING.format(backend=backend, child=child)
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=40, check=False)
    assert (ended.returncode, ended.stdout) == (0, f"child {code}\n"), ended.stderr


# The ways of multiprocessing.

_inherited: dict[str, Any] = {}


def compute_anew(number: float) -> float:
    """For pools: computes with a context of the process it runs in."""
    if "own" not in _inherited:
        _inherited["own"] = webnn.ML().create_context(backend="onnxruntime")
    return works(_inherited["own"], number)


def compute_inherited(number: float) -> float:
    """For pools: computes with a context from before the fork, if there was one."""
    return works(_inherited["context"], number)


METHODS: Final = ["fork", "spawn", "forkserver"]


@pytest.mark.parametrize("method", METHODS)
def test_pools_of_processes_compute_with_contexts_of_their_own(method: Any, before: Before) -> None:
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.map_async(compute_anew, [1, 2, 3]).get(timeout=2 * PATIENCE) == [2, 4, 6]


@pytest.mark.parametrize("method", METHODS)
def test_executors_of_processes_compute_with_contexts_of_their_own(method: Any, before: Before) -> None:
    with ProcessPoolExecutor(2, multiprocessing.get_context(method)) as executor:
        assert list(executor.map(compute_anew, [1, 2, 3], timeout=2 * PATIENCE)) == [2, 4, 6]


def test_the_error_of_an_inherited_context_comes_back_from_a_pool(
    before: Before, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(_inherited, "context", before.context)
    with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as executor:
        future = executor.submit(compute_inherited, 1)
        with pytest.raises(ContextLostError, match=of_the_parent()):
            future.result(timeout=PATIENCE)


# Everything at once.


@pytest.mark.parametrize("backend", ["arrays", "onnxruntime"])
def test_forks_while_threads_do_everything(backend: str) -> None:
    context = webnn.ML().create_context(backend=backend, lanes=2, memory_budget=1 << 24)
    stop, errors = threading.Event(), list[BaseException]()

    def build_and_run() -> None:
        for times in range(10_000):
            if stop.is_set():
                return
            try:
                graph = double(context, times=times)
                assert context.run(graph, FEEDS).result(timeout=PATIENCE)["y"][0] == 3 * times
                graph.destroy()
                webnn.ML().create_context(backend="arrays").destroy()
            except BaseException as error:
                errors.append(error)
                return

    def write_and_read() -> None:
        graph = double(context)
        x, y = (context.create_tensor([4], "float32", readable=True, writable=True) for _ in range(2))
        while not stop.is_set():
            context.write_tensor(x, filled(3))
            context.dispatch(graph, {"x": x}, {"y": y})
            context.read_tensor(y).result(timeout=PATIENCE)

    def child() -> float:
        with pytest.raises(ContextLostError):
            works(context)
        context.destroy()
        return own(backend)

    threads = [threading.Thread(target=target) for target in (build_and_run, build_and_run, write_and_read)]
    for thread in threads:
        thread.start()
    try:
        assert [in_child(child) for _ in range(20)] == [6.0] * 20
    finally:
        stop.set()
        for thread in threads:
            thread.join(PATIENCE)
        context.destroy()
    assert errors == []
