"""A crowd of requests for one graph, whose batches are computed by a stepped rig."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from tests.stepped import SMALL, Function, Rig, number_in
from webnn.errors import OperationError
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.scheduler.batches.batcher import Batcher
from webnn.scheduler.batches.computation import Size
from webnn.scheduler.batching import SAMPLES
from webnn.scheduler.promise import Promise

__all__ = ["ALONE", "Crowd", "results"]

ALONE = 1000
"""Nanoseconds of a run of one request, and of a batch."""


class Crowd:
    """A batcher over one rig. The graph adds 1 to its input of one row; `ran` has the number of rows of each run."""

    def __init__(self, descriptor: MLOperandDescriptor = SMALL, *, max_batch: int = 4, **options: Any) -> None:
        self.max_delay = options.pop("max_delay", 0)
        self.row = MLOperandDescriptor(descriptor.data_type, [1, *descriptor.shape])
        self.rig = Rig(descriptor=self.row, **options)
        self.work = self.rig.work("alone", self.add_one, cost=1e6, measured=False)
        self.ran: list[int] = []
        self.wanted: list[int] = []
        self.fails = False
        """Whether batches fail, and single requests do not."""
        self.max_batch = max_batch
        self.batcher = self.new_batcher()
        self.batcher.policy.cheap = 0

    def new_batcher(self) -> Batcher:
        shelf = self.rig.shelf
        return Batcher(
            self.rig.timeline,
            self.work,
            [shelf],
            [("y", shelf)],
            max_batch=self.max_batch,
            max_delay=self.max_delay,
            compile=lambda size, narrow: self.wanted.append(size),
        )

    def add_one(self, x: Any) -> Any:
        self.ran.append(len(x))
        self.rig.clock.now += ALONE
        if (x == 666).any():
            raise OperationError("a number that it does not like")
        if self.fails and len(x) > 1:
            raise ValueError("too many")
        return x + 1

    def compile(self, size: int, *, measured: bool = True) -> None:
        """Make `size` usable, and let its runs be as fast as a single one."""
        shelf = self.rig.pool.shelf(MLOperandDescriptor(self.row.data_type, [size, *self.row.shape[1:]]))
        self.batcher.policy._compiling.add(size)
        self.batcher.computation.compiled(size, Size(Function(self.add_one), [shelf], [shelf]))
        if measured:
            for _ in range(SAMPLES):
                self.batcher.policy.measured(size, ALONE)

    def gather(self, *sizes: int) -> Crowd:
        """Begin in company, with these sizes compiled."""
        self.batcher.policy.meets_company(ALONE)
        for _ in range(SAMPLES):
            self.batcher.policy.measured(1, ALONE)
        for size in sizes:
            self.compile(size)
        return self

    def meanwhile(self, numbers: Iterable[float], *, steps: int = 1) -> tuple[list[Promise[Any]], list[bool]]:
        """While the first run of a size that is compiled from now on computes, `numbers` come and lane 1 takes steps.

        Returns:
            The promises of the numbers, and whether each step found something to do; both are filled by that run.
        """
        late: list[Promise[Any]] = []
        taken: list[bool] = []
        add_one = self.add_one

        def first(x: Any) -> Any:
            if not late:
                late.extend(self.run(number) for number in numbers)
                taken.extend(self.rig.step(1) for _ in range(steps))
            return add_one(x)

        self.add_one = first  # type: ignore[method-assign]
        return late, taken

    def run(self, number: float, timeout: float | None = None) -> Promise[Any]:
        data = np.full(self.row.shape, number, self.row.dtype)
        return self.batcher.run([(self.rig.shelf, data)], timeout=timeout)


def results(promises: list[Promise[Any]]) -> list[float]:
    return [number_in(promise.result(timeout=0)["y"]) for promise in promises]
