"""A backend that fails at any chosen call: once, or for good, as a device does that has died.

Its kernels are those of `arrays`. With `is_host=False`, its memory counts as that of a device, and is copied.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from typing import Any, ClassVar, Final

import numpy as np

from webnn.backends.arrays.backend import ArraysBackend
from webnn.backends.base import Backend, Cancellation, CompileOptions, Executable
from webnn.errors import DeviceLostError
from webnn.graph.in_place import InPlace
from webnn.graph.ir import Graph
from webnn.memory.allocator import Allocator, HostAllocator
from webnn.memory.buffer import Buffer, View

__all__ = ["CALLS", "HOST_CALLS", "BrokenError", "Faults", "FaultyBackend"]

CALLS: Final = ("compile", "allocate", "clear", "copy in", "bind", "run", "synchronize", "copy out")
"""What a backend with memory of its own does for the runtime. The last three steps of a run are one call to it."""
HOST_CALLS: Final = ("compile", "allocate", "bind", "run", "synchronize")
"""What a backend does that works in host memory, which cannot fail to be read and written."""

_numbers = itertools.count()


class BrokenError(Exception):
    """What the library of a device raises: no error of ours."""


class Faults:
    """Which call of a backend fails: the `number`th one called `call`, and all later ones of any name if it `dies`."""

    def __init__(self, call: str = "", number: int = 0, *, dies: bool = False) -> None:
        self.call = call
        self.number = number
        self.dies = dies
        self.made: Counter[str] = Counter()
        self.struck = 0
        """The calls that have failed."""
        self.name = f"faulty-{next(_numbers)}"

    def __call__(self, call: str) -> None:
        self.made[call] += 1
        if self.dies and self.struck:
            self.struck += 1
            raise DeviceLostError(f"the device is gone, seen at {call}")
        if call == self.call and self.made[call] == self.number:
            self.struck += 1
            if self.dies:
                raise DeviceLostError(f"the device is gone, seen at {call}")
            raise BrokenError(f"{call} failed")

    def repaired(self) -> None:
        """Nothing fails any more: the device has been started again."""
        self.call, self.struck = "", 0


class _DeviceAllocator(HostAllocator):
    is_host: ClassVar[bool] = False

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    def allocate(self, size: int) -> Buffer:
        self._faults("allocate")
        return super().allocate(size)

    def write(self, view: View, data: np.ndarray[Any, Any]) -> None:
        self._faults("copy in")
        super().write(view, data)

    def clear(self, view: View) -> None:
        self._faults("clear")
        super().clear(view)

    def host_array(self, view: View) -> np.ndarray[Any, Any]:
        self._faults("copy out")
        return super().host_array(view).copy()


class _MeanHostAllocator(HostAllocator):
    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    def allocate(self, size: int) -> Buffer:
        if not self._faults.dies:
            self._faults("allocate")
        return super().allocate(size)


class FaultyExecutable(Executable):
    """Binds, runs and waits, and may fail at each."""

    def __init__(self, executable: Executable, faults: Faults) -> None:
        super().__init__(executable.inputs, executable.outputs, in_place=executable.in_place)
        self._executable = executable
        self._faults = faults

    def run(self, inputs: Sequence[View], outputs: Sequence[View]) -> None:
        self._faults("bind")
        self._faults("run")
        self._executable.run(inputs, outputs)
        self._faults("synchronize")  # what was computed is lost


class FaultyBackend(Backend):
    """See the top of this module."""

    in_place: ClassVar[InPlace] = ArraysBackend.in_place

    def __init__(self, faults: Faults, *, is_host: bool) -> None:
        self.name = faults.name  # type: ignore[misc]
        self.faults = faults
        self._allocator = _MeanHostAllocator(faults) if is_host else _DeviceAllocator(faults)

    @property
    def allocator(self) -> Allocator:
        return self._allocator

    def compile(self, graph: Graph, options: CompileOptions, cancellation: Cancellation) -> Executable:
        self.faults("compile")
        return FaultyExecutable(ArraysBackend().compile(graph, options, cancellation), self.faults)
