"""Locks are free after a fork, whoever held them; what is registered runs in the child."""

from __future__ import annotations

import ast
import gc
import os
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.forks import PATIENCE, in_child
from webnn import forking
from webnn.forking import belongs_to, import_whole, keep_for_ever, on_fork, reentrant_lock

ROOT = Path(__file__).resolve().parents[2]

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")


def is_free(lock: threading.RLock) -> bool:
    """Whether another thread could take `lock`."""
    free: list[bool] = []

    def take() -> None:
        free.append(lock.acquire(timeout=0.1))
        if free[0]:
            lock.release()

    thread = threading.Thread(target=take)
    thread.start()
    thread.join(PATIENCE)
    return free == [True]


@contextmanager
def busy_thread(work: Callable[[], object]) -> Iterator[None]:
    """A thread that does `work` again and again."""
    stop = threading.Event()

    def repeat() -> None:
        while not stop.is_set():
            work()

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(PATIENCE)
        assert not thread.is_alive()


@forks
def test_a_lock_that_another_thread_takes_and_gives_back_is_free_in_both_processes() -> None:
    lock = reentrant_lock()
    state = [0, 0]

    def change() -> None:
        with lock:
            state[0] += 1
            sum(range(1000))  # long enough for the other thread to get its turn here
            state[1] += 1

    with busy_thread(change):
        found = [in_child(lambda: (is_free(lock), state[0] == state[1])) for _ in range(10)]
    assert found == [(True, True)] * 10
    assert is_free(lock)


@forks
def test_threads_that_take_locks_in_either_order_do_not_stop_a_fork() -> None:
    first, second = reentrant_lock(), reentrant_lock()
    outer = threading.Lock()  # keeps the two threads from stopping each other

    def one_way() -> None:
        with outer, first, second:
            sum(range(100))

    def the_other_way() -> None:
        with outer, second, first:
            sum(range(100))

    with busy_thread(one_way), busy_thread(the_other_way):
        for _ in range(10):
            assert in_child(lambda: is_free(first) and is_free(second))


@forks
def test_a_lock_that_the_forking_thread_holds_is_held_in_both_processes() -> None:
    lock = reentrant_lock()

    def released() -> tuple[bool, bool]:
        held = not is_free(lock)
        lock.release()
        return held, is_free(lock)

    with lock:
        assert in_child(released) == (True, True)
        assert not is_free(lock)
    assert is_free(lock)


@forks
def test_a_lock_can_be_made_while_another_thread_forks() -> None:
    made: list[threading.RLock] = []
    with busy_thread(lambda: made.append(reentrant_lock())):
        assert [in_child(lambda: is_free(made[-1]) and is_free(reentrant_lock())) for _ in range(10)] == [True] * 10


@forks
def test_a_fork_waits_for_the_end_of_an_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "slow_to_import.py").write_text(
        "from tests.unit.test_forking import begun\nbegun.set()\nfor _ in range(300_000):\n    pass\ndone = True\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    begun.clear()
    thread = threading.Thread(target=import_whole, args=("slow_to_import",))
    thread.start()
    assert begun.wait(PATIENCE)
    assert in_child(lambda: import_whole("slow_to_import").done) is True
    thread.join(PATIENCE)
    del sys.modules["slow_to_import"]


begun = threading.Event()


def test_a_lock_is_not_kept_alive() -> None:
    gone = weakref.ref(reentrant_lock())
    gc.collect()
    assert gone() is None


@forks
def test_what_is_registered_runs_in_the_child_alone_with_the_parents_pid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forking, "_functions", [*forking._functions])
    called: list[int] = []
    on_fork(called.append)
    assert in_child(lambda: called) == [os.getpid()]
    assert called == []


@forks
def test_a_function_that_fails_in_the_child_does_not_keep_others_from_running(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forking, "_functions", [*forking._functions])
    called: list[int] = []

    def fail(_: int) -> None:
        raise RuntimeError("scripted")

    on_fork(fail)
    on_fork(called.append)
    lock = reentrant_lock()
    assert in_child(lambda: (called, is_free(lock))) == ([os.getpid()], True)


