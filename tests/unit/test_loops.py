"""The heartbeat beside the tests of loops: it fails a test that blocks its loop, and none that the machine holds up."""

from __future__ import annotations

import threading
import time

import pytest

from tests import loops
from tests.loops import EVENT_LOOPS, PATIENCE, loop_named

LONG = 0.15
LIMIT = 0.05


def compute() -> None:
    """Use a processor for `LONG` seconds, however long it takes to get it."""
    began = time.thread_time()
    while time.thread_time() - began < LONG:
        pass


def wait_for_another() -> None:
    """Wait for another thread, which computes."""
    thread = threading.Thread(target=compute)
    thread.start()
    thread.join(PATIENCE)


@pytest.mark.parametrize("block", [lambda: time.sleep(LONG), compute, wait_for_another])
@pytest.mark.parametrize("name", EVENT_LOOPS)
def test_code_that_blocks_the_loop_fails_its_test(name: str, block: object) -> None:
    async def main() -> None:
        assert callable(block)
        block()

    with pytest.raises(pytest.fail.Exception, match=r"the event loop was blocked for [0-9]+ ms"):
        loop_named(name).run(main, late=LIMIT)


@pytest.mark.parametrize("starved", ["the loop's thread", "another thread"])
def test_code_that_waits_for_a_processor_does_not(starved: str, monkeypatch: pytest.MonkeyPatch) -> None:
    thread = str(threading.get_native_id()) if starved == "the loop's thread" else "1"
    began = time.perf_counter()
    monkeypatch.setattr(loops, "waits", lambda: {thread: time.perf_counter() - began})

    async def main() -> None:
        time.sleep(LONG)  # noqa: ASYNC251 (as if there were no processor)

    loop_named("asyncio").run(main, late=LIMIT)


@pytest.mark.skipif(not loops.waits(), reason="this system does not tell how long a thread waits for a processor")
def test_a_thread_that_has_run_has_a_time_of_waiting_for_a_processor() -> None:
    assert loops.waits()[str(threading.get_native_id())] > 0
