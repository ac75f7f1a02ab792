"""A timeline whose lanes and clock are driven by the test, and graphs that are Python functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from threading import get_ident
from typing import Any, Final, TypeAlias

import numpy as np

from webnn.backends.base import Ending, Executable
from webnn.errors import ContextLostError
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.in_place import InPlaceOutput, Replaced
from webnn.graph.ir import Graph
from webnn.graph.operand import MLOperand
from webnn.memory.allocator import Allocator, HostAllocator
from webnn.memory.buffer import View
from webnn.memory.lease import SMALL as SMALL_ARRAY
from webnn.memory.pool import BufferPool
from webnn.scheduler.execution import LONG
from webnn.scheduler.hot_chains import Chain, HotChains
from webnn.scheduler.lane import Lane, ThreadLane
from webnn.scheduler.merged_runs import run_merged
from webnn.scheduler.promise import Promise
from webnn.scheduler.results import Dispatch
from webnn.scheduler.statistics import GraphFigures
from webnn.scheduler.task import Work
from webnn.scheduler.timeline import Timeline
from webnn.scheduler.value import Name

__all__ = [
    "CHEAP",
    "HALF_WRITTEN",
    "INLINE_LIMIT",
    "LARGE",
    "LOST",
    "SMALL",
    "Clock",
    "DeviceAllocator",
    "Endable",
    "Function",
    "Rig",
    "SteppedLane",
    "Together",
    "Use",
    "broken",
    "cell",
    "now",
    "number_in",
    "replaced",
]

Array: TypeAlias = np.ndarray[Any, Any]

SMALL: Final = MLOperandDescriptor("float32", [4])
"""Small enough for the timeline's short cuts: such values may be written in place and read by copying."""
LARGE: Final = MLOperandDescriptor("float32", [2048])
"""Too large for these short cuts."""

CHEAP: Final = 1_000
"""Nanoseconds of a run that is cheap enough for the thread that awaits its result, with `INLINE_LIMIT`."""
INLINE_LIMIT: Final = 50_000

HALF_WRITTEN: Final = -7
"""Fills the outputs of runs that were ended."""

LOST: Final = ContextLostError("the context was lost: a test said so")


class DeviceAllocator(HostAllocator):
    """Memory of a device, as far as the timeline can tell: reading copies, and is counted."""

    is_host = False

    def __init__(self) -> None:
        self.read_on: list[int] = []
        """The threads that have read."""

    def host_array(self, view: View) -> Array:
        self.read_on.append(get_ident())
        return super().host_array(view).copy()


class Clock:
    """A clock in nanoseconds, which the test sets."""

    def __init__(self) -> None:
        self.now = 1

    def __call__(self) -> int:
        return self.now


class Function(Executable):
    """An executable that calls a Python function: arrays in, an array or a tuple of arrays or numbers out."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__((), ())
        self.function = function

    def run(self, inputs: Sequence[View], outputs: Sequence[View]) -> None:
        results = self.function(*(view.array for view in inputs))
        for view, result in zip(outputs, results if isinstance(results, tuple) else (results,), strict=True):
            view.array[...] = result


class Flag(Ending):
    """Ends a run of `Endable`."""

    def end(self) -> None:
        self.asked = True


class Endable(Function):
    """A `Function` whose runs can be ended: before the function is called, or by a call within the function."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        self.endings: list[Ending] = []
        """Those of all runs that had one."""

    def ending(self) -> Ending:
        return Flag()

    def run_until(self, inputs: Sequence[View], outputs: Sequence[View], ending: Ending) -> None:
        self.endings.append(ending)
        if not ending.asked:
            self.run(inputs, outputs)
        if ending.asked:
            for view in outputs:
                view.array[...] = HALF_WRITTEN
            raise CancelledError


