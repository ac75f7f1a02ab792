"""The contracts of a backend. The scheduler and the runtime know only these contracts, and no backend."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import CancelledError
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final, Literal, TypeAlias

from webnn.backends.processors import processor_name
from webnn.errors import ValidationError
from webnn.forking import import_lock, reentrant_lock
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.in_place import NOTHING_IN_PLACE, InPlace, InPlaceOutput
from webnn.graph.ir import Graph
from webnn.graph.limits import ALGORITHM_GAPS, LimitsTable, narrowed
from webnn.graph.quick_dataclass import dataclass
from webnn.memory.allocator import Allocator, HostAllocator
from webnn.memory.buffer import View

if TYPE_CHECKING:
    from webnn.graph.placement import OperatorPlacement
    from webnn.graph.rewrites import Rewrite

__all__ = [
    "Backend",
    "Cancellation",
    "CompileOptions",
    "DeviceInfo",
    "DeviceType",
    "Ending",
    "Executable",
    "PowerPreference",
]

PowerPreference: TypeAlias = Literal["default", "high-performance", "low-power"]
DeviceType: TypeAlias = Literal["cpu", "gpu", "npu"]


YIELD_INTERVAL: Final = 0.001
"""Seconds for which a compilation in Python keeps the interpreter; giving it up costs some 60 us each time."""


class Cancellation:
    """Tells a running compilation to stop. Thread-safe; cancelling is final."""

    __slots__ = ("_callbacks", "_event", "_lock", "_yielded", "yields")

    def __init__(self) -> None:
        self.yields = True
        """Whether `checkpoint` lets other threads run; without, they wait for the interpreter's own switch."""
        self._yielded = 0.0
        self._event = threading.Event()
        self._lock = reentrant_lock()
        self._callbacks: list[Callable[[], object]] = []

    def cancel(self) -> None:
        """Ask the compilation to stop; callbacks run on this thread."""
        with self._lock:
            if self._event.is_set():
                return
            self._event.set()
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def on_cancel(self, callback: Callable[[], object]) -> None:
        """Call `callback()` when `cancel` is called, or now if it has been called."""
        with self._lock:
            if not self._event.is_set():
                self._callbacks.append(callback)
                return
        callback()

    def checkpoint(self) -> None:
        """Raise `CancelledError` if `cancel` was called; otherwise let other threads run for a moment.

        A compilation in Python calls it often, so that an event loop on another thread never waits long.
        """
        if self._event.is_set():
            raise CancelledError
        if not self.yields:
            return
        now = time.monotonic()
        if now - self._yielded > YIELD_INTERVAL:
            time.sleep(0)
            self._yielded = time.monotonic()

    @property
    def cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._event.is_set()


class Ending(ABC):
    """Ends one run early. It belongs to that run alone, so it cannot end a later one that uses the same memory.

    Another run may have it if that run has ended and `end` was not called.
    """

    __slots__ = ("asked",)

    def __init__(self) -> None:
        self.asked = False
        """Whether `end` was called."""

    @abstractmethod
    def end(self) -> None:
        """Ask the run to end soon, or at once if it has not begun; does nothing if it has ended.

        Called from any thread, under the timeline's lock, and perhaps again: it sets a flag and waits for nothing.
        """


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """The device that runs a context's graphs, as `context.device` gives it."""

    type: DeviceType
    name: str
    """What its maker or its driver calls it, for instance "AMD EPYC 7B13 64-Core Processor"."""
    provider: str
    """What runs graphs there: an execution provider of onnxruntime, or the backend."""


@dataclass(frozen=True, slots=True)
class CompileOptions:
    """A context's options for compilations. Equal graphs with equal options may share an executable.

    They are part of the keys of both caches, so only options that a backend reads belong here. Preferences that choose
    the device, such as the power preference, do not: the device is chosen before anything is compiled.
    """

    threads: int = 0
    """Threads for one run; 0 lets the backend choose, and 1 makes an executable that keeps one core busy."""
    resting: bool = False
    """Whether the threads of the executable sleep between its runs, so that each run begins with waking them."""
    repeated: bool = False
    """Whether runs come again and again on the same few buffers, as merged replays do: worth capturing on a GPU."""
    backend: tuple[tuple[str, str], ...] = ()
    """The backend's own options, by name, as `Backend.check_options` has accepted them."""


@dataclass(slots=True, weakref_slot=True)
class Executable(ABC):
    """A compiled graph. It holds no reference to a context and may be shared by several graphs.

    Args:
        inputs: names and descriptors, in the order in which `run` takes the views.
        outputs: names and descriptors, in the order of the output views.
        byte_length: roughly the memory it holds, including constants that it does not share.
        in_place: the outputs that `run` also computes if they are given the view of an input.
    """

    inputs: Sequence[tuple[str, MLOperandDescriptor]]
    outputs: Sequence[tuple[str, MLOperandDescriptor]]
    byte_length: int = field(default=0)
    in_place: Sequence[InPlaceOutput] = field(default=(), kw_only=True)

    @abstractmethod
    def run(self, inputs: Sequence[View], outputs: Sequence[View]) -> None:
        """Compute all `outputs` from `inputs`; blocks until they are written.

        Called from a lane. Several calls may run at once, and no output view is used by two of them. An output view is
        also that of an input only where `in_place` allows it. It must not use the views' memory after it returns.

        Raises:
            OperationError: the backend's message, with the operator's label in front if it is known.
        """

    def ending(self) -> Ending | None:
        """Makes what can end the next `run_until`. None, the default, if runs always go on to their end.

        Called under the timeline's lock, before runs that are expected to take a millisecond or more.
        """
        return None

    def run_until(self, inputs: Sequence[View], outputs: Sequence[View], ending: Ending) -> None:
        """Like `run`, but `ending`, which was made for this run, may end it early.

        Raises:
            CancelledError: (`concurrent.futures.CancelledError`) it was ended. The outputs have any contents.
            OperationError: see `run`.
        """
        raise NotImplementedError


