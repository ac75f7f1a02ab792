"""The executables of a graph beside the one for all cores; see `webnn.scheduler.width`."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import TypeAlias
from weakref import ref

from webnn.backends.base import Cancellation, CompileOptions, Executable
from webnn.backends.session_cache import Use, session_cache
from webnn.forking import reentrant_lock
from webnn.graph.ir import Graph
from webnn.runtime.device import Device
from webnn.scheduler.width import Widths

__all__ = ["Around", "NarrowExecutable"]

Around: TypeAlias = Callable[[Executable], Executable]

_log = logging.getLogger("webnn")


class NarrowExecutable:
    """Compiles `graph` once more, on the slow lane, when that is asked for; and gives the result back.

    It is compiled over the same arrays as the first executable, through the same caches.

    Args:
        device: the device of the graph, to which no reference is kept.
        graph: the graph to compile.
        options: the options that compile it for one thread; or for threads that rest, as they say.
    """

    def __init__(self, device: Device, graph: Graph, options: CompileOptions) -> None:
        self._device = ref(device)
        self._graph = graph
        self._options = options
        self._lock = reentrant_lock()  # around `_used` and `_ended`
        self._used: Use | None = None
        self._ended = False
        self._around: Around | None = None
        self._cancellation = Cancellation()

    def start(self, widths: Widths) -> None:
        """Compile on the slow lane, and add the executable to `widths`, unless the memory budget forbids it."""
        device = self._device()
        if device is None or self._ended:
            return
        if not device.pool.holds(self._graph.constant_bytes):
            widths.refusal = "the memory budget has no room for weights that are packed a second time"
            return
        device.slow_lane.wake(partial(self._compile, device, widths))

    def _compile(self, device: Device, widths: Widths) -> bool:
        if self._ended:
            return False
        try:
            use = device.compile(self._graph, self._options, self._cancellation)
        except BaseException as error:  # the graph goes on with the executable that it has
            if not self._cancellation.cancelled and not self._options.resting:
                widths.refusal = f"it could not be compiled for one thread: {error}"
                _log.warning("a graph keeps running on all cores beside others: %s", widths.refusal)
            return False
        with self._lock:
            if not self._ended:
                self._used = use
                self._hand_over(widths, use.executable)
                return False
        session_cache.release(use)
        return False

    def wrap(self, widths: Widths, around: Around | None) -> None:
        """Run `around(executable)` instead of the executable, which may not be compiled yet; None for itself again."""
        with self._lock:
            self._around = around
            if self._used is not None:
                self._hand_over(widths, self._used.executable)

    def _hand_over(self, widths: Widths, executable: Executable) -> None:
        if self._around is not None:
            executable = self._around(executable)
        if self._options.resting:
            widths.resting = executable
        else:
            widths.narrow = executable

    def cancel(self) -> None:
        """Stop the compilation if it is under way."""
        self._cancellation.cancel()

    def release(self) -> None:
        """The graph needs the executable no longer. Runs that were queued go on with it."""
        with self._lock:
            self._ended = True
            use, self._used = self._used, None
        if use is not None:
            session_cache.release(use)
