"""Backends that fail in every way: the error is raised where the result is read, and the context goes on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import Any

import numpy as np
import pytest

import webnn
from tests.leaks import ErrorLog
from tests.loops import Loop, causes
from tests.scripted import Gate, ScriptedBackend, double, filled, scripted_context
from tests.stepped import number_in
from webnn.backends.base import CompileOptions
from webnn.errors import ContextLostError, OperationError, UnknownError
from webnn.memory.allocator import Allocator, HostAllocator
from webnn.memory.buffer import Buffer, View
from webnn.runtime.context import MLContext

LARGE = (2048,)


class OddError(Exception):
    """An error that no backend should raise."""


class UnprintableError(Exception):
    """An error that fails when it is printed."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


ERRORS = [
    OperationError("[stem] conv2d: it broke"),
    OddError("odd"),
    OddError(),
    UnprintableError(),
    MemoryError("too large"),
    StopIteration(3),
    CancelledError(),
    asyncio.CancelledError(),
    SystemExit(1),
    GeneratorExit(),
    RecursionError("too deep"),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
]
NAMES = [type(error).__name__ + (" with text" if error.args else "") for error in ERRORS]


class Failing:
    """What a backend does when it runs: it fails as long as `error` is set."""

    def __init__(self) -> None:
        self.error: BaseException | None = None

    def __call__(self) -> None:
        if self.error is not None:
            raise self.error


@pytest.mark.parametrize("error", ERRORS, ids=NAMES)
async def test_whatever_a_run_raises_is_raised_where_its_result_is_read(loop: Loop, error: BaseException) -> None:
    failing = Failing()
    context, _ = scripted_context(on_run=failing)
    with context:
        graph = double(context, LARGE)
        x = context.create_tensor(LARGE, "float32", writable=True)
        y, z = (context.create_tensor(LARGE, "float32", readable=True) for _ in range(2))
        context.write_tensor(x, filled(1, LARGE))
        context.dispatch(graph, {"x": x}, {"y": y}).finished().result()
        graph._work.cost = float("inf")  # so it runs on the lane; inline, an interrupt would reach the one who awaits
        failing.error = error
        handles = [context.dispatch(graph, {"x": x}, {"y": y}), context.dispatch(graph, {"x": y}, {"y": z})]
        promises: list[webnn.Promise[Any]] = [
            context.read_tensor(y),
            context.read_tensor(z),
            *(handle.finished() for handle in handles),
            context.run(graph, {"x": filled(1, LARGE)}),
        ]
        for promise in promises:
            with pytest.raises((OperationError, UnknownError)) as caught:
                await loop.result(promise)
            assert error in causes(caught.value)
            assert str(caught.value)
        failing.error = None
        context.dispatch(graph, {"x": x}, {"y": y})
        assert number_in(await loop.result(context.read_tensor(y))) == 2
        for tensor in (x, y, z):
            tensor.destroy()
        del promise, promises
        await loop.until(lambda: context.memory_info().in_use == 0)
        assert context.statistics().queued == 0


@pytest.mark.parametrize("error", ERRORS, ids=NAMES)
def test_whatever_a_compilation_raises_is_raised_where_a_result_is_read(error: BaseException) -> None:
    failing = Failing()
    context, _ = scripted_context(lambda _: failing())
    with context:
        failing.error = error
        graph = double(context)
        with pytest.raises(OperationError) as caught:
            context.compute(graph, {"x": filled(1)})
        assert error in causes(caught.value)
        failing.error = None
        assert number_in(context.compute(double(context), {"x": filled(1)})["y"]) == 2


def test_the_users_interrupt_reaches_the_user_and_the_context_goes_on() -> None:
    failing = Failing()
    context, _ = scripted_context(on_run=failing)
    with context:
        graph = double(context)
        context.compute(graph, {"x": filled(1)})
        failing.error = KeyboardInterrupt()
        with pytest.raises(KeyboardInterrupt):  # it ran on this thread
            context.compute(graph, {"x": filled(1)})
        failing.error = None
        assert number_in(context.compute(graph, {"x": filled(1)})["y"]) == 2
        assert context.memory_info().in_use == 0


def test_one_frame_that_fails_does_not_disturb_the_next() -> None:
    count = 0

    def every_third() -> None:
        nonlocal count
        count += 1
        if count % 3 == 0:
            raise OddError(f"frame {count}")

    context, _ = scripted_context(on_run=every_third)
    with context:
        graph = double(context)
        x = context.create_tensor([4], "float32", writable=True)
        y = context.create_tensor([4], "float32", readable=True)
        seen = []
        for i in range(9):
            context.write_tensor(x, filled(i))
            context.dispatch(graph, {"x": x}, {"y": y})
            error = (read := context.read_tensor(y)).exception()
            seen.append(str(error) if error is not None else number_in(read.result()))
        text = "x -> y: the backend failed: OddError: frame"
        assert seen == [0, 2, f"{text} 3", 6, 8, f"{text} 6", 12, 14, f"{text} 9"]