class Backend(ABC):
    """Compiles graphs for one kind of device."""

    name: ClassVar[str]
    device_type: DeviceType = "cpu"
    compiles_on_callers: ClassVar[bool] = False
    """Whether `compile` may run on any thread and is short for small graphs: threads that wait for one compile it."""
    in_place: ClassVar[InPlace] = NOTHING_IN_PLACE
    """The operators that its executables run in place. `Executable.in_place` says where they do."""

    @classmethod
    def unavailable(cls) -> str | None:
        """The reason why this machine cannot use it, in one line; None if it can."""
        return None

    def check_options(self, options: Mapping[str, str]) -> None:
        """Accept the options of this backend that `create_context(backend_options=...)` was given.

        Raises:
            ValidationError: an option is unknown, or its value is not one of those it takes.
            NotSupportedError: they ask for something that this machine does not have.
        """
        if options:
            raise ValidationError(f"backend_options: the {self.name} backend has none, got {', '.join(options)}")

    def preferred_options(self, power_preference: PowerPreference, accelerated: bool) -> Mapping[str, str]:
        """The options that the preferences of a context stand for, where the program gives none. Default: none."""
        return {}

    def device(self, options: Mapping[str, str]) -> DeviceInfo:
        """The device that runs graphs with these options of the backend, which `check_options` has accepted."""
        return DeviceInfo(self.device_type, processor_name() if self.device_type == "cpu" else self.name, self.name)

    def placements(self, graph: Graph, executable: Executable, options: CompileOptions) -> list[OperatorPlacement]:
        """Where each operator of `graph` runs, which `compile` has made `executable` of; `graph.explain()` shows it.

        The default is right for backends that run every operator themselves, in its own data types.
        """
        with import_lock:  # here, since most programs explain nothing
            from webnn.graph.placement import native_placements  # noqa: PLC0415

        return native_placements(graph, self.name)

    def rewrites(self, graph: Graph) -> list[Rewrite]:
        """What its passes do with `graph` before it is lowered; `graph.explain()` shows it. Default: nothing."""
        return []

    @property
    def allocator(self) -> Allocator:
        """Allocates the buffers that its executables read and write. Default: host memory."""
        return HostAllocator()

    def support_limits(self) -> LimitsTable:
        """The supported types and ranks: the specification's table, or less (`webnn.graph.limits.narrowed`)."""
        return narrowed(ALGORITHM_GAPS)

    @property
    def composites(self) -> Collection[str]:
        """The composites that it lowers itself, as `webnn.graph.composites` calls them; all others are expanded."""
        return ()

    @property
    def preferred_input_layout(self) -> Literal["nchw", "nhwc"]:
        """The layout in which `conv2d` and pooling run without a transpose."""
        return "nchw"

    @abstractmethod
    def compile(self, graph: Graph, options: CompileOptions, cancellation: Cancellation) -> Executable:
        """Compile `graph`. Called from a background thread, or see `compiles_on_callers`; may take long.

        Raises:
            OperationError: it failed; the message names the operator and its label if they are known.
            CancelledError: (`concurrent.futures.CancelledError`) `cancellation` was set.
        """

    def narrow_options(self, graph: Graph, options: CompileOptions) -> CompileOptions | None:
        """The options that compile `graph` for one thread, if runs of `compile(graph, options)` take several cores.

        Runs of the second executable go side by side, beside a busy program or other runs. It is compiled only when it
        is needed. None, the default, if runs are the same in both cases: they take one core or none, or `options` say
        how many.
        """
        return None

    def resting_options(self, graph: Graph, options: CompileOptions) -> CompileOptions | None:
        """The options that compile `graph` for threads that sleep between runs, if those of `options` would spin.

        That executable is compiled only if runs are short. None, the default, if there is no difference.
        """
        return None

    def stored_version(self) -> str | None:
        """A version of everything that the stored form depends on; None if the backend has no stored form."""
        return None

    def compile_to(self, store: Path, graph: Graph, options: CompileOptions, cancellation: Cancellation) -> Executable:
        """Like `compile`; also write files to the folder `store` from which `load` makes the same executable."""
        raise NotImplementedError

    def load(self, store: Path, graph: Graph, options: CompileOptions, cancellation: Cancellation) -> Executable:
        """Like `compile`, from the files that `compile_to` has written.

        Raises:
            OperationError: the files cannot be loaded.
        """
        raise NotImplementedError
