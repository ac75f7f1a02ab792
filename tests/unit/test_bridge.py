"""The one door into each event loop: waking, waiting, breathing, spawning."""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
import types
from collections.abc import Callable, Generator
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
import trio

from tests.loops import Loop
from webnn.scheduler.bridge import Bridge, current_bridge, current_loop, current_waiter, has_only_this_task

VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("VARIABLE", default="unset")


class Await:
    """Something to await that is a generator function of the bridge."""

    def __init__(self, wait: Callable[[Bridge], Generator[Any, Any, None]]) -> None:
        self._wait = wait

    def __await__(self) -> Generator[Any, Any, None]:
        bridge = current_bridge()
        assert bridge is not None
        yield from self._wait(bridge)


class Door:
    """What a waiter subscribes to."""

    def __init__(self) -> None:
        self.wake: Callable[[], object] | None = None
        self.unsubscribed = 0

    def subscribe(self, wake: Callable[[], object]) -> Callable[[], None]:
        self.wake = wake

        def unsubscribe() -> None:
            self.unsubscribed += 1

        return unsubscribe

    def __await__(self) -> Generator[Any, Any, None]:
        waiter = current_waiter()
        assert waiter is not None
        unsubscribe = self.subscribe(waiter)
        try:
            yield from waiter.suspend()
        except BaseException:
            unsubscribe()
            raise


def bridge_here() -> Bridge:
    bridge = current_bridge()
    assert bridge is not None
    return bridge


def test_a_plain_thread_has_no_loop() -> None:
    assert current_loop() is None
    assert current_waiter() is None
    assert current_bridge() is None
    assert current_waiter() is None


async def test_a_loop_is_told_from_every_other_one(event_loop: Loop) -> None:
    here = current_loop()
    assert here is not None
    assert bridge_here().loop is here
    seen: list[object] = []

    async def other() -> None:
        seen.append(current_loop())

    thread = threading.Thread(target=lambda: asyncio.run(other()))
    thread.start()
    await event_loop.until(lambda: not thread.is_alive())
    assert seen[0] is not None
    assert seen[0] is not here
    thread = threading.Thread(target=lambda: seen.append(current_loop()))
    thread.start()
    await event_loop.until(lambda: not thread.is_alive())
    assert seen[1] is None


async def test_the_loop_stays_the_same_within_one_run(event_loop: Loop) -> None:
    here = current_loop()
    await event_loop.pause()
    assert current_loop() is here


async def test_call_soon_calls_at_the_end_of_the_tick(event_loop: Loop) -> None:
    called: list[object] = []
    bridge_here().call_soon(lambda: called.append(current_loop()))
    assert called == []
    await event_loop.until(lambda: called)
    assert called == [current_loop()]


async def test_a_waiter_is_woken_from_its_own_loop(event_loop: Loop) -> None:
    door = Door()

    async def wait() -> str:
        await door
        return "woken"

    waiter = event_loop.start(wait)
    await event_loop.until(lambda: door.wake)
    assert not waiter.done
    assert door.wake is not None
    door.wake()
    assert await event_loop.join(waiter) == "woken"
    assert door.unsubscribed == 0


async def test_a_waiter_is_woken_from_another_thread(event_loop: Loop) -> None:
    door = Door()

    async def wait() -> None:
        await door

    waiter = event_loop.start(wait)
    await event_loop.until(lambda: door.wake)
    assert door.wake is not None
    thread = threading.Thread(target=door.wake)
    thread.start()
    await event_loop.join(waiter)
    thread.join()


async def woken_then_called(event_loop: Loop, in_between: Callable[[Any], object] = lambda _: None) -> list[str]:
    """The order of a task that another thread has woken, and of a callback that the loop was given after that."""
    door, order = Door(), list[str]()

    async def wait() -> None:
        try:
            await door
        finally:
            order.append("task")

    loop = asyncio.get_running_loop()
    task = loop.create_task(wait())
    await event_loop.until(lambda: door.wake)
    assert door.wake is not None
    thread = threading.Thread(target=door.wake)
    thread.start()
    thread.join()
    in_between(task)
    loop.call_soon(order.append, "callback")
    await asyncio.wait([task], timeout=5)
    order.append(("pending", "cancelled" if task.done() and task.cancelled() else "done")[task.done()])
    return order