class Together(Executable):
    """A merged chain: runs the executables of its works, in no time, and then calls `after` with the outputs."""

    def __init__(self, rig: Rig, chain: Chain, after: Callable[[Sequence[View]], object]) -> None:
        super().__init__((), ())
        self._rig = rig
        self._chain = chain
        self._after = after

    def run(self, inputs: Sequence[View], outputs: Sequence[View]) -> None:
        views = dict(enumerate(outputs)) | dict(zip(self._chain.read, inputs, strict=True))
        began = self._rig.clock.now
        for work, link in zip(self._chain.works, self._chain.links, strict=True):
            assert work.executable is not None
            work.executable.run([views[number] for number in link.inputs], [views[number] for number in link.outputs])
            self._rig.ran.pop()
        self._rig.ran.append(f"{len(self._chain.works)} merged")
        self._rig.clock.now = began
        self._after(outputs)


class Use:
    """The use of a merged chain: when it is freed, its works are put into `released`."""

    def __init__(self, works: Sequence[Work], released: list[Sequence[Work]]) -> None:
        self._works = works
        self._released = released

    def __del__(self) -> None:
        self._released.append(self._works)


class Cell(Replaced):
    """The element that `Rig.scatter` replaces."""

    def __init__(self) -> None:
        pass

    def index(self, inputs: Callable[[int], Array]) -> Any:
        return np.array([cell(inputs(1))])


def cell(at: Array) -> int:
    """The number of the element that a scatter at `at` replaces: two cells, so that it often is the same again."""
    return int(at[0]) % 2


def replaced(state: Array, at: Array) -> Array:
    """What `Rig.scatter` computes."""
    result = state.copy()
    result[cell(at)] = at[0]
    return result


class Unmeasured(Work):
    """Work whose expected cost is set by the test, and does not change when it runs."""

    def measured(self, nanoseconds: int) -> None:
        pass


class SteppedLane(Lane):
    """A lane that is driven by hand: `step()` runs waiting work on the caller's thread."""

    def __init__(self) -> None:
        self._inbox: list[Callable[[], bool]] = []

    def wake(self, drain: Callable[[], bool], *, timed: bool = True) -> None:
        """Remember that there is work."""
        self._inbox.append(drain)

    def step(self) -> bool:
        """Run one task if one is ready. Returns whether there was one."""
        while self._inbox:
            if self._inbox[0]():
                return True
            self._inbox.pop(0)
        return False

    def close(self, *, wait: bool) -> None:
        """Forget the waiting work."""
        self._inbox.clear()


