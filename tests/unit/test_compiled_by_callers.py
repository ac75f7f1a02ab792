"""A thread that blocks for a small graph compiles it, unless the build lane has begun or something else waits."""

from __future__ import annotations

import gc
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import webnn
import webnn.backends.session_cache as session_cache_module
from tests import interrupts
from webnn.backends.base import Executable
from webnn.backends.lowering import Lowerings
from webnn.backends.onnxruntime.backend import OnnxRuntimeBackend
from webnn.backends.session_cache import SessionCache, session_cache
from webnn.errors import InvalidStateError, OperationError
from webnn.runtime import compilation, device

COMPILE = OnnxRuntimeBackend.compile


class Stop(BaseException):
    """As Ctrl-C raises it."""


@pytest.fixture
def context(monkeypatch: pytest.MonkeyPatch) -> Iterator[webnn.MLContext]:
    monkeypatch.setattr(compilation, "GRACE", 60.0)  # however slow the machine is
    session_cache.clear()
    with webnn.ML().create_context(backend="onnxruntime") as context:
        yield context


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> list[threading.Thread]:
    """The threads that have compiled, in order."""
    seen: list[threading.Thread] = []
    during(monkeypatch, lambda: seen.append(threading.current_thread()))
    return seen


def during(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Call `act()` in each compilation."""

    def compile(self: OnnxRuntimeBackend, *args: Any) -> Executable:
        act()
        return COMPILE(self, *args)

    monkeypatch.setattr(OnnxRuntimeBackend, "compile", compile)


def once(error: BaseException) -> Callable[[], None]:
    errors = [error]

    def act() -> None:
        if errors:
            raise errors.pop()

    return act


def built(context: webnn.MLContext, number: float = 1.0) -> webnn.MLGraph:
    builder = context.create_graph_builder()
    x = builder.input("x", [3], "float32")
    return builder.build({"y": builder.add(x, builder.constant("float32", number))})


def test_a_call_that_blocks_compiles_on_its_own_thread(
    context: webnn.MLContext, threads: list[threading.Thread]
) -> None:
    graph = built(context)
    assert context.compute(graph, [1, 2, 3])["y"].tolist() == [2, 3, 4]
    assert context.compute(graph, [2, 3, 4])["y"].tolist() == [3, 4, 5]
    assert threads == [threading.current_thread()]


@pytest.mark.anyio
async def test_a_run_that_does_not_block_has_the_build_lane_compile_at_once(
    context: webnn.MLContext, threads: list[threading.Thread]
) -> None:
    graph = built(context)
    assert (await context.run(graph, [1, 2, 3]))["y"].tolist() == [2, 3, 4]
    await built(context, 2.0)
    assert [thread.name for thread in threads] == ["webnn-build", "webnn-build"]


def test_a_graph_that_nobody_waits_for_is_compiled_after_a_moment(
    context: webnn.MLContext, threads: list[threading.Thread], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compilation, "GRACE", 0.0)
    graph = built(context)
    graph._compiled.result(60)
    assert [thread.name for thread in threads] == ["webnn-build"]
    assert context.compute(graph, [1, 2, 3])["y"].tolist() == [2, 3, 4]


def test_graphs_that_nobody_waits_for_are_left_to_callers_at_the_same_time(
    context: webnn.MLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compilation, "GRACE", 0.5)
    began = time.monotonic()
    graphs = [built(context, number) for number in range(8)]
    graphs[-1]._compiled.result(60)
    assert time.monotonic() - began < 0.5 * len(graphs) / 2


@pytest.mark.anyio
async def test_a_graph_that_was_destroyed_holds_up_no_other(context: webnn.MLContext) -> None:
    built(context).destroy()
    await built(context, 2.0)


def test_threads_that_the_program_has_prepared_compile(
    context: webnn.MLContext, threads: list[threading.Thread]
) -> None:
    context._device.on_each_thread(lambda: None)
    assert context.compute(built(context), [1, 2, 3])["y"].tolist() == [2, 3, 4]
    assert [thread.name for thread in threads] == ["webnn-build"]


@pytest.mark.parametrize("error", [Stop(), TimeoutError("from a signal handler")], ids=["ctrl-c", "alarm"])
def test_what_a_signal_handler_raises_meanwhile_comes_out_and_the_graph_is_compiled_all_the_same(
    context: webnn.MLContext, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    during(monkeypatch, once(error))
    graph = built(context)
    with pytest.raises(type(error)) as raised:
        context.compute(graph, [1, 2, 3])
    assert raised.value is error
    assert context.compute(graph, [1, 2, 3])["y"].tolist() == [2, 3, 4]


def test_what_a_signal_handler_raises_inside_of_the_backend_comes_out_as_it_was_raised(
    context: webnn.MLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    alarm = TimeoutError("from a signal handler")
    explained = OperationError("onnxruntime: from a signal handler")
    explained.__cause__ = alarm
    during(monkeypatch, once(explained))
    with pytest.raises(TimeoutError) as raised:
        context.compute(built(context), [1, 2, 3])
    assert raised.value is alarm


@pytest.mark.timeout(300)
@pytest.mark.parametrize("found", [False, True], ids=["made", "found"])
def test_an_interrupt_at_any_line_leaves_no_use_of_what_was_compiled(
    context: webnn.MLContext, monkeypatch: pytest.MonkeyPatch, found: bool
) -> None:
    monkeypatch.setattr(interrupts, "FOLDERS", (session_cache_module.__file__, compilation.__file__))
    cache = SessionCache()
    for module in (device, compilation):
        monkeypatch.setattr(module, "session_cache", cache)
    kept = built(context)
    context.compute(kept, [1, 2, 3])
    numbers = itertools.repeat(1.0) if found else itertools.count(2.0)

    def program() -> None:
        assert context.compute(graphs[0], [0, 1, 2])["y"].tolist() == [number, number + 1, number + 2]

    number = next(numbers)
    graphs = [built(context, number)]
    for place in list(interrupts.places(program, first=2)):
        number = next(numbers)
        graphs[:] = [built(context, number)]
        interrupts.interrupted(program, place)
        program()
    graphs.clear()
    gc.collect()
    context._device.build_lane.close(wait=True)  # which gives back what was compiled
    statistics = cache.statistics  # which ends what nothing refers to
    users = [entry.users for entries in cache._entries.values() for entry in entries]
    assert sorted(users) == [0] * (statistics.entries - 1) + [1]
    assert len(cache._idle) == statistics.entries - 1


def test_a_graph_that_cannot_be_compiled_has_the_error_of_the_backend(
    context: webnn.MLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise OperationError("onnxruntime: refused")

    during(monkeypatch, refuse)
    graph = built(context)
    for _ in range(2):
        with pytest.raises(OperationError, match="onnxruntime: refused"):
            context.compute(graph, [1, 2, 3])


def test_a_graph_that_is_destroyed_meanwhile_is_reported_as_destroyed(
    context: webnn.MLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = built(context)
    during(monkeypatch, graph.destroy)
    with pytest.raises(InvalidStateError, match="destroyed"):
        context.compute(graph, [1, 2, 3])


def test_only_a_thread_of_the_program_makes_a_compilation_let_others_run(
    context: webnn.MLContext, threads: list[threading.Thread]
) -> None:
    graph = built(context)
    others = [each for each in threading.enumerate() if not each.name.startswith("webnn-")]
    context.compute(graph, [1, 2, 3])
    assert graph._cancellation.yields == (len(others) > 1)
    end = threading.Event()
    other = threading.Thread(target=end.wait)
    other.start()
    try:
        graph = built(context, 2.0)
        context.compute(graph, np.ones(3, np.float32))
        assert graph._cancellation.yields
    finally:
        end.set()
        other.join()


def test_modules_whose_import_was_cut_off_register_their_functions_again() -> None:
    lowerings = Lowerings[Callable[[], None]]("a")

    def define() -> Callable[[], None]:
        def lower() -> None: ...

        return lowerings.lowers("relu")(lower)

    def other() -> None: ...

    assert define() is not define()
    with pytest.raises(AssertionError, match="relu is lowered twice"):
        lowerings.lowers("relu")(other)