async def test_a_thread_resumes_a_task_of_asyncio_in_one_turn_of_its_loop(event_loop: Loop) -> None:
    if event_loop.name == "trio":
        pytest.skip("trio has turns of its own")
    assert await woken_then_called(event_loop) == ["task", "callback", "done"]


async def test_in_debug_mode_the_loop_itself_resumes_the_task(event_loop: Loop) -> None:
    if event_loop.name == "trio":
        pytest.skip("trio has no debug mode")
    asyncio.get_running_loop().set_debug(True)
    assert await woken_then_called(event_loop) == ["callback", "task", "done"]


async def test_a_task_that_is_cancelled_after_a_thread_has_woken_it_ends(event_loop: Loop) -> None:
    if event_loop.name == "trio":
        pytest.skip("its tasks are not cancelled one by one")
    assert await woken_then_called(event_loop, lambda task: task.cancel()) == ["task", "callback", "cancelled"]


async def test_one_who_is_woken_before_waiting_does_not_wait(event_loop: Loop) -> None:
    def wait(_: Bridge) -> Generator[Any, Any, None]:
        waiter = current_waiter()
        assert waiter is not None
        waiter.wake()
        yield from waiter.suspend()

    await Await(wait)
    assert event_loop.name in ("asyncio", "uvloop", "trio")


async def test_waking_twice_is_waking_once(event_loop: Loop) -> None:
    door = Door()

    async def wait() -> None:
        await door

    waiter = event_loop.start(wait)
    await event_loop.until(lambda: door.wake)
    assert door.wake is not None
    door.wake()
    door.wake()
    await event_loop.join(waiter)
    door.wake()


async def test_a_cancelled_waiter_unsubscribes(event_loop: Loop) -> None:
    door = Door()

    async def wait() -> None:
        await door

    waiter = event_loop.start(wait)
    await event_loop.until(lambda: door.wake)
    waiter.cancel()
    await event_loop.until(lambda: waiter.done)
    assert door.unsubscribed == 1
    assert isinstance(waiter.error, asyncio.CancelledError | trio.Cancelled)
    assert door.wake is not None
    door.wake()  # too late, and no error


@pytest.mark.parametrize("kind", ["asyncio", "trio"])
def test_waking_one_whose_loop_has_ended_is_no_error(kind: str) -> None:
    door = Door()

    async def wait() -> None:
        await door

    async def asyncio_main() -> None:
        task = asyncio.ensure_future(wait())
        await asyncio.sleep(0)
        task.cancel()

    async def trio_main() -> None:
        with trio.move_on_after(0):
            await wait()

    if kind == "asyncio":
        asyncio.run(asyncio_main())
    else:
        trio.run(trio_main)
    assert door.wake is not None
    door.wake()


async def test_breathing_gives_every_other_task_a_turn(event_loop: Loop) -> None:
    turns: list[str] = []

    async def other(name: str) -> None:
        turns.append(name)

    started = [event_loop.start(lambda name=name: other(name)) for name in ("a", "b", "c")]  # type: ignore[misc]
    await Await(lambda bridge: bridge.breathe())
    if event_loop.name == "trio":  # trio shuffles its tasks, so that one turn may pass before each has had one
        await Await(lambda bridge: bridge.breathe())
    assert sorted(turns) == ["a", "b", "c"]
    for each in started:
        await event_loop.join(each)


async def test_breathing_is_a_cancellation_point(event_loop: Loop) -> None:
    breaths = 0

    async def breathe_forever() -> None:
        nonlocal breaths
        while True:
            await Await(lambda bridge: bridge.breathe())
            breaths += 1

    started = event_loop.start(breathe_forever)
    await event_loop.until(lambda: breaths > 3)
    started.cancel()
    await event_loop.until(lambda: started.done)
    assert isinstance(started.error, asyncio.CancelledError | trio.Cancelled)


async def test_a_spawned_task_runs_beside_the_caller(event_loop: Loop) -> None:
    seen: list[object] = []

    async def work() -> None:
        seen.append(current_loop())
        await event_loop.pause()
        seen.append("done")

    cancel = bridge_here().spawn(work)
    assert seen == []
    await event_loop.until(lambda: len(seen) == 2)
    assert seen == [current_loop(), "done"]
    cancel()  # too late, and no error


