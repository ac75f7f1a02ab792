"""`Device`: how it ends, and what ends with it."""

from __future__ import annotations

import gc
import weakref
from functools import partial

import pytest

from webnn.backends.base import CompileOptions
from webnn.backends.null import NullBackend
from webnn.errors import ContextLostError
from webnn.graph.limits import LimitsTable
from webnn.runtime import device as device_module
from webnn.runtime.device import Device

DESTROYED = "the context was lost: destroy\\(\\) was called"


class Recorded:
    """A dependent that records its calls."""

    def __init__(self, calls: list[str]) -> None:
        self._calls = calls

    def _stop(self) -> None:
        self._calls.append("stop")

    def _lose(self, error: ContextLostError) -> None:
        self._calls.append(f"lose: {error}")

    def _forked(self, error: ContextLostError) -> None:
        self._calls.append(f"forked: {error}")


def device() -> Device:
    return Device(NullBackend(), CompileOptions(), lanes=1, memory_budget=None)


def test_everything_that_depends_on_it_stops_first_and_is_lost_then_once() -> None:
    calls: list[str] = []
    ending, first, second = device(), Recorded(calls), Recorded(calls)
    ending.register(first)
    ending.register(second)
    ending.on_lost(lambda error: calls.append("callback"))
    ending.lost.add_done_callback(lambda _: calls.append("lost"))
    for _ in range(2):
        ending.lose("it broke")
    lose = "lose: the context was lost: it broke"
    assert calls == ["stop", "stop", lose, lose, "callback", "lost"]
    assert ending.lost.result(timeout=0).message == "it broke"


def test_an_interrupt_in_the_middle_of_its_end_leaves_nothing_of_that_undone() -> None:
    calls: list[str] = []
    ending, dependent = device(), Recorded(calls)
    interrupts = iter([KeyboardInterrupt])

    def interrupt(_: ContextLostError) -> None:
        for error in interrupts:
            raise error

    ending.register(dependent)
    ending.on_lost(interrupt)
    ending.on_lost(lambda _: calls.append("callback"))
    with pytest.raises(KeyboardInterrupt):
        ending.lose("it broke")
    assert calls[-1] == "callback"
    assert ending.lost.result(timeout=0).message == "it broke"
    ending.lose("again")


def test_nothing_can_be_registered_once_it_is_lost() -> None:
    ending = device()
    ending.lose("destroy() was called")
    assert ending.is_lost
    with pytest.raises(ContextLostError, match=DESTROYED):
        ending.register(Recorded([]))


def test_it_keeps_no_dependent_alive() -> None:
    keeping, dependent = device(), Recorded([])
    keeping.register(dependent)
    gone = weakref.ref(dependent)
    del dependent
    assert gone() is None
    keeping.lose("destroy() was called")


def test_what_waits_for_its_end_does_not_keep_it_alive() -> None:
    ended: list[bool] = []

    def record(device: Device, _: object) -> None:
        ended.append(device.is_lost)

    forgotten = device()
    forgotten.lost.add_done_callback(partial(record, forgotten))
    del forgotten
    gc.collect()
    assert ended == [True]


def test_at_exit_every_device_that_is_left_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_module, "_devices", weakref.WeakValueDictionary())  # other tests keep theirs
    left = device()
    device_module._forget_all()
    assert left.lost.result(timeout=0).message == "the program ended"


def test_a_backend_that_fails_leaves_no_half_made_device_to_end() -> None:
    class FailingBackend(NullBackend):
        def support_limits(self) -> LimitsTable:
            raise RuntimeError("scripted")

    with pytest.raises(RuntimeError, match="scripted"):
        Device(FailingBackend(), CompileOptions(), lanes=1, memory_budget=None)
    gc.collect()  # an error in a finalizer would be a warning here, which fails the test
