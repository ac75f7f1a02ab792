"""The threads that compute give way to the event loop."""

from __future__ import annotations

import os
import sys
import threading

import pytest

from webnn.runtime.ml import ML
from webnn.serving.priority import NICENESS, give_way

linux = pytest.mark.skipif(sys.platform != "linux", reason="other systems have no priority for each thread")


def nice_value() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


@linux
def test_a_thread_gives_way_and_the_others_keep_their_priority() -> None:
    before, seen = nice_value(), []

    def work() -> None:
        give_way()
        seen.append(nice_value())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [NICENESS if 0 <= before <= NICENESS else max(before, before + NICENESS)]
    assert nice_value() == before


@linux
@pytest.mark.parametrize(("before", "after"), [(-10, -5), (-3, 2), (0, 5), (3, 5), (5, 5), (12, 12)])
def test_a_low_priority_is_not_lowered_further(monkeypatch: pytest.MonkeyPatch, before: int, after: int) -> None:
    told: list[int] = []
    monkeypatch.setattr(os, "getpriority", lambda *_: before)
    monkeypatch.setattr(os, "setpriority", lambda _, __, value: told.append(value))
    give_way()
    assert told == [after]


def test_a_system_that_forbids_it_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "setpriority", forbidden, raising=False)
    give_way()


def test_all_threads_of_a_device_can_be_told_something() -> None:
    with ML().create_context(backend="arrays", lanes=2) as context:
        told: set[str] = set()
        all_told = threading.Event()

        def tell() -> None:
            told.add(threading.current_thread().name)
            if len(told) == 3:
                all_told.set()

        context._device.on_each_thread(tell)
        assert all_told.wait(10)
        assert told == {"webnn-lane-0", "webnn-lane-1", "webnn-build"}
