"""Programs whose chains of dispatches run as one."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np

from tests.interrupt_programs.base import Base
from tests.interrupts import Interrupt, undisturbed
from tests.stepped import CHEAP, INLINE_LIMIT
from webnn.errors import OperationError
from webnn.scheduler.hot_chains import MAX_ENDINGS, MAX_SHAPES, SINGLE, TIMED, HotChains

__all__ = ["Merged"]


class Merged(Base):
    def merging(self, warm: int, after: Any = lambda _: None) -> tuple[Any, HotChains]:
        """A function that runs a chain, after `warm` runs, and the chains of its rig. It is merged in the sixth run."""
        rig = self.rig
        chains = rig.merge(after, hot=0, checks=1, rest=0)
        split = rig.work("split", lambda a: (a + 1, a + 2), cost=CHEAP, measured=False, outputs=2)

        def chain(many: int = 1) -> None:
            for _ in range(many):
                rig.write(self.x, 1)
                rig.dispatch(self.cheap, [self.x], self.y)
                self.keep(rig.read(self.y))
                rig.dispatch(split, [self.y], [self.x, self.z])
                rig.dispatch(self.cheap, [self.z], self.y)
                read = rig.read(self.y)
                rig.dispatch(self.cheap, [self.y], self.x)  # not needed for it, and ready when the others have run
                self.expected.append((self.keep(read.then(np.copy)), self.data(5)))
                with contextlib.suppress(Interrupt):
                    read.done()
                rig.run_all()

        with undisturbed():
            chain(warm)
        return chain, chains

    def merged(self) -> None:
        """A chain that becomes hot, and runs as one."""
        chain, _ = self.merging(2)
        chain(4)

    def merged_again(self) -> None:
        """A merged chain with an open trace, and one that is checked again."""
        chain, chains = self.merging(6)
        trace: list[Any] = []
        self.rig.timeline.start_trace(trace)
        chain()
        self.rig.timeline.stop_trace(trace)
        for ending in chains.endings.values():
            for each in ending.chains:
                each.check_at = each.runs
        chain()
        self.rig.timeline.statistics  # noqa: B018

    def merged_failing(self) -> None:
        """A chain whose merged run fails."""
        checked = False

        def after(_: Any) -> None:
            nonlocal checked
            if checked:
                raise ValueError("made anew, since errors keep frames")
            checked = True

        chain, _ = self.merging(5, after)
        chain()

    def merged_failing_at_once(self) -> None:
        """A chain whose check fails."""

        def after(_: Any) -> None:
            raise ValueError("made anew, since errors keep frames")

        chain, _ = self.merging(4, after)
        chain()

    def merged_forgotten(self) -> None:
        """A chain of a graph that is destroyed."""
        chain, _ = self.merging(6)
        self.rig.timeline.forget(self.cheap)
        chain()

    def merged_spoilt(self) -> None:
        """A chain with other results."""
        chain, spoilt = self.merging(4, lambda outputs: outputs[0].array.fill(99))
        chain()
        assert spoilt.dispatches == 0

    def link(self, first: Any, last: Any = None) -> None:
        """A chain of three."""
        rig = self.rig
        rig.dispatch(first, [self.x], self.y)
        rig.dispatch(first, [self.y], self.z)
        rig.dispatch(last or self.cheap, [self.z], self.y)
        self.keep(rig.read(self.y)).result()
        self.promises.pop()

    def merged_slower(self) -> None:
        """Chains that are not merged, since they are too dear or no faster."""
        chains = self.rig.merge(hot=0, checks=0, rest=0)
        with undisturbed():
            for _ in range(3):
                self.link(self.cheap)
        for ending in chains.endings.values():
            for chain in ending.chains:
                chain.works[0].cost = INLINE_LIMIT  # measured since
        self.link(self.cheap)
        self.cheap.cost = CHEAP
        for _ in range(2):
            self.link(self.cheap)
        for ending in chains.endings.values():
            for chain in ending.chains:
                chain.runs, chain.best_single = TIMED - 1, 0
        for _ in range(3):
            self.link(self.cheap)

    def merged_shapes(self) -> None:
        """Chains of too many shapes, with work that cannot be merged, and with too many endings."""
        rig = self.rig
        works = [rig.work("other", cost=CHEAP, measured=False) for _ in range(3)]
        chains = rig.merge(hot=9, checks=0, rest=0)
        for _ in range(3):
            self.link(works[0])
        (ending,) = chains.endings.values()
        ending.chains *= MAX_SHAPES
        for _ in range(2):
            self.link(works[1])  # takes the place of another one
        for chain in ending.chains:
            chain.stage = SINGLE
        for _ in range(2):
            self.link(works[2])
        for _ in range(2):
            self.link(works[1])
        self.cheap.unlooked = 0
        works[1].graph = None
        self.link(works[1], works[0])
        self.link(works[1], works[0])
        self.link(works[1], works[1])
        chains.endings.update((rig.work("last"), ending) for _ in range(MAX_ENDINGS))
        chains._add(works[2])
        rig.timeline.forget(works[2])

    def merged_budgeted(self) -> None:
        """With large tensors there is memory for the chain, but not for a check."""
        rig = self.rig
        rig.merge(hot=1, checks=1, rest=0)
        for i in range(7):
            with contextlib.suppress(OperationError), undisturbed() if i < 3 else contextlib.nullcontext():
                for source, target in ((self.x, self.y), (self.y, self.z), (self.z, self.at), (self.at, self.x)):
                    rig.dispatch(self.cheap, [source], target)
                self.keep(rig.read(self.x)).done()
                self.promises.pop()
