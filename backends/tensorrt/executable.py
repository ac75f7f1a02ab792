"""Running an engine on device pointers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any

from webnn.backends.base import Executable
from webnn.backends.cuda.stream import Stream
from webnn.errors import OperationError
from webnn.forking import reentrant_lock
from webnn.memory.buffer import View

__all__ = ["TensorRtExecutable"]


@dataclass(slots=True)
class TensorRtExecutable(Executable):
    """Queues runs of an engine on the stream of its device."""

    engine: Any = None
    context: Any = None
    """An `IExecutionContext`, which has the memory for what is between inputs and outputs."""
    stream: Stream | None = None
    input_names: Sequence[str] = ()
    output_names: Sequence[str] = ()
    milliseconds: float = inf
    """What the last run took on the device."""
    _lock: Any = field(default_factory=reentrant_lock)
    """From the first address that is set to the launch; runs that are queued on one stream may share the context."""

    def run(self, inputs: Sequence[View], outputs: Sequence[View]) -> None:
        """Queue the run, and wait for it if it is long; see `Stream`."""
        stream = self.stream
        assert stream is not None
        names = (*self.input_names, *self.output_names)

        def launch() -> None:
            with self._lock:
                for name, view in zip(names, (*inputs, *outputs), strict=True):
                    if not self.context.set_tensor_address(name, view.array.address):
                        raise OperationError(f"tensorrt: it does not take the address of {name!r}")
                if not self.context.execute_async_v3(stream.handle):
                    stream.cuda.check(stream.handle)
                    raise OperationError("tensorrt: the run cannot be queued")

        stream.run(launch, (inputs, outputs), self.milliseconds, self._measured)

    def _measured(self, milliseconds: float) -> None:
        self.milliseconds = milliseconds
