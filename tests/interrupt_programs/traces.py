"""Programs with open traces."""

from __future__ import annotations

from typing import Any

from tests.interrupt_programs.dispatches import Dispatches
from tests.interrupt_programs.endings import Endings
from tests.stepped import CHEAP, INLINE_LIMIT
from webnn.graph.in_place import InPlaceOutput
from webnn.scheduler.width import Widths

__all__ = ["Traces"]


class Traces(Dispatches, Endings):
    def traced(self) -> None:
        """With two open traces, each of which has the same records."""
        rig = self.rig
        traces: tuple[list[Any], list[Any]] = ([], [])
        for trace in traces:
            recorder = rig.timeline.start_trace(trace)
        try:
            self.round_trips()
            self.runs()
            self.reads()
            self.drops()
            self.failures()
            rig.dispatch(self.cheap, [rig.name()], rig.name())
            rig.dispatch(rig.work("two", lambda a: (a, a), cost=CHEAP, outputs=2), [self.x], [self.y, self.z])
            self.keep(rig.read(self.z)).done()
            recorder.note(next(iter(rig.timeline._renaming.live)), "why", "a test")
            recorder.spent("something", recorder.clock())
            for name in [rig.name() for _ in range(20)]:
                handle = rig.dispatch(self.cheap, [self.x], name)
            list(handle.__await__())  # it makes room by running some
            recorder.compiled(self.cheap.figures, recorder.clock())
        finally:
            for trace in traces:
                rig.timeline.stop_trace(trace)
        assert traces[0] == traces[1]

    def traced_choices(self) -> None:
        """With an open trace, which is told of what is chosen for a run."""
        rig, trace = self.rig, list[Any]()
        rig.timeline.start_trace(trace)
        try:
            work = rig.in_place(rig.work("added", cost=INLINE_LIMIT, measured=False), InPlaceOutput(0, 0, False))
            rig.write(self.z, 1)
            rig.write(self.y, 4)
            rig.dispatch(work, [self.y, self.z], self.y)
            self.keep(rig.read(self.y))
            two = rig.work("two", cost=INLINE_LIMIT, measured=False)
            two.widths = Widths(lambda _: None)
            self.run(two)
            rig.run_all()
        finally:
            rig.timeline.stop_trace(trace)
