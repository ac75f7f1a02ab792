"""Running a compiled graph on the device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from webnn.backends.base import Executable
from webnn.backends.webgpu.device import Session
from webnn.backends.webgpu.memory import DeviceArray, WebGpuAllocator
from webnn.memory.buffer import View

__all__ = ["WebGpuExecutable"]


@dataclass(slots=True)
class WebGpuExecutable(Executable):
    """Queues runs of a session. A run has not ended when `run` returns: whoever reads its outputs waits for it."""

    session: Session | None = None
    allocator: WebGpuAllocator | None = None

    def run(self, inputs: Sequence[View], outputs: Sequence[View]) -> None:
        """Queue a run whose outputs become the values of their views."""
        assert self.session is not None
        assert self.allocator is not None
        for view in outputs:  # so that the device can use the memory again
            elements: DeviceArray = view.array
            elements.value = elements.array = None
        values = self.session.run([self.allocator.value(view) for view in inputs])
        for view, value in zip(outputs, values, strict=True):
            view.array.value = value
