"""The base of all programs: a rig, its names and works, and what they keep for the checks."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.stepped import CHEAP, INLINE_LIMIT, Rig
from webnn.scheduler.promise import Promise

__all__ = ["Base"]


class Base:
    """Programs over one rig. Their promises and tensors are kept here for the checks.

    Each call of a program leaves some state that an interrupt of the next call could damage.
    """

    def __init__(self, **options: Any) -> None:
        self.rig = Rig(**options)
        self.promises: list[Promise[Any]] = []
        self.x = self.rig.name(1)
        self.y, self.z, self.at = self.rig.name(), self.rig.name(), self.rig.name()
        self.cheap = self.rig.work("cheap", cost=CHEAP, measured=False)
        self.dear = self.rig.work("dear", cost=INLINE_LIMIT, measured=False)
        self.told: list[object] = []
        self.expected: list[tuple[Promise[Any], Any]] = []
        """Promises, and the arrays that they give if they do not fail."""

    def keep(self, promise: Promise[Any]) -> Promise[Any]:
        self.promises.append(promise)
        return promise

    def data(self, number: float = 3) -> Any:
        descriptor = self.rig.shelf.descriptor
        return np.full(descriptor.shape, number, descriptor.dtype)

    def run(self, work: Any) -> Promise[Any]:
        return self.keep(self.rig.timeline.run(work, [(self.rig.shelf, self.data())], [("y", self.rig.shelf)]))
