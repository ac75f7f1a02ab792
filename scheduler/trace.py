"""What happens on a timeline, recorded while a trace is open.

While none is open, `Renaming.trace` is None, which is all that the rest of the scheduler asks. While one is open, it is
a `Recorder`, which is told of each event and appends one tuple to the list of each trace: nothing is put in order,
named or written before the trace is closed. `webnn.runtime.events` makes events of the records.

The first element of a record is its kind, and says what the others are:

| kind | elements |
| --- | --- |
| COPIED | called, track, task, bytes |
| QUEUED | called, queued, track, task, figures, inputs, outputs |
| RAN | began, ended, track, task, figures, queued, on a lane, reused buffers |
| ENDED | at, track, task, figures, queued, state, reason |
| WROTE | began, ended, track, value, bytes, how |
| ASKED | at, track, read |
| SETTLED | began, ended, track, read, task or value, is a run, bytes copied, outcome |
| COMPILED | began, ended, track, figures, error |
| NOTED | task, name, content |
| SPENT | began, ended, track, name, content |
| AWAITED | began, ended, track, name, content |

Times are the timeline's clock in nanoseconds, a track is a number in `Recorder.tracks`. Tasks, values and reads are
their `id`: a record must not hold them, since then buffers would be used that are free without the trace. An `id` is
given anew to a later object, which is no ambiguity: all records of an object come after the one that introduces it, and
before that of the next object with the same `id`. To that end QUEUED and WROTE are recorded under the timeline's lock.
The values that COPIED has made are the inputs of the task of the next QUEUED alone, and have no records.

To record something else: a fact about a task with `note`, something that takes a thread's time with `spent`, something
that a task of an event loop awaits with `awaited`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from webnn.scheduler.statistics import GraphFigures
from webnn.scheduler.task import Task
from webnn.scheduler.value import Value

__all__ = [
    "ASKED",
    "AWAITED",
    "COMPILED",
    "COPIED",
    "ENDED",
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

COPIED: Final = "copied"
QUEUED: Final = "queued"
RAN: Final = "ran"
ENDED: Final = "ended"
WROTE: Final = "wrote"
ASKED: Final = "asked"
SETTLED: Final = "settled"
COMPILED: Final = "compiled"
NOTED: Final = "noted"
SPENT: Final = "spent"
AWAITED: Final = "awaited"


class Sink(Protocol):
    """Where the records of one trace go: a list, or a deque that another thread empties."""

    def append(self, record: Record, /) -> None:
        """Called with the timeline's lock or without it, from any thread."""
        ...


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
        self._threads = threading.local()
        self.add: Callable[[Record], object] = self._add_to_all

    def attach(self, sink: Sink) -> None:
        """Append every record to `sink` from now on."""
        self._set((*self.sinks, sink))

    def detach(self, sink: Sink) -> None:
        """Append nothing to `sink` any more."""
        self._set(tuple(each for each in self.sinks if each is not sink))

    def _set(self, sinks: tuple[Sink, ...]) -> None:
        self.add = sinks[0].append if len(sinks) == 1 else self._add_to_all
        self.sinks = sinks

    def _add_to_all(self, record: Record) -> None:
        for sink in self.sinks:
            sink.append(record)

    def track(self) -> int:
        """The number of the calling thread's track."""
        try:
            number: int = self._threads.number
        except AttributeError:
            number = self._threads.number = len(self.tracks)
            self.tracks.append(threading.current_thread().name)
        return number

    # Called with the timeline's lock.

    def copied(self, task: Task, called: int, size: int) -> None:
        """A call that began at `called` has copied so many bytes for `task`, which it is about to queue."""
        self.add((COPIED, called, self.track(), id(task), size))

    def queued(self, task: Task) -> None:
        """`task` is being queued."""
        inputs = tuple([id(value) for value in task.inputs])
        outputs = tuple([id(value) for value in task.outputs])
        called, figures = task.queued_at, task.work.figures
        self.add((QUEUED, called, self.clock(), self.track(), id(task), figures, inputs, outputs))

    def ran(self, task: Task, began: int, ended: int, *, on_lane: bool, reused: int) -> None:
        """`task` has run, with or without success, and so many of its output buffers had been in use before."""
        self.add((RAN, began, ended, self.track(), id(task), task.work.figures, task.queued_at, on_lane, reused))

    def ended(self, task: Task, reason: str) -> None:
        """`task` has failed, or was dropped or cancelled."""
        state = task.state.name.lower()
        self.add((ENDED, self.clock(), self.track(), id(task), task.work.figures, task.queued_at, state, reason))

    def wrote(self, value: Value, began: int, copied: int, how: str = "") -> None:
        """`value` was made by a call that began at `began`, and has copied so many bytes."""
        self.add((WROTE, began, self.clock(), self.track(), id(value), copied, how))

    def asked(self, read: object) -> None:
        """A program has called `read_tensor`."""
        self.add((ASKED, self.clock(), self.track(), id(read)))

    def note(self, task: Task, name: str, content: object) -> None:
        """A fact about `task`: JSON that is shown with it."""
        self.add((NOTED, id(task), name, content))

    # Called with it or without it.

    def settled(self, read: object, source: object, began: int, *, is_run: bool, copied: int, outcome: str) -> None:
        """A promise of a value, or of the outputs of a task if `is_run`, has settled."""
        self.add((SETTLED, began, self.clock(), self.track(), id(read), id(source), is_run, copied, outcome))

    def compiled(self, figures: GraphFigures, began: int, error: str = "") -> None:
        """A graph has been compiled, or could not be."""
        self.add((COMPILED, began, self.clock(), self.track(), figures, error))

    def spent(self, name: str, began: int, **content: object) -> None:
        """The calling thread has spent the time since `began` on something else: JSON that is shown with it."""
        self.add((SPENT, began, self.clock(), self.track(), name, content))

    def awaited(self, name: str, began: int, **content: object) -> None:
        """A task of an event loop has waited since `began`, while others may have used its thread."""
        self.add((AWAITED, began, self.clock(), self.track(), name, content))


def reusable(outputs: Sequence[Value]) -> int:
    """How many of these values will get a buffer that is idle now."""
    many, taken = 0, dict[int, int]()
    for value in outputs:
        shelf = value.shelf
        before = taken.get(id(shelf), 0)
        many += before < len(shelf.views)
        taken[id(shelf)] = before + 1
    return many
