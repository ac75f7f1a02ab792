"""The checks that every test passes through can fail."""

from __future__ import annotations

import gc
import logging
import time
from typing import Any

import pytest

from tests.leaks import ErrorLog, watched
from tests.loops import Companion, Loop, PlainThread
from webnn import Promise
from webnn.scheduler.lane import ThreadLane


def test_a_blocked_event_loop_is_noticed(event_loop: Loop) -> None:
    async def blocks() -> None:
        await event_loop.pause()
        time.sleep(0.5)  # noqa: ASYNC251 (what must not be done)

    with pytest.raises(pytest.fail.Exception, match=r"the event loop was blocked for \d+ ms"):
        event_loop.run(blocks)


def test_an_event_loop_that_computes_for_long_is_noticed(event_loop: Loop) -> None:
    async def computes() -> None:
        await event_loop.pause()
        deadline = time.thread_time() + 0.5
        while time.thread_time() < deadline:
            pass

    with pytest.raises(pytest.fail.Exception, match=r"the event loop was blocked for \d+ ms"):
        event_loop.run(computes)


def test_a_process_that_stood_still_as_a_whole_is_not_complained_about(
    event_loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Companion, "stood_still", lambda *_: 0.5)

    async def stands_still() -> None:
        await event_loop.pause()
        time.sleep(0.5)  # noqa: ASYNC251 (the companion says that it was nobody's fault)

    event_loop.run(stands_still)


def test_a_garbage_collection_is_not_complained_about(event_loop: Loop) -> None:
    def take_long(phase: str, _: object) -> None:
        if phase == "start":
            time.sleep(0.5)

    async def collects() -> None:
        await event_loop.pause()
        gc.callbacks.append(take_long)
        try:
            gc.collect(0)
        finally:
            gc.callbacks.remove(take_long)

    event_loop.run(collects)


def test_a_free_event_loop_is_not_complained_about(event_loop: Loop) -> None:
    async def pauses() -> None:
        for _ in range(10):
            await event_loop.pause()

    event_loop.run(pauses)


def test_an_error_inside_a_loop_is_the_error_of_the_test(loop: Loop) -> None:
    async def fails() -> None:
        await loop.pause()
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        loop.run(fails)


def test_a_test_that_suspends_on_a_plain_thread_is_told_what_to_do() -> None:
    class Never:
        def __await__(self) -> Any:
            yield

    async def suspends() -> None:
        await Never()

    with pytest.raises(pytest.fail.Exception, match=r"use loop\.result"):
        PlainThread().run(suspends)


def test_a_pending_promise_is_noticed() -> None:
    promise: Promise[None] | None = None
    with pytest.raises(pytest.fail.Exception, match=r"<Promise pending> is pending"), watched(ErrorLog()):
        promise = Promise()
    assert promise is not None
    promise.cancel()


def test_a_thread_that_is_left_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.leaks.PATIENCE", 0.01)
    lanes: list[ThreadLane] = []

    def forgetful() -> None:
        lanes.append(ThreadLane("webnn-forgotten"))
        lanes[0].wake(lambda: False)

    with pytest.raises(pytest.fail.Exception, match="thread 'webnn-forgotten' is running"), watched(ErrorLog()):
        forgetful()
    lanes[0].close(wait=True)


def test_the_threads_of_a_context_that_was_there_before_are_not_complained_about() -> None:
    lane = ThreadLane("webnn-shared")
    with watched(ErrorLog()):
        lane.wake(lambda: False)
    lane.close(wait=True)


def test_an_error_that_was_only_logged_is_noticed(error_log: ErrorLog) -> None:
    with pytest.raises(pytest.fail.Exception, match="an error was only logged: so it goes"), watched(ErrorLog()):
        logging.getLogger("webnn").error("so it goes")
    error_log.records.clear()
