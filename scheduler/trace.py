"""What happens on a timeline, recorded while a trace is open.

While none is open, `Renaming.trace` is None, which is all that the rest of the scheduler asks. While one is open, it is
a `Recorder`, which is told of each event and extends the list of each trace by the elements of one record: nothing is
put in order, named or written before the trace is closed. `webnn.runtime.events` cuts the list into records and
makes events of them. A list of tuples would cost more, as the garbage collector looks at each.

The first element of a record is its kind, and says what the others are:

| kind | elements |
| --- | --- |
| QUEUED | called, queued, track, task, graph, number of outputs, number of inputs, outputs, inputs |
| RAN | began, ended, track, task, graph, queued, on a lane, reused buffers or None if it has failed |
| ENDED | at, track, task, graph, queued, state, reason |
| WROTE | began, ended, track, value, bytes, how |
| SETTLED | asked, filled since, ended, track, task or value, bytes copied, outcome |
| COMPILED | began, ended, track, graph, error |
| NOTED | task, name, content |
| SPENT | began, ended, track, name, content |
| AWAITED | began, ended, track, name, content |

Times are the timeline's clock in nanoseconds, a track is a number in `Recorder.tracks`, a graph one in `Figures.kept`.
Tasks and values are their `id`: a record must not hold them, since buffers would then be in use that are free without
the trace. An `id` may be that of an earlier object. This is not ambiguous: all records of an object come after the one
that introduces it, and before that of the next object with the same `id`. To that end QUEUED and WROTE are recorded
under the timeline's lock.

In QUEUED, `called` is 0 for a dispatch. A run has copied its inputs since `called`. Its values have no records, and it
counts none. In SETTLED, `asked` is 0 for the outputs of a run, and None if it was before the trace; `filled since` is 0
if nothing was filled.

To record something else: a fact about a task with `note`, something that takes a thread's time with `spent`, something
that a task of an event loop awaits with `awaited`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from webnn.forking import reentrant_lock
from webnn.scheduler.statistics import GraphFigures
from webnn.scheduler.task import Task
from webnn.scheduler.value import Value

__all__ = [
    "AWAITED",
    "COMPILED",
    "ENDED",
    "LENGTHS",
    "NOTED",
    "QUEUED",
    "RAN",
    "SETTLED",
    "SPENT",
    "WROTE",
    "Record",
    "Recorder",
    "Sink",
    "reusable",
]

Record = tuple[Any, ...]

QUEUED: Final = "queued"
RAN: Final = "ran"
ENDED: Final = "ended"
WROTE: Final = "wrote"
SETTLED: Final = "settled"
COMPILED: Final = "compiled"
NOTED: Final = "noted"
SPENT: Final = "spent"
AWAITED: Final = "awaited"

LENGTHS: Final = {QUEUED: 8, RAN: 9, ENDED: 8, WROTE: 7, SETTLED: 8, COMPILED: 6, NOTED: 4, SPENT: 6, AWAITED: 6}
"""Elements of a record of each kind; that of a queued task has one more for each output and each input."""


class Sink(Protocol):
    """Where the records of one trace go: a list, or an object that hands them to another thread."""

    def extend(self, record: Record, /) -> None:
        """Called with the timeline's lock or without it, from any thread."""
        ...


class _Thread(threading.local):
    """The calling thread. It gets the number of its track when it records for the first time."""

    def __init__(self, tracks: list[str]) -> None:  # called once in each thread
        with _numbering:
            self.track = len(tracks)
            tracks.append(threading.current_thread().name)


_numbering: Final = reentrant_lock()


