"""A second backend that runs a graph until the first one has compiled it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from webnn.backends.base import Backend, Cancellation, CompileOptions, Ending, Executable
from webnn.backends.session_cache import Use, session_cache
from webnn.graph.arguments import described
from webnn.graph.composites.composite import expanded
from webnn.graph.ir import Graph
from webnn.memory.allocator import Allocator
from webnn.memory.buffer import View
from webnn.runtime.device import Device

__all__ = ["compiled_meanwhile"]

_log = logging.getLogger("webnn")


def compiled_meanwhile(
    device: Device, backend: Backend, graph: Graph, cancellation: Cancellation
) -> tuple[Use, Executable] | None:
    """`graph` on `backend`: what to release, and what to run on the memory of the device. None if it cannot run it."""
    options = CompileOptions(device.options.threads)
    try:
        use = session_cache.compile(backend, expanded(graph, backend.composites), options, cancellation, device.disk)
    except BaseException as error:  # the graph waits for the other backend, as it would without this one
        if not cancellation.cancelled:
            _log.info("the %s backend does not run a graph meanwhile: %s", backend.name, described(error))
        return None
    executable, theirs, ours = use.executable, backend.allocator, device.pool.allocator
    if theirs.is_host and ours.is_host:
        return use, executable
    return use, _Copying(executable, theirs, ours)


class _Copying(Executable):
    """An executable of one device, for views of another one's memory."""

    def __init__(self, executable: Executable, memory: Allocator, other: Allocator) -> None:
        super().__init__(executable.inputs, executable.outputs, executable.byte_length)
        self._executable = executable
        self._memory = memory
        self._other = other

    def run(self, inputs: Sequence[View], outputs: Sequence[View]) -> None:
        self._run(inputs, outputs, self._executable.run)

    def ending(self) -> Ending | None:
        return self._executable.ending()

    def run_until(self, inputs: Sequence[View], outputs: Sequence[View], ending: Ending) -> None:
        self._run(inputs, outputs, lambda given, made: self._executable.run_until(given, made, ending))

    def _run(
        self,
        inputs: Sequence[View],
        outputs: Sequence[View],
        run: Callable[[Sequence[View], Sequence[View]], None],
    ) -> None:
        executable, memory, other = self._executable, self._memory, self._other
        given = [memory.view(d) for _, d in executable.inputs]
        made = [memory.view(d) for _, d in executable.outputs]
        for source, target in zip(inputs, given, strict=True):
            memory.write(target, other.host_array(source))
        run(given, made)
        for source, target in zip(made, outputs, strict=True):
            other.write(target, memory.host_array(source))