@forks
def test_an_interrupt_before_the_fork_leaves_all_locks_taken_and_then_free(monkeypatch: pytest.MonkeyPatch) -> None:
    lock = reentrant_lock()
    interrupted: list[bool] = []
    original = forking._try_all

    def interrupt() -> Any:
        if not interrupted:
            interrupted.append(True)
            lock.acquire()
            forking._taken.append(lock)
            raise KeyboardInterrupt
        return original()

    monkeypatch.setattr(forking, "_try_all", interrupt)
    unraisable: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", unraisable.append)
    assert in_child(lambda: is_free(lock)) is True
    assert is_free(lock)
    assert [each.exc_type for each in unraisable] == [KeyboardInterrupt]


def test_what_is_kept_for_ever_outlives_its_references() -> None:
    class Kept:
        """Something with a finalizer that must not run."""

    kept, other = Kept(), Kept()
    references = [weakref.ref(kept), weakref.ref(other)]
    keep_for_ever([kept])
    del kept, other
    gc.collect()
    assert [reference() is not None for reference in references] == [True, False]


def test_the_message_says_whose_it_is_and_what_to_do() -> None:
    assert belongs_to(12) == (
        "it belongs to the process that made it (pid 12), from which this one was forked, and its threads are not in"
        " this process. Make a context in each process after the fork, with webnn.create_context()"
    )


# Every lock of the package is made by `reentrant_lock`.

LOCKS = {"Lock", "RLock", "Condition", "Semaphore", "BoundedSemaphore", "Barrier"}


def locks_made(source: str) -> list[int]:
    """The lines that make a lock of `threading`; a condition may be given one of ours, and a task's lock may be any."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    calls = [call for call in calls if not ast.unparse(call.func).startswith("asyncio.")]
    names = [(call, f.attr if isinstance(f := call.func, ast.Attribute) else getattr(f, "id", "")) for call in calls]
    ours = {call for call, name in names if name == "reentrant_lock"}
    return [call.lineno for call, name in names if name in LOCKS and not ours.intersection(call.args)]


@pytest.mark.skipif(not (ROOT / "webnn").is_dir(), reason="the sources are not beside the tests")
def test_every_lock_is_one_that_a_fork_leaves_free() -> None:
    found = []
    for folder in ("webnn", "scheduler", "memory", "backends"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if path != ROOT / "webnn" / "forking.py":
                found += [f"{path.relative_to(ROOT)}:{line}" for line in locks_made(path.read_text(encoding="utf-8"))]
    assert found == []


def test_another_lock_would_be_found() -> None:
    assert locks_made("import threading\nlock = threading.Lock()\n") == [2]
    assert locks_made("from threading import Condition\n\ndef f():\n    return Condition()\n") == [4]
    assert locks_made("turn = asyncio.Lock()\n") == []
    assert locks_made("condition = threading.Condition(reentrant_lock())\n") == []


# Every import inside a function is one that a fork waits for.

AT_IMPORT = {ROOT / "backends" / "onnxruntime" / "native.py", ROOT / "webnn" / "starting.py"}
"""Modules whose functions import only while a backend is imported, by `import_whole`, or the package itself."""


def unguarded_imports(source: str) -> list[int]:
    """The lines of imports inside functions that are not inside `with import_lock`."""
    found: set[int] = set()
    guarded: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        lines = {child.lineno for child in ast.walk(node) if isinstance(child, ast.Import | ast.ImportFrom)}
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found |= lines
        elif isinstance(node, ast.With) and any(ast.unparse(item) == "import_lock" for item in node.items):
            guarded |= lines
    return sorted(found - guarded)


@pytest.mark.skipif(not (ROOT / "webnn").is_dir(), reason="the sources are not beside the tests")
def test_a_fork_waits_for_every_import_inside_a_function() -> None:
    found = []
    for folder in ("webnn", "scheduler", "memory", "backends"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if path not in AT_IMPORT:
                lines = unguarded_imports(path.read_text(encoding="utf-8"))
                found += [f"{path.relative_to(ROOT)}:{line}" for line in lines]
    assert found == []


def test_an_import_that_a_fork_does_not_wait_for_would_be_found() -> None:
    assert unguarded_imports("import os\n\ndef f():\n    import sys\n    with import_lock:\n        import re\n") == [4]
