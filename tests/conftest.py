"""What every folder of tests shares: hypothesis settings, the loops, and the checks that nothing is left behind."""

from __future__ import annotations

import functools
import gc
import inspect
import os
import signal
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, settings

from tests.leaks import ErrorLog, watched
from tests.loops import EVENT_LOOPS, LOOPS, Loop, loop_named
from tests.scripted import Gate

# The first import of a backend takes long enough to look like a blocked event loop.
from webnn.backends.arrays import backend as _arrays  # noqa: F401
from webnn.errors import NotSupportedError

with suppress(NotSupportedError):  # in the environments of other backends
    from webnn.backends.onnxruntime import backend as _onnxruntime  # noqa: F401

# Deterministic by default; WEBNN_PROPERTY_PROFILE=thorough looks for what nobody has met yet.
_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]  # a busy machine is no failure
settings.register_profile(
    "default", max_examples=15, derandomize=True, database=None, deadline=None, suppress_health_check=_SLOW
)
settings.register_profile("thorough", max_examples=500, deadline=None, print_blob=True, suppress_health_check=_SLOW)
PROFILE = os.environ.get("WEBNN_PROPERTY_PROFILE", "default")
settings.load_profile(PROFILE)


def pytest_configure(config: pytest.Config) -> None:
    """Give thorough tests all the time that they take, unless the command line says otherwise."""
    if PROFILE == "thorough" and config.option.timeout is None:
        config.option.timeout = 0


if (
    signal.getsignal(signal.SIGINT) is signal.SIG_IGN
):  # as for jobs in the background; programs of tests would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(params=LOOPS)
def loop(request: pytest.FixtureRequest) -> Loop:
    """Runs a test that is a coroutine function on each kind of loop, and on a plain thread."""
    return loop_named(request.param)


@pytest.fixture(params=EVENT_LOOPS)
def event_loop(request: pytest.FixtureRequest) -> Loop:
    """As `loop`, without the plain thread."""
    return loop_named(request.param)


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """The event loops of a test that is marked with `pytest.mark.anyio`."""
    return str(request.param)


@pytest.fixture
def gate() -> Iterator[Gate]:
    """Holds up what a test gives it to, such as the runs of a `scripted_context`."""
    gate = Gate()
    yield gate
    gate.open()


@pytest.fixture
def error_log() -> ErrorLog:
    """The errors that were logged and not raised; a test that expects them empties `records`."""
    return ErrorLog()


@pytest.fixture(autouse=True)
def nothing_left(error_log: ErrorLog) -> Iterator[None]:
    """Fails a test that leaves threads of ours, pending promises or logged errors."""
    with watched(error_log):
        yield


def pytest_collection_finish() -> None:
    """Let the garbage collector look no more at what importing and collecting has made.

    There is so much of it that collections would hold up the event loops that the tests watch.
    """
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run tests that are coroutine functions on the loop they ask for; other plugins run those that ask for none."""
    names = pyfuncitem._fixtureinfo.argnames
    if not inspect.iscoroutinefunction(pyfuncitem.obj) or not {"loop", "event_loop"}.intersection(names):
        return None
    kind = "loop" if "loop" in names else "event_loop"
    chosen = pyfuncitem.funcargs[kind]
    assert isinstance(chosen, Loop)
    chosen.run(functools.partial(pyfuncitem.obj, **{name: pyfuncitem.funcargs[name] for name in names}))
    return True