class Recorder:
    """Tells the open traces of one timeline what happens.

    Args:
        clock: the timeline's clock, in nanoseconds.
    """

    def __init__(self, clock: Callable[[], int]) -> None:
        self.clock = clock
        self.sinks: tuple[Sink, ...] = ()
        self.tracks: list[str] = []
        """The name of each thread that has recorded something."""
        self.thread = _Thread(self.tracks)
        self.add: Callable[[Record], object] = self._add_to_all
        self.called = 0
        """When the call began that is about to queue a task, whose inputs it has copied. Guarded by the lock."""

    def attach(self, sink: Sink) -> None:
        """Extend `sink` by every record from now on."""
        self._set((*self.sinks, sink))

    def detach(self, sink: Sink) -> None:
        """Extend `sink` no more."""
        self._set(tuple(each for each in self.sinks if each is not sink))

    def _set(self, sinks: tuple[Sink, ...]) -> None:
        self.add = sinks[0].extend if len(sinks) == 1 else self._add_to_all
        self.sinks = sinks

    def _add_to_all(self, record: Record) -> None:
        for sink in self.sinks:
            sink.extend(record)

    # Called with the timeline's lock.

    def queued(self, task: Task) -> None:
        """`task` is being queued."""
        outputs, graph, called = task.outputs, task.work.figures.number, self.called
        if called:
            self.add((QUEUED, called, task.queued_at, self.thread.track, id(task), graph, 0, 0))
            self.called = 0
            return
        inputs = task.inputs
        if len(outputs) == 1 and len(inputs) == 1:  # building it of parts takes twice as long
            self.add(
                (QUEUED, 0, task.queued_at, self.thread.track, id(task), graph, 1, 1, id(outputs[0]), id(inputs[0]))
            )
        elif len(outputs) == 1 and len(inputs) == 2:
            a, b = inputs
            self.add(
                (QUEUED, 0, task.queued_at, self.thread.track, id(task), graph, 1, 2, id(outputs[0]), id(a), id(b))
            )
        else:
            values = (*map(id, outputs), *map(id, inputs))
            self.add(
                (QUEUED, 0, task.queued_at, self.thread.track, id(task), graph, len(outputs), len(inputs), *values)
            )

    def ran(self, task: Task, began: int, ended: int, on_lane: bool, reused: int | None) -> None:
        """`task` has run, and so many of its output buffers had been in use before; None if it has failed."""
        self.add(
            (RAN, began, ended, self.thread.track, id(task), task.work.figures.number, task.queued_at, on_lane, reused)
        )

    def ended(self, task: Task, reason: str) -> None:
        """`task` has failed, or was dropped or cancelled."""
        state = task.state.name.lower()
        self.add(
            (ENDED, self.clock(), self.thread.track, id(task), task.work.figures.number, task.queued_at, state, reason)
        )

    def wrote(self, value: Value, began: int, copied: int, how: str = "") -> None:
        """`value` was made by a call that began at `began`, and has copied so many bytes."""
        self.add((WROTE, began, self.clock(), self.thread.track, id(value), copied, how))

    def note(self, task: Task, name: str, content: object) -> None:
        """A fact about `task`: JSON that is shown with it."""
        self.add((NOTED, id(task), name, content))

    def placed(self, task: Task) -> None:
        """The memory of the outputs of `task` has been chosen: note which of it were inputs."""
        if task.placement is not None and task.placement.donated:
            self.note(task, "donated", len(task.placement.donated))

    # Called with it or without it.

    def settled(self, source: object, asked: int | None, filled_since: int, copied: int, outcome: str) -> None:
        """A promise of a value, or of the outputs of a task, has settled."""
        self.add((SETTLED, asked, filled_since, self.clock(), self.thread.track, id(source), copied, outcome))

    def compiled(self, figures: GraphFigures, began: int, error: str = "") -> None:
        """A graph has been compiled, or could not be."""
        self._add_span(COMPILED, began, figures.number, error)

    def spent(self, name: str, began: int, **content: object) -> None:
        """The calling thread has spent the time since `began` on something else: JSON that is shown with it."""
        self._add_span(SPENT, began, name, content)

    def awaited(self, name: str, began: int, **content: object) -> None:
        """A task of an event loop has waited since `began`, while others may have used its thread."""
        self._add_span(AWAITED, began, name, content)

    def _add_span(self, kind: str, began: int, *elements: object) -> None:
        self.add((kind, began, self.clock(), self.thread.track, *elements))


def reusable(outputs: Sequence[Value]) -> int:
    """How many of these values will get a buffer that is idle now."""
    if len(outputs) == 1:
        return 1 if outputs[0].shelf.views else 0
    many, taken = 0, dict[int, int]()
    for value in outputs:
        shelf = value.shelf
        before = taken.get(id(shelf), 0)
        many += before < len(shelf.views)
        taken[id(shelf)] = before + 1
    return many