class Rig:
    """A timeline for tests.

    Args:
        lanes: the number of stepped lanes.
        threads: the number of lanes that are threads, which replace the stepped ones. Call `end()` to end them.
        inline_limit: by default 0, so that everything runs on the lanes; tests of the inline lane raise it.
        budget: the budget of the pool.
        allocator: of the pool; by default that of host memory.
        descriptor: the descriptor of all tensors.
        options: other options of the timeline.
    """

    def __init__(
        self,
        lanes: int = 1,
        *,
        threads: int = 0,
        inline_limit: float = 0,
        budget: int | None = None,
        allocator: Allocator | None = None,
        descriptor: MLOperandDescriptor = LARGE,
        **options: Any,
    ) -> None:
        self.clock = Clock()
        self.pool = BufferPool(allocator or HostAllocator(), budget)
        self.shelf = self.pool.shelf(descriptor)
        self.lanes = [SteppedLane() for _ in range(lanes)]
        workers = [ThreadLane(f"webnn-test-{i}") for i in range(threads)]
        self.timeline = Timeline(
            self.pool, workers or self.lanes, clock=self.clock, inline_limit=inline_limit, **options
        )
        self.ran: list[str] = []
        """The labels of the works that have run, in order."""
        self.works: list[Work] = []
        """All works that were made."""
        self.released: list[Sequence[Work]] = []
        """The works of the merged chains whose executables were given back."""
        self._uncompiled: dict[Work, Function] = {}
        x = MLOperand(object(), descriptor, name="x")
        self._graph = Graph([x], {"y": x})  # stands for those of all works

    @property
    def size(self) -> int:
        """Bytes of one value, as the pool counts them."""
        return self.shelf.size

    def name(self, number: float | None = None) -> Name:
        """A tensor, filled with `number` if it is given."""
        name = Name(self.shelf)
        if number is not None:
            self.write(name, number)
        return name

    def work(
        self,
        label: str,
        function: Callable[..., Any] = lambda *inputs: sum(inputs) + 1,
        *,
        nanoseconds: int = 1000,
        cost: float | None = None,
        measured: bool = True,
        compiled: bool = True,
        outputs: int = 1,
    ) -> Work:
        """The work of one graph's tasks. A run takes `nanoseconds`, and is expected to take `cost`.

        With `measured=False`, the expected cost never changes.
        """

        def run(*inputs: Array) -> Any:
            self.ran.append(label)
            self.clock.now += nanoseconds
            return function(*inputs)

        size = self.shelf.descriptor.byte_length
        figures = GraphFigures(label, 1, input_bytes=size, small_bytes=outputs * size if size <= SMALL_ARRAY else 0)
        self.timeline.figures.add(figures)
        work = (Work if measured else Unmeasured)(outputs * self.shelf.size, figures)
        self.works.append(work)
        work.graph = self._graph
        if cost is not None:
            work.cost = cost
        if compiled:
            work.executable = Function(run)
        else:
            self._uncompiled[work] = Function(run)
        return work

    def scatter(self, label: str = "scatter", function: Callable[..., Any] = replaced, **options: Any) -> Work:
        """Work that replaces an element of its first input, and can do so in place."""
        return self.in_place(self.work(label, function, **options), InPlaceOutput(0, 0, True, Cell()))

    def endable(self, label: str, function: Callable[..., Any], **options: Any) -> Work:
        """Work whose runs can be ended, and are expected to take long."""
        work = self.work(label, function, **{"nanoseconds": LONG, **options})
        assert isinstance(work.executable, Function)
        work.executable = Endable(work.executable.function)
        return work

    @staticmethod
    def in_place(work: Work, *outputs: InPlaceOutput) -> Work:
        """`work`, with outputs that may be computed in the memory of an input."""
        assert work.executable is not None
        work.executable.in_place = outputs
        return work

    def merge(self, after: Callable[[Sequence[View]], object] = lambda _: None, **options: Any) -> HotChains:
        """Merge hot chains from now on. They are compiled at once. The options are those of `HotChains`."""
        chains = HotChains(**options)

        def compile(chain: Chain) -> None:
            runs = self.timeline.inline.merged
            assert runs is not None
            runs.compiled(chain, Together(self, chain, after), chain.read, Use(chain.works, self.released))

        run_merged(self.timeline, compile, chains)
        return chains

    def compile(self, work: Work, error: BaseException | None = None) -> None:
        """End the compilation of `work`, with an executable or with `error`."""
        executable = self._uncompiled.pop(work)
        if error is None:
            work.executable = executable
        else:
            work.error = error
        self.timeline.compiled(work)

    def write(self, name: Name, number: float) -> None:
        descriptor = name.shelf.descriptor
        self.timeline.write(name, np.full(descriptor.shape, number, descriptor.dtype))

    def dispatch(self, work: Work, inputs: Sequence[Name], outputs: Sequence[Name] | Name) -> Dispatch:
        return self.timeline.dispatch(work, inputs, [outputs] if isinstance(outputs, Name) else outputs)

    def read(self, name: Name, out: Array | None = None) -> Promise[Any]:
        return self.timeline.read(name, out)

    def step(self, lane: int = 0) -> bool:
        """Run one task on a lane if one is ready. Returns whether there was one."""
        return self.lanes[lane].step()

    def run_all(self) -> None:
        """Run tasks on all lanes until none is ready."""
        while any(lane.step() for lane in self.lanes):
            pass

    def end(self) -> None:
        """Destroy the timeline."""
        self.timeline.shutdown.destroy(LOST)

    @property
    def in_use(self) -> int:
        """The number of values that the pool counts as in use."""
        self.timeline.inline.settle_unasked()  # the timeline collects some reads, and settles them together
        self.timeline.tidy()
        in_use = self.pool.info().in_use
        assert in_use % self.size == 0
        return in_use // self.size


def number_in(array: Array) -> float:
    """The number that fills an array."""
    number = float(array.flat[0])
    assert (array == number).all()
    return number


def now(promise: Promise[Any]) -> float:
    """The number in the array of a promise that has settled."""
    assert promise.done()
    return number_in(promise.result())


def broken(error: BaseException) -> Callable[..., Any]:
    """A function that raises `error`."""

    def fail(*_: object) -> None:
        raise error

    return fail
