"""A program whose outputs take the places of inputs."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.interrupt_programs.base import Base
from tests.stepped import CHEAP, INLINE_LIMIT, broken, replaced
from webnn.errors import OperationError
from webnn.graph.in_place import InPlaceOutput
from webnn.scheduler.value import Name

__all__ = ["InPlace"]


class InPlace(Base):
    def in_place(self) -> None:
        """Two tensors in turn and one alone, written in place; overwritten, dropped and failing in between."""
        rig, cheap, dear = self.rig, self.rig.scatter(cost=CHEAP, measured=False), self.rig.scatter(cost=INLINE_LIMIT)
        added = rig.in_place(
            rig.work("added", cost=INLINE_LIMIT), InPlaceOutput(0, 0, False), InPlaceOutput(1, 0, False)
        )
        state, at = self.data(1), self.at

        def step(work: Any, source: Name, target: Name, number: float, *, wait: bool = True) -> None:
            nonlocal state
            rig.write(self.at, number)
            rig.dispatch(work, [source, at], target)
            state = replaced(state, self.data(number))
            read = self.keep(rig.read(target))
            self.expected.append((read, state))
            if wait:
                rig.run_all()
                read.done()
            self.promises.remove(read)  # an array that is lent is not overwritten
            self.expected[-1] = (self.keep(read.then(np.copy)), state)

        for i, work in enumerate([cheap, dear, cheap, cheap, dear, cheap]):
            step(work, (self.x, self.y)[i % 2], (self.y, self.x)[i % 2], 10 + i)
        for i, work in enumerate([dear, cheap, cheap, dear]):
            step(work, self.x, self.x, 20 + i, wait=i % 2 == 0)
        rig.run_all()
        before = state

        def expect(name: Name, array: Any) -> None:
            read = rig.read(name).then(np.copy)
            self.expected.append((self.keep(read), array))
            rig.run_all()
            read.done()

        step(cheap, self.x, self.y, 24)
        expect(self.x, before)  # restored for a read
        rig.dispatch(cheap, [self.x, at], self.z)
        expect(self.z, replaced(before, self.data(24)))
        expect(self.x, before)
        rig.dispatch(cheap, [self.z, at], self.y)
        rig.run_all()
        rig.read(self.y).done()
        rig.dispatch(cheap, [self.z, at], self.x)  # restored for a dispatch
        rig.write(self.y, 5)
        expect(self.x, replaced(before, self.data(24)))
        rig.write(self.x, 6)  # the memory goes back
        expect(self.z, replaced(before, self.data(24)))
        rig.dispatch(rig.scatter("broken", broken(OperationError("it broke")), cost=INLINE_LIMIT), [self.z, at], self.y)
        expect(self.z, replaced(before, self.data(24)))

        def wanted(*arrays: Any) -> Any:
            expect(self.z, replaced(before, self.data(24)))
            rig.dispatch(dear, [self.z, self.at], self.x)
            return replaced(*arrays)

        def wanted_and_failed(*arrays: Any) -> Any:
            wanted(*arrays)
            raise OperationError("it broke")

        for function in (wanted, wanted_and_failed):
            rig.dispatch(rig.scatter("wanted", function, cost=INLINE_LIMIT), [self.z, at], self.y)
            rig.run_all()
            expect(self.x, replaced(before, self.data(24)))
        rig.dispatch(dear, [self.z, at], self.y)
        rig.write(self.z, 1)  # before the run: donated
        expect(self.y, replaced(before, self.data(24)))
        self.x, self.z = rig.name(1), rig.name()
        for overwritten in ("y", "x"):  # while the run goes on

            def late(*arrays: Any, name: str = overwritten) -> Any:
                rig.write(getattr(self, name), 1)
                return replaced(*arrays)

            rig.dispatch(rig.scatter("late", late), [self.x, at], self.y)
            rig.run_all()
            expect(self.x, self.data(1))
        state = self.data(1)
        step(cheap, self.x, self.y, 30)
        step(cheap, self.y, self.x, 31)
        rig.write(self.x, 3)
        rig.write(self.y, 4)
        state = self.data(3)
        step(cheap, self.x, self.y, 32)
        rig.write(self.z, 1)
        rig.dispatch(added, [self.y, self.z], self.y)
        state = state + 2
        self.expected.append((self.keep(rig.read(self.y)), state))
        rig.run_all()
        rig.dispatch(rig.scatter("broken", broken(OperationError("it broke")), cost=INLINE_LIMIT), [self.y, at], self.y)
        rig.run_all()
        self.keep(rig.read(self.y)).exception()
