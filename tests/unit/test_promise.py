"""Promises settle exactly once, and bring what they have to any number of waiters on any loop or thread."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import traceback
import weakref
from collections.abc import Callable, Iterator
from concurrent import futures
from concurrent.futures import CancelledError
from functools import partial
from typing import Any

import anyio
import numpy as np
import pytest
import trio

from tests.leaks import ErrorLog
from tests.loops import LOOPS, Loop, loop_named
from webnn import Promise
from webnn.errors import InvalidStateError, OperationError
from webnn.scheduler.promise import PENDING, reject, resolve


def subscribers(promise: Promise[Any]) -> int:
    """How many are told when it settles."""
    return len(promise._callbacks or ())


def settle_on_a_thread(settle: Callable[[], object]) -> None:
    thread = threading.Thread(target=settle)
    thread.start()
    thread.join()


# Settling.


def test_it_is_pending_until_it_settles() -> None:
    promise: Promise[int] = Promise()
    assert not promise.done()
    assert repr(promise) == "<Promise pending>"
    assert resolve(promise, 3)
    assert promise.done()
    assert promise.result() == 3
    assert promise.exception() is None
    assert not promise.cancelled()
    assert repr(promise) == "<Promise resolved>"


def test_a_rejected_one_raises_its_error() -> None:
    promise: Promise[int] = Promise()
    error = OperationError("it broke")
    assert reject(promise, error)
    with pytest.raises(OperationError, match="it broke") as caught:
        promise.result()
    assert caught.value is not error  # which other readers get too
    assert caught.value.__cause__ is error
    assert promise.exception() is error
    assert repr(promise) == "<Promise rejected>"


def test_a_cancelled_one_raises_cancelled_error() -> None:
    promise: Promise[int] = Promise()
    assert promise.cancel()
    assert promise.cancelled()
    assert promise.done()
    with pytest.raises(CancelledError):
        promise.result()
    with pytest.raises(CancelledError):
        promise.exception()
    assert repr(promise) == "<Promise cancelled>"


@pytest.mark.parametrize(
    ("use", "message"),
    [(bool, "no truth value: await it"), (len, "no length: await it"), (np.asarray, "no data: await")],
)
def test_one_that_was_not_awaited_says_so(use: Callable[[Any], object], message: str) -> None:
    promise: Promise[int] = Promise()
    with pytest.raises(TypeError, match=message):
        use(promise)


@pytest.mark.parametrize("first", ["resolve", "reject", "cancel"])
def test_it_settles_only_once(first: str) -> None:
    promise: Promise[int] = Promise()
    settle: dict[str, Callable[[], bool]] = {
        "resolve": lambda: resolve(promise, 1),
        "reject": lambda: reject(promise, OperationError("it broke")),
        "cancel": promise.cancel,
    }
    told: list[Promise[int]] = []
    promise.add_done_callback(told.append)
    assert settle[first]()
    as_it_was = repr(promise)
    for name, again in settle.items():
        assert again() is (name == first == "cancel")  # cancelling what is cancelled says that it is
    assert repr(promise) == as_it_was
    assert told == [promise]


def test_exactly_one_of_many_threads_settles_it() -> None:
    for _ in range(20):
        promise: Promise[int] = Promise()
        barrier, won, told = threading.Barrier(4), list[int](), list[object]()
        promise.add_done_callback(told.append)

        def settle(
            number: int,
            promise: Promise[int] = promise,
            barrier: threading.Barrier = barrier,
            won: list[int] = won,
        ) -> None:
            barrier.wait()
            if resolve(promise, number):
                won.append(number)

        threads = [threading.Thread(target=settle, args=(i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert won == [promise.result()]
        assert told == [promise]


# Callbacks.


def test_callbacks_are_called_once_in_order_on_the_thread_that_settles() -> None:
    promise: Promise[int] = Promise()
    called: list[tuple[int, threading.Thread]] = []
    for i in range(3):
        promise.add_done_callback(lambda p, i=i: called.append((i, threading.current_thread())))  # type: ignore[misc]
    thread = threading.Thread(target=lambda: resolve(promise, 1))
    thread.start()
    thread.join()
    assert called == [(0, thread), (1, thread), (2, thread)]


def test_a_callback_on_a_settled_promise_is_called_at_once() -> None:
    promise: Promise[int] = Promise()
    resolve(promise, 1)
    called: list[Promise[int]] = []
    promise.add_done_callback(called.append)
    assert called == [promise]


def test_a_callback_that_fails_is_logged_and_the_others_are_called(error_log: ErrorLog) -> None:
    promise: Promise[int] = Promise()
    called: list[str] = []

    def fails(_: object) -> None:
        called.append("first")
        raise LookupError("my own mistake")

    promise.add_done_callback(fails)
    promise.add_done_callback(lambda _: called.append("second"))
    assert resolve(promise, 1)
    assert called == ["first", "second"]
    (record,) = error_log.records
    assert "a callback of <Promise resolved> failed" in record.getMessage()
    assert "my own mistake" in str(record.exc_info)
    error_log.records.clear()


def test_a_callback_may_use_the_promise_and_add_another() -> None:
    promise: Promise[int] = Promise()
    seen: list[int] = []

    def callback(settled: Promise[int]) -> None:
        seen.append(settled.result())
        if len(seen) == 1:
            settled.add_done_callback(callback)

    promise.add_done_callback(callback)
    resolve(promise, 5)
    assert seen == [5, 5]


def test_a_settled_promise_lets_its_callbacks_go() -> None:
    class Callback:
        def __call__(self, _: object) -> None: ...

    promise: Promise[int] = Promise()
    callback = Callback()
    reference = weakref.ref(callback)
    promise.add_done_callback(callback)
    resolve(promise, 1)
    del callback
    assert reference() is None


# Waiting.


async def test_one_that_is_settled_gives_its_result_at_once(loop: Loop) -> None:
    promise: Promise[str] = Promise()
    resolve(promise, "there")
    assert await loop.result(promise) == "there"
    assert await loop.result(promise) == "there"


async def test_a_waiter_gets_what_another_thread_resolves(loop: Loop) -> None:
    promise: Promise[str] = Promise()
    waiter = loop.start(lambda: loop.result(promise))
    await loop.until(lambda: subscribers(promise))
    settle_on_a_thread(lambda: resolve(promise, "there"))
    assert await loop.join(waiter) == "there"


async def test_a_waiter_gets_what_its_own_loop_resolves(loop: Loop) -> None:
    promise: Promise[str] = Promise()
    waiter = loop.start(lambda: loop.result(promise))
    await loop.until(lambda: subscribers(promise))
    resolve(promise, "there")
    assert await loop.join(waiter) == "there"


async def test_a_waiter_gets_the_error(loop: Loop) -> None:
    promise: Promise[str] = Promise()
    waiter = loop.start(lambda: loop.result(promise))
    await loop.until(lambda: subscribers(promise))
    settle_on_a_thread(lambda: reject(promise, OperationError("it broke")))
    with pytest.raises(OperationError, match="it broke"):
        await loop.join(waiter)


async def test_a_waiter_of_a_cancelled_promise_is_told(loop: Loop) -> None:
    promise: Promise[str] = Promise()
    waiter = loop.start(lambda: loop.result(promise))
    await loop.until(lambda: subscribers(promise))
    promise.cancel()
    with pytest.raises(CancelledError):
        await loop.join(waiter)


async def test_many_may_wait_for_one(loop: Loop) -> None:
    promise: Promise[int] = Promise()
    waiters = [loop.start(lambda: loop.result(promise)) for _ in range(5)]
    await loop.until(lambda: subscribers(promise) == 5)
    settle_on_a_thread(lambda: resolve(promise, 7))
    assert [await loop.join(waiter) for waiter in waiters] == [7] * 5


async def test_cancelling_a_waiter_leaves_the_promise_and_the_others_alone(event_loop: Loop) -> None:
    promise: Promise[int] = Promise()
    waiters = [event_loop.start(lambda: event_loop.result(promise)) for _ in range(3)]
    await event_loop.until(lambda: subscribers(promise) == 3)
    waiters[1].cancel()
    await event_loop.until(lambda: waiters[1].done)
    assert isinstance(waiters[1].error, asyncio.CancelledError | trio.Cancelled)
    assert promise._status is PENDING
    assert subscribers(promise) == 2
    resolve(promise, 7)
    assert await event_loop.join(waiters[0]) == 7
    assert await event_loop.join(waiters[2]) == 7


def test_waiters_on_every_loop_and_thread_at_once_get_the_same() -> None:
    promise: Promise[object] = Promise()
    result, got = object(), dict[str, object]()

    def run(name: str) -> None:
        loop = loop_named(name)

        async def main() -> None:
            got[name] = await loop.result(promise)

        loop.run(main, late=5)  # they take turns with the interpreter

    threads = [threading.Thread(target=run, args=(name,)) for name in LOOPS]
    for thread in threads:
        thread.start()
    while subscribers(promise) < len(LOOPS):
        time.sleep(0.001)
    resolve(promise, result)
    for thread in threads:
        thread.join()
    assert got == dict.fromkeys(LOOPS, result)


def test_asyncio_gathers_promises() -> None:
    promises: list[Promise[int]] = [Promise() for _ in range(3)]

    async def main() -> list[int]:
        for i, promise in enumerate(promises):
            asyncio.get_running_loop().call_soon(partial(resolve, promise), i)
        return await asyncio.gather(*promises)

    assert asyncio.run(main()) == [0, 1, 2]


@pytest.mark.anyio
async def test_giving_up_after_a_time_leaves_the_promise_alone() -> None:
    promise: Promise[int] = Promise()
    with anyio.move_on_after(0.001) as scope:
        await promise
    assert scope.cancelled_caught
    assert subscribers(promise) == 0


@pytest.mark.asyncio
async def test_giving_up_after_a_time_of_asyncio_leaves_the_promise_alone() -> None:
    promise: Promise[int] = Promise()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(promise, 0.001)
    assert subscribers(promise) == 0


@pytest.mark.asyncio
async def test_what_a_task_was_cancelled_with_is_what_it_sees() -> None:
    promise: Promise[int] = Promise()

    async def wait() -> None:
        await promise

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    task.cancel("for a reason")
    with pytest.raises(asyncio.CancelledError, match="for a reason"):
        await task
    assert resolve(promise, 1)


def test_a_thread_may_wait_for_a_limited_time() -> None:
    promise: Promise[int] = Promise()
    with pytest.raises(TimeoutError, match=r"no result after 0\.001 s"):
        promise.result(timeout=0.001)
    with pytest.raises(TimeoutError):
        promise.exception(timeout=0)
    assert subscribers(promise) == 0
    assert resolve(promise, 4)
    assert promise.result(timeout=0) == 4


@pytest.mark.parametrize("timeout", [1e300, float("inf")])
def test_a_thread_may_wait_for_longer_than_the_system_can_count(timeout: float) -> None:
    promise: Promise[int] = Promise()
    ended = threading.Event()

    def resolve_once_waited_for() -> None:
        while not subscribers(promise) and not ended.is_set():
            pass
        resolve(promise, 4)

    thread = threading.Thread(target=resolve_once_waited_for)
    thread.start()
    try:
        assert promise.result(timeout=timeout) == 4
    finally:
        ended.set()
        thread.join()


def test_awaiting_a_pending_one_without_a_loop_says_what_to_do() -> None:
    promise: Promise[int] = Promise()
    with pytest.raises(InvalidStateError, match=r"in a plain thread use \.result\(\)"):
        promise.__await__().send(None)
    promise.cancel()


def test_it_has_no_truth_value_until_it_has_settled() -> None:
    promise: Promise[int] = Promise()
    with pytest.raises(TypeError, match=r"await it, or ask promise\.done\(\)"):
        bool(promise)
    resolve(promise, 0)
    assert promise  # as any future, whatever its result


# As a future.


@pytest.mark.parametrize("return_when", ["ALL_COMPLETED", "FIRST_COMPLETED", "FIRST_EXCEPTION"])
def test_concurrent_futures_waits_for_promises(return_when: str) -> None:
    promises: list[Promise[int]] = [Promise() for _ in range(4)]
    resolve(promises[0], 0)

    def settle() -> None:
        resolve(promises[1], 1)
        promises[2].cancel()
        reject(promises[3], OperationError("it broke"))

    thread = threading.Thread(target=settle)
    thread.start()
    done, pending = futures.wait(promises, timeout=5, return_when=return_when)
    thread.join()
    assert promises[0] in done
    assert (not pending) or return_when != "ALL_COMPLETED"


def test_promises_come_as_they_are_completed() -> None:
    promises: list[Promise[int]] = [Promise() for _ in range(3)]
    resolve(promises[2], 2)
    waiting: Any = promises  # the stub asks for the attributes of futures, where promises have properties
    completed: Iterator[Any] = futures.as_completed(waiting, timeout=5)
    assert next(completed).result() == 2
    for i in (1, 0):
        settle_on_a_thread(partial(resolve, promises[i], i))
        assert next(completed).result() == i


def test_a_wait_that_was_interrupted_holds_up_no_thread() -> None:
    promise: Promise[int] = Promise()
    promise._condition.acquire()  # by `wait`, which was interrupted before it could release it
    settle_on_a_thread(partial(resolve, promise, 3))
    assert promise.result(timeout=1) == 3
    assert futures.wait([promise], timeout=1).done == {promise}


@pytest.mark.asyncio
async def test_asyncio_waits_for_promises_and_wraps_them() -> None:
    promises: list[Promise[int]] = [Promise() for _ in range(3)]
    thread = threading.Thread(target=lambda: [resolve(p, i) for i, p in enumerate(promises)])
    asyncio.get_running_loop().call_soon(thread.start)
    done, pending = await asyncio.wait(promises)  # type: ignore[type-var]  # it asks for asyncio's own futures
    thread.join()
    assert (done, pending) == (set(promises), set())
    assert await asyncio.wrap_future(promises[2]) == 2


@pytest.mark.parametrize("call", ["set_result", "set_exception", "set_running_or_notify_cancel"])
def test_only_the_runtime_settles_it(call: str) -> None:
    promise: Promise[int] = Promise()
    arguments = () if call.endswith("cancel") else (1,)
    with pytest.raises(InvalidStateError, match="settled by the runtime only"):
        getattr(promise, call)(*arguments)
    promise.cancel()


@pytest.mark.asyncio
async def test_a_callback_that_is_left_from_an_event_loop_is_called_on_it() -> None:
    promise: Promise[int] = Promise()
    called: asyncio.Future[threading.Thread] = asyncio.get_running_loop().create_future()
    promise.add_done_callback(lambda _: called.set_result(threading.current_thread()))
    settle_on_a_thread(partial(resolve, promise, 1))
    assert await called is threading.current_thread()


def test_a_callback_can_be_taken_back() -> None:
    promise: Promise[int] = Promise()
    called: list[object] = []
    promise.add_done_callback(called.append)
    promise.add_done_callback(called.append)
    assert promise.remove_done_callback(called.append) == 2
    assert promise.remove_done_callback(called.append) == 0
    resolve(promise, 1)
    assert called == []


def test_a_callback_that_fails_on_a_settled_promise_is_logged(error_log: ErrorLog) -> None:
    promise: Promise[int] = Promise()
    resolve(promise, 1)

    def fail(_: object) -> None:
        raise LookupError("my own mistake")

    promise.add_done_callback(fail)
    (record,) = error_log.records
    assert "a callback of <Promise resolved> failed" in record.getMessage()
    error_log.records.clear()


def test_a_chain_of_any_length_settles() -> None:
    source: Promise[int] = Promise()
    last: Promise[int] = source
    for _ in range(100_000):
        last = last.then(lambda number: number + 1)
    resolve(source, 0)
    assert last.result(timeout=5) == 100_000


def test_each_reader_gets_an_exception_of_its_own() -> None:
    promise: Promise[int] = Promise()
    error = OperationError("it broke")
    error.add_note("here")
    reject(promise, error)
    raised = []
    for _ in range(2):
        with pytest.raises(OperationError, match="it broke") as caught:
            promise.result()
        raised.append(caught.value)
    assert raised[0] is not raised[1]
    raised[0].add_note("mine")
    assert raised[1].__notes__ == ["here"]
    assert error.__traceback__ is None


def test_an_error_that_cannot_be_copied_is_raised_itself_with_a_short_traceback() -> None:
    class OddError(Exception):
        def __init__(self, one: int, two: int) -> None:
            super().__init__(f"{one} and {two}")

    promise: Promise[int] = Promise()
    reject(promise, OddError(1, 2))
    for _ in range(20):
        with pytest.raises(OddError, match="1 and 2") as caught:
            promise.result()
    assert len(traceback.extract_tb(caught.value.__traceback__)) < 5


def test_raising_an_error_many_times_keeps_its_traceback_short() -> None:
    promise: Promise[int] = Promise()
    reject(promise, OperationError("it broke"))
    for _ in range(50):
        with pytest.raises(OperationError) as caught:
            promise.result()
    depth, traceback = 0, caught.value.__traceback__
    while traceback is not None:
        depth, traceback = depth + 1, traceback.tb_next
    assert depth < 10


# Then.


def test_then_gives_what_the_function_makes_of_the_result() -> None:
    source: Promise[int] = Promise()
    derived = source.then(lambda number: f"<{number}>")
    assert not derived.done()
    resolve(source, 3)
    assert derived.result() == "<3>"


def test_then_fails_with_the_source() -> None:
    source: Promise[int] = Promise()
    derived = source.then(str)
    error = OperationError("it broke")
    reject(source, error)
    assert derived.exception() is error


def test_then_fails_if_the_function_does() -> None:
    source: Promise[int] = Promise()
    derived = source.then(lambda number: 1 // number)
    resolve(source, 0)
    assert isinstance(derived.exception(), ZeroDivisionError)


def test_then_is_cancelled_with_the_source() -> None:
    source: Promise[int] = Promise()
    derived = source.then(str)
    source.cancel()
    assert derived.cancelled()


def test_cancelling_what_then_gave_leaves_the_source_alone() -> None:
    source: Promise[int] = Promise()
    derived = source.then(str)
    assert derived.cancel()
    assert resolve(source, 1)
    assert derived.cancelled()


async def test_then_can_be_awaited(loop: Loop) -> None:
    source: Promise[int] = Promise()
    derived = source.then(str)
    waiter = loop.start(lambda: loop.result(derived))
    await loop.until(lambda: subscribers(derived))
    settle_on_a_thread(lambda: resolve(source, 12))
    assert await loop.join(waiter) == "12"


def test_a_promise_that_nobody_wants_is_freed() -> None:
    promise: Promise[int] = Promise()
    reference = weakref.ref(promise)
    del promise
    gc.collect()
    assert reference() is None


@pytest.mark.parametrize("error", [KeyboardInterrupt, asyncio.CancelledError])
def test_a_callback_that_interrupts_keeps_nobody_else_waiting(error: type[BaseException]) -> None:
    promise, told = Promise[int](), list[int]()

    def interrupt(_: object) -> None:
        raise error

    after = promise.then(interrupt)
    promise.add_done_callback(interrupt)
    promise.add_done_callback(lambda settled: told.append(settled.result()))
    with pytest.raises(error):
        resolve(promise, 3)
    assert told == [3]
    assert isinstance(after.exception(timeout=0), error)


def test_an_error_keeps_nothing_that_its_readers_held() -> None:
    class Held:
        pass

    promise: Promise[int] = Promise()
    reject(promise, OperationError("it broke"))
    references: list[weakref.ref[Held]] = []

    def read() -> None:
        held = Held()
        references.append(weakref.ref(held))
        try:
            promise.result()
        except OperationError:
            return

    async def read_awaiting() -> None:
        held = Held()
        references.append(weakref.ref(held))
        try:
            await promise
        except OperationError:
            return

    for _ in range(3):
        read()
        asyncio.run(read_awaiting())
    assert [reference() for reference in references] == [None] * 6
