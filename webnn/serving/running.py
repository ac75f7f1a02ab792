"""A server from model files to its end: loads, listens, answers, drains."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from webnn.backends.trimming import keep_freed_memory
from webnn.formats.files import Source
from webnn.runtime.context import MLContext
from webnn.runtime.ml import ML
from webnn.runtime.parts import device_of
from webnn.runtime.tracing import Trace
from webnn.serving.access_log import AccessLog
from webnn.serving.application import Application
from webnn.serving.exchanges import Limits, Shared
from webnn.serving.listening import listen
from webnn.serving.loading import load
from webnn.serving.priority import give_way
from webnn.serving.repository import Served
from webnn.serving.server import Server

__all__ = ["Options", "run"]

COLLECT: Final = 100_000
"""Objects between two looks of the garbage collector at the youngest ones. A request makes some dozens, nearly all of
which go by themselves. A thousand clients that have sent requests have fifty thousand, and a look at as many takes
longer than a short run."""
KEPT: Final = 64 * 1024 * 1024
"""Bytes of freed memory that the process keeps. A request of 600 KB costs half as much if it gets its pages again."""
SWITCH: Final = 0.0005
"""Seconds for which a thread keeps the interpreter while another one waits for it, a tenth of Python's own. The event
loop gives it up for too short a time when it calls the system, so a run would begin when the loop has nothing to do."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a server runs.

    Attributes:
        host: the address to listen on.
        port: 0 for any free one.
        limits: the limits of queues, times and bodies.
        max_batch: the most items in a run.
        backend: its name; None for the best one.
        threads: for one run; 0 lets the backend choose.
        access_log: the file for a line about each request; "-" for the standard output.
        trace: the file for a trace of the runtime, from the first request on.
        trace_seconds: how many seconds the trace covers.
    """

    host: str
    port: int
    limits: Limits
    max_batch: int
    backend: str | None
    threads: int
    access_log: str | None
    trace: Path | None
    trace_seconds: float


def run(
    models: Sequence[tuple[str, str, Source]],
    options: Options,
    *,
    version: str,
    loading: Callable[[Path], contextlib.AbstractContextManager[Any]],
    warn: Callable[[str], object],
    started: Callable[[str, Sequence[Served]], object],
) -> None:
    """Serve models until a signal ends it.

    Args:
        models: names, versions and files.
        options: how it runs.
        version: the version of the server, for its metadata.
        loading: makes the context manager in which a file is loaded, such as a progress bar.
        warn: called with a message about each model that is not served as its file would allow.
        started: called with the address and the models when requests are answered.
    """
    sys.setswitchinterval(SWITCH)
    with ExitStack() as stack:
        listener = stack.enter_context(
            listen(options.host, options.port)
        )  # first: a port that is taken is seen at once
        log = None
        if options.access_log is not None:
            file = sys.stdout if options.access_log == "-" else stack.enter_context(open(options.access_log, "a"))
            log = AccessLog(file)
            stack.callback(log.flush)
        context = stack.enter_context(
            ML().create_context(backend=options.backend, threads=options.threads, max_batch=options.max_batch)
        )
        device_of(context).on_each_thread(give_way)
        served = []
        for name, number, source in models:
            with loading(source.path):
                each, why = load(name, number, source, context, options.max_batch)
            served.append(each)
            if why:
                warn(f"{why}; each request has one item")
        application = Application(served, version=version, limits=options.limits, log=log)
        if options.trace is not None:
            tracing = Tracing(context, options.trace, options.trace_seconds, application.shared)
            stack.callback(tracing.stop)
        host, port = listener.getsockname()[:2]
        address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        keep_freed_memory(KEPT)
        gc.collect()
        gc.freeze()  # a look at all that the models and libraries are made of would hold up requests
        gc.set_threshold(COLLECT, *gc.get_threshold()[1:])
        Server(application, lambda: started(address, served)).run([listener])


class Tracing:
    """A trace of the first seconds of work.

    Args:
        context: is traced.
        target: the file.
        seconds: how long the trace is.
        shared: the state that all models share; it tells when the first request arrives.
    """

    def __init__(self, context: MLContext, target: Path, seconds: float, shared: Shared) -> None:
        self._trace: Trace | None = context.trace(target)
        self._seconds = seconds
        self._stack = ExitStack()
        shared.first = self._begin

    def _begin(self) -> None:
        if self._trace is not None:
            self._stack.enter_context(self._trace)
            loop = asyncio.get_running_loop()
            loop.call_later(self._seconds, loop.run_in_executor, None, self.stop)  # writing the file takes a while

    def stop(self) -> None:
        """Write the file, if that is not done yet."""
        self._trace = None
        self._stack.close()