class MeanAllocator(HostAllocator):
    """Fails in one of its methods as long as `failing` names it."""

    def __init__(self) -> None:
        self.failing = ""

    def _fail(self, name: str) -> None:
        if self.failing == name:
            raise MemoryError(f"{name} failed")

    def allocate(self, size: int) -> Buffer:
        self._fail("allocate")
        return super().allocate(size)

    def write(self, view: View, data: np.ndarray[Any, Any]) -> None:
        self._fail("write")
        super().write(view, data)

    def clear(self, view: View) -> None:
        self._fail("clear")
        super().clear(view)


class MeanBackend(ScriptedBackend):
    """A backend with a mean allocator."""

    def __init__(self) -> None:
        super().__init__()
        self._allocator = MeanAllocator()

    @property
    def allocator(self) -> Allocator:
        return self._allocator

    @property
    def mean(self) -> MeanAllocator:
        return self._allocator


@pytest.mark.parametrize(
    "failing",
    [
        "allocate",
        "write",
        "clear",
    ],
)
def test_memory_that_cannot_be_had_is_an_error_of_the_call(failing: str) -> None:
    backend = MeanBackend()
    with MLContext(backend, CompileOptions(), lanes=1, memory_budget=None) as context:
        graph = double(context, LARGE)
        x, y, fresh = (context.create_tensor(LARGE, "float32", readable=True, writable=True) for _ in range(3))
        context.write_tensor(x, filled(1, LARGE))
        calls: dict[str, list[Callable[[], object]]] = {
            "allocate": [
                lambda: context.write_tensor(fresh, filled(1, LARGE)),
                lambda: context.read_tensor(fresh),
                lambda: context.dispatch(graph, {"x": fresh}, {"y": y}),
                lambda: context.run(graph, {"x": filled(1, LARGE)}),
                lambda: context.create_constant_tensor(filled(1, LARGE)),
            ],
            "write": [
                lambda: context.write_tensor(x, filled(5, LARGE)),
                lambda: context.run(graph, {"x": filled(1, LARGE)}),
                lambda: context.create_constant_tensor(filled(1, LARGE)),
            ],
            "clear": [lambda: context.read_tensor(fresh), lambda: context.dispatch(graph, {"x": fresh}, {"y": y})],
        }
        for call in calls[failing]:
            backend.mean.failing = failing
            with pytest.raises((OperationError, MemoryError), match=f"{failing} failed"):
                call()
            backend.mean.failing = ""
            assert context.memory_info().in_use == 8192
        context.dispatch(graph, {"x": x}, {"y": y})
        assert number_in(context.read_tensor(y).result()) == 2
        assert number_in(context.read_tensor(fresh).result()) == 0


def test_memory_that_a_run_cannot_have_is_an_error_of_its_result() -> None:
    backend = MeanBackend()
    with MLContext(backend, CompileOptions(), lanes=1, memory_budget=None) as context:
        graph = double(context, LARGE)
        x, y = (context.create_tensor(LARGE, "float32", readable=True, writable=True) for _ in range(2))
        context.write_tensor(x, filled(1, LARGE))
        backend.mean.failing = "allocate"
        context.dispatch(graph, {"x": x}, {"y": y})
        with pytest.raises(OperationError, match="no memory for 8192 more bytes: allocate failed"):
            context.read_tensor(y).result()
        backend.mean.failing = ""
        context.dispatch(graph, {"x": x}, {"y": y})
        assert number_in(context.read_tensor(y).result()) == 2


def test_a_callback_that_fails_on_a_lane_is_logged_and_the_lane_goes_on(error_log: ErrorLog) -> None:
    gate = Gate()
    context, _ = scripted_context(on_run=gate)

    def fail(_: object) -> None:
        raise OddError("my own mistake")

    with context:
        graph = double(context)
        first = context.run(graph, {"x": filled(1)})
        first.add_done_callback(fail)
        second = context.run(graph, {"x": filled(2)})
        gate.open()
        assert number_in(second.result()["y"]) == 4
        assert number_in(first.result()["y"]) == 2
    (record,) = error_log.records
    assert record.levelno == logging.ERROR
    assert "my own mistake" in str(record.exc_info)
    error_log.records.clear()


def test_a_run_that_ends_after_the_context_is_no_error(error_log: ErrorLog) -> None:
    gate = Gate()
    failing = Failing()
    failing.error = OddError("too late")

    def late() -> None:
        gate()
        failing()

    context, _ = scripted_context(on_run=late)
    with context:
        promise = context.run(double(context), {"x": filled(1)})
        assert gate.reached.wait(5)
    with pytest.raises(ContextLostError):
        promise.result()
    gate.open()
    assert error_log.records == []


async def test_a_failed_run_that_nobody_reads_is_nobodys_problem(event_loop: Loop) -> None:
    failing = Failing()
    failing.error = OddError("unseen")
    context, backend = scripted_context(on_run=failing)
    with context:
        run = context.run(double(context), {"x": filled(1)})
        await event_loop.until(lambda: backend.ran)
        await event_loop.until(lambda: context.statistics().running == 0)
        del run
        assert context.memory_info().in_use == 0
