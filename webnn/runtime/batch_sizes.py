"""The batch sizes of a graph: compiled in the background, on the device's slow lane, as its batcher wants them.

Each size is a graph of its own with the same constants, which are found again by the session cache and handed over in
place as for any other graph.
"""

from __future__ import annotations

import logging
import weakref
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from webnn.backends.base import Cancellation
from webnn.backends.session_cache import Use, session_cache
from webnn.forking import reentrant_lock
from webnn.graph.batching import stacked
from webnn.graph.ir import Graph
from webnn.memory.pool import Shelf
from webnn.runtime.device import Device
from webnn.scheduler.batches.batcher import Batcher
from webnn.scheduler.batches.computation import Size
from webnn.scheduler.task import Work

__all__ = ["BatchSizes"]

_log = logging.getLogger("webnn")


class BatchSizes:
    """Compiles a separable graph for several requests at a time.

    Args:
        device: compiles and runs it. It is not kept alive.
        graph: for one request.
        work: the work of `graph`.
        inputs: the shelves of its inputs.
        outputs: the names and shelves of its outputs.
    """

    def __init__(
        self,
        device: Device,
        graph: Graph,
        work: Work,
        inputs: Sequence[Shelf],
        outputs: Sequence[tuple[str, Shelf]],
    ) -> None:
        self._device = weakref.ref(device)
        self._graph = graph
        self._cancellation = Cancellation()
        self._lock = reentrant_lock()  # around `_used` and `_closed`
        self._used: list[Use] = []
        self._closed = False
        self.batcher = Batcher(
            device.timeline,
            work,
            inputs,
            outputs,
            max_batch=device.max_batch,
            max_delay=1e9 * device.max_delay,
            compile=self._start,
        )

    def _start(self, size: int, narrow: bool) -> None:
        device = self._device()
        if device is not None:
            device.slow_lane.wake(partial(self._compile, size, narrow))

    def _compile(self, size: int, narrow: bool) -> bool:
        """Compile, for one thread if `narrow`, on the slow lane. Returns False, since there is nothing more to do."""
        device = self._device()
        if device is None or self._closed:
            return False
        try:
            graph = stacked(self._graph, size)
            options = device.options
            if narrow and options.threads == 0:
                options = replace(options, threads=1)
            use = device.compile(graph, options, self._cancellation)
        except BaseException:  # the requests do not need it: they run one by one
            if not self._cancellation.cancelled:
                _log.warning("no batches of %d: they cannot be compiled", size, exc_info=True)
            self.batcher.computation.failed(size)
            return False
        with self._lock:
            closed = self._closed
            if not closed:
                self._used.append(use)
        if closed:
            session_cache.release(use)
            return False
        inputs = [device.pool.shelf(descriptor) for descriptor in graph.input_descriptors.values()]
        outputs = [device.pool.shelf(descriptor) for descriptor in graph.output_descriptors.values()]
        self.batcher.computation.compiled(size, Size(use.executable, inputs, outputs))
        return False

    def close(self) -> None:
        """Give the compiled sizes back. Batches that are queued still have theirs. Calling it again is fine."""
        self._cancellation.cancel()
        with self._lock:
            self._closed = True
            used, self._used = self._used, []
        for use in used:
            session_cache.release(use)
