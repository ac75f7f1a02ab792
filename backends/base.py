"""What a backend is. The scheduler and the runtime know these contracts and no backend."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Final, Literal, TypeAlias

from webnn.forking import reentrant_lock
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.ir import Graph
from webnn.graph.limits import ALGORITHM_GAPS, LimitsTable, narrowed
from webnn.memory.allocator import Allocator, HostAllocator
from webnn.memory.buffer import View

__all__ = ["Backend", "Cancellation", "CompileOptions", "DeviceType", "Executable", "PowerPreference"]

PowerPreference: TypeAlias = Literal["default", "high-performance", "low-power"]
DeviceType: TypeAlias = Literal["cpu", "gpu", "npu"]


YIELD_INTERVAL: Final = 0.001
"""Seconds that a compilation in Python keeps the interpreter; giving it away costs some 60 us each time."""


class Cancellation:
    """Tells a running compilation to stop. Thread-safe; once cancelled it stays so."""

    __slots__ = ("_callbacks", "_event", "_lock", "_yielded")

    def __init__(self) -> None:
        self._yielded = 0.0
        self._event = threading.Event()
        self._lock = reentrant_lock()
        self._callbacks: list[Callable[[], object]] = []

    def cancel(self) -> None:
        """Ask for the compilation to stop; callbacks run on this thread."""
        with self._lock:
            if self._event.is_set():
                return
            self._event.set()
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def on_cancel(self, callback: Callable[[], object]) -> None:
        """Call `callback()` at `cancel`, or now if that has happened."""
        with self._lock:
            if not self._event.is_set():
                self._callbacks.append(callback)
                return
        callback()

    def checkpoint(self) -> None:
        """Raise `CancelledError` if `cancel` was called; else let other threads have the interpreter for a moment.

        A compilation in Python calls it often, so that an event loop on another thread never waits for it.
        """
        if self._event.is_set():
            raise CancelledError
        now = time.monotonic()
        if now - self._yielded > YIELD_INTERVAL:
            time.sleep(0)
            self._yielded = time.monotonic()

    @property
    def cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._event.is_set()


@dataclass(frozen=True, slots=True)
class CompileOptions:
    """What a context wants of a compilation. Equal options and equal graphs may share an executable.

    They are part of the keys of both caches, so only options that a backend reads belong here. Preferences that choose
    the device, such as the power preference, have done their work before anything is compiled.
    """

    threads: int = 0
    """Threads for one run; 0 lets the backend choose."""


@dataclass(slots=True, weakref_slot=True)
class Executable(ABC):
    """A compiled graph. It holds no reference to a context and may be shared by several graphs.

    Args:
        inputs: names and descriptors, in the order in which `run` takes the views.
        outputs: likewise.
        byte_length: about how much memory it holds, constants that it does not share with others included.
    """

    inputs: Sequence[tuple[str, MLOperandDescriptor]]
    outputs: Sequence[tuple[str, MLOperandDescriptor]]
    byte_length: int = field(default=0)

    @abstractmethod
    def run(self, inputs: Sequence[View], outputs: Sequence[View]) -> None:
        """Compute all `outputs` from `inputs`; blocks until they are written.

        Called from a lane. Several calls may be under way at once, on views of which no output is used twice. It must
        not keep the views' memory busy after it returns.

        Raises:
            OperationError: the backend's message, with the operator's label in front where it is known.
        """


class Backend(ABC):
    """Compiles graphs for one kind of device."""

    name: ClassVar[str]
    device_type: DeviceType = "cpu"

    @classmethod
    def unavailable(cls) -> str | None:
        """Why this machine cannot use it, in one line; None if it can."""
        return None

    @property
    def allocator(self) -> Allocator:
        """Makes the buffers that its executables read and write. Default: host memory."""
        return HostAllocator()

    def support_limits(self) -> LimitsTable:
        """What it can do: the specification's table, or less (`webnn.graph.limits.narrowed`)."""
        return narrowed(ALGORITHM_GAPS)

    @property
    def preferred_input_layout(self) -> Literal["nchw", "nhwc"]:
        """The layout in which `conv2d` and its like run without a detour."""
        return "nchw"

    @abstractmethod
    def compile(self, graph: Graph, options: CompileOptions, cancellation: Cancellation) -> Executable:
        """Compile; called from a background thread, and may take its time.

        Raises:
            OperationError: it failed; the message names the operator and its label where it can.
            CancelledError: (`concurrent.futures.CancelledError`) `cancellation` was set.
        """

    def stored_version(self) -> str | None:
        """What its stored form depends on besides the graph and the options; None if it has no stored form."""
        return None

    def compile_to(self, store: Path, graph: Graph, options: CompileOptions, cancellation: Cancellation) -> Executable:
        """As `compile`, and put files into the folder `store` from which `load` makes the same again."""
        raise NotImplementedError

    def load(self, store: Path, graph: Graph, options: CompileOptions, cancellation: Cancellation) -> Executable:
        """As `compile`, from the files that `compile_to` has put there.

        Raises:
            OperationError: it cannot be loaded.
        """
        raise NotImplementedError