async def test_a_spawned_task_can_be_cancelled(event_loop: Loop) -> None:
    door, ended = Door(), list[BaseException]()

    async def work() -> None:
        try:
            await door
        except BaseException as error:
            ended.append(error)
            raise

    cancel = bridge_here().spawn(work)
    await event_loop.until(lambda: door.wake)
    cancel()
    await event_loop.until(lambda: ended)
    assert isinstance(ended[0], asyncio.CancelledError | trio.Cancelled)


async def test_a_spawned_task_sees_the_callers_context_variables(event_loop: Loop) -> None:
    seen: list[str] = []

    async def work() -> None:
        seen.append(VARIABLE.get())

    VARIABLE.set("mine")
    bridge_here().spawn(work)
    await event_loop.until(lambda: seen)
    assert seen == ["mine"]


def test_while_another_thread_imports_trio_nobody_runs_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trio", types.ModuleType("trio"))
    assert current_loop() is None
    assert current_bridge() is None
    assert current_waiter() is None


async def test_what_was_spawned_can_be_cancelled_from_another_thread(event_loop: Loop) -> None:
    ended = threading.Event()

    async def sleep() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()

    bridge = current_bridge()
    assert bridge is not None
    cancel = bridge.spawn(sleep)
    await anyio.lowlevel.checkpoint()
    await anyio.lowlevel.checkpoint()
    thread = threading.Thread(target=cancel)
    with anyio.fail_after(5):
        thread.start()
        await anyio.to_thread.run_sync(ended.wait, 5)
    thread.join()
    assert ended.is_set()


class _Expected:
    def __call__(self) -> None:
        pass


class TestTheOnlyTask:
    """Whether an event loop has nothing to do but the task that asks."""

    @staticmethod
    def found(prepare: Callable[[], Any] = lambda: None, seconds: float = 0.01) -> bool:
        """What a task of a new loop of asyncio finds after `prepare()`, whose result is awaited if it can be."""

        async def main() -> bool:
            prepared = prepare()
            if asyncio.iscoroutine(prepared):
                prepared = await prepared
            try:
                return has_only_this_task(seconds, _Expected)
            finally:
                if hasattr(prepared, "close"):
                    prepared.close()

        return asyncio.run(main())

    def test_a_loop_with_one_task_has_nothing_else_to_do(self) -> None:
        assert self.found()

    def test_another_task_is_something_to_do_even_if_it_waits(self) -> None:
        async def other() -> None:
            asyncio.create_task(asyncio.sleep(100)).add_done_callback(lambda _: None)
            await asyncio.sleep(0)

        assert not self.found(other)

    def test_a_callback_is_something_to_do_unless_it_is_expected(self) -> None:
        assert not self.found(lambda: asyncio.get_running_loop().call_soon(_Expected().__call__))
        assert self.found(lambda: asyncio.get_running_loop().call_soon(_Expected()))

    def test_a_timer_is_something_to_do_if_it_is_due_before(self) -> None:
        def timer() -> None:
            asyncio.get_running_loop().call_later(1, print)

        assert not self.found(timer, seconds=2)
        assert self.found(timer, seconds=0.01)

    def test_a_socket_is_something_to_do(self) -> None:
        assert not self.found(lambda: asyncio.start_server(lambda *_: None, "127.0.0.1", 0))

    def test_the_pipe_that_has_woken_the_loop_is_not(self) -> None:
        async def woken() -> None:
            loop = asyncio.get_running_loop()
            thread = threading.Thread(target=loop.call_soon_threadsafe, args=(_Expected(),))
            thread.start()
            thread.join()
            await asyncio.sleep(0)

        assert self.found(woken)

    def test_a_plain_thread_and_trio_do_not_tell(self) -> None:
        async def main() -> bool:
            return has_only_this_task(0.01, _Expected)

        assert not has_only_this_task(0.01, _Expected)
        assert not trio.run(main)

    def test_uvloop_does_not_tell(self) -> None:
        uvloop = pytest.importorskip("uvloop", reason="uvloop is not installed")

        async def main() -> bool:
            return has_only_this_task(0.01, _Expected)

        assert not uvloop.run(main())
