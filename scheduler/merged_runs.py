"""Runs chains of cheap tasks on the caller's thread: as one, if the chain is hot and has been merged.

`HotChains` decides which. This module runs a merged chain, runs one both ways to compare the results, and times runs.

Locks. As in `execution.py`: the timeline's lock is taken to start the tasks and to record their end, and not held while
the backend runs or waiters are told.

Interrupts. As in `execution.py`: tasks that were interrupted before their end was recorded are queued again. A check
that was interrupted may leave holds on values, whose memory is then freed with them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING

import numpy as np

from webnn.backends.base import Executable
from webnn.errors import MLError
from webnn.forking import Hold
from webnn.memory.buffer import View
from webnn.memory.lease import SMALL
from webnn.memory.pool import BufferPool
from webnn.scheduler.execution import Execution
from webnn.scheduler.hot_chains import COUNTING, FAILED, MERGED, TIMED, Chain, HotChains
from webnn.scheduler.recovery import put_back
from webnn.scheduler.renaming import Renaming
from webnn.scheduler.room import Room
from webnn.scheduler.task import DONE, QUEUED, Task, Work
from webnn.scheduler.trace import reusable
from webnn.scheduler.value import Value

if TYPE_CHECKING:
    from webnn.scheduler.timeline import Timeline

__all__ = ["MergedRuns", "run_merged"]

_log = logging.getLogger("webnn")


def run_merged(timeline: Timeline, compile: Callable[[Chain], None], chains: HotChains | None = None) -> None:
    """Run the hot chains of `timeline` as one from now on. The arguments are those of `MergedRuns`."""
    timeline.inline.merged = MergedRuns(
        timeline._lock,
        timeline._renaming,
        timeline._execution,
        timeline.room,
        timeline.pool,
        compile=compile,
        chains=chains,
    )


class MergedRuns:
    """Runs chains of cheap tasks of one timeline, whose values are in the memory of the host.

    Args:
        lock: the timeline's lock.
        renaming: the timeline's state, which `lock` guards.
        execution: runs tasks one by one.
        room: the waiters for room in the timeline's queue.
        pool: the memory of the outputs.
        compile: starts to compile a chain; in the end it calls `compiled` or `refuse`.
        chains: the policy.
    """

    def __init__(
        self,
        lock: Hold,
        renaming: Renaming,
        execution: Execution,
        room: Room,
        pool: BufferPool,
        *,
        compile: Callable[[Chain], None],
        chains: HotChains | None = None,
    ) -> None:
        self._lock = lock
        self._renaming = renaming
        self._execution = execution
        self._room = room
        self._pool = pool
        self._compile = compile
        self.chains = chains if chains is not None else HotChains()

    def run(self, tasks: Sequence[Task], budget: float = inf) -> int:
        """Run `tasks`, at least `MIN_LINKS`, as `Execution.run` does."""
        execution, chains = self._execution, self.chains
        called = execution.clock()
        with self._lock:
            found = chains.find(tasks)
        if found is None:
            spent = execution.run(tasks, False, budget)
        else:
            chain, values = found
            if chain.stage is MERGED and chain.runs < chain.check_at:
                spent = self._run_merged(chain, values, tasks)
                if not spent:
                    spent = execution.run(tasks, False, budget)
                elif chain.runs <= TIMED:
                    with self._lock:
                        chains.timed(chain, execution.clock() - called)  # with what finding it has cost
            elif chain.stage is COUNTING:
                began = execution.clock()
                spent = execution.run(tasks, False, budget)
                if tasks[-1].state is DONE:
                    chain.best_single = min(chain.best_single, execution.clock() - began)
            else:
                spent = self._check(chain, values, tasks, budget)
        if chains.wanted:
            self._compile_wanted()
        return spent

    def _run_merged(self, chain: Chain, values: Sequence[Value], tasks: Sequence[Task]) -> int:
        """Run `tasks` as one. Returns the nanoseconds that they took; 0 if they have not run."""
        renaming, execution, chains = self._renaming, self._execution, self.chains
        runners: list[list[View]] = []
        outputs: list[View] = []
        failure: Exception | None = None
        try:
            with self._lock:
                executable, trace = chain.executable, renaming.trace
                inputs = [values[number].view for number in chain.inputs]
                if executable is None or None in inputs:
                    return 0
                reused = [] if trace is None else [reusable(task.outputs) for task in tasks]
                try:
                    if not renaming.start_together(tasks, runners):
                        return 0
                except MLError as error:  # no memory
                    failure = error
            for views in runners:
                outputs += views
            began = execution.clock()
            if failure is None:
                try:
                    executable.run(inputs, outputs)  # type: ignore[arg-type]  # none of them is None
                except Exception as error:
                    failure = error
            if failure is not None:
                self._fall_back(chain, tasks, runners, failure)
                return 0
            end = execution.now = execution.clock()
            with self._lock:
                awaited = renaming.finish_together(tasks, runners)
                chains.ran(chain)
                share = (end - began) // len(tasks)
                for position, many, figures in chain.figures:
                    figures.runs += many
                    if figures.runs >= figures.wanted and (queued := tasks[position].queued_at):
                        start = began + position * share
                        figures.ran(queued, start, start + share)
                if trace is not None:
                    for i, task in enumerate(tasks):
                        trace.note(task, "merged with", len(tasks) - 1)
                        trace.ran(task, began + i * share, began + (i + 1) * share, False, reused[i])
                for task in awaited:
                    if task.work.byte_length <= SMALL:
                        for waiter in task.waiters:
                            waiter.collect(renaming.release, trace)
            for task in awaited:
                for waiter in task.waiters:
                    waiter.task_ended(task)
                renaming.told(task)
            if renaming.ended or self._room.waiting:
                execution.tell_ended()
            return end - began or 1
        except BaseException:
            try:
                self._put_back(tasks, runners)
            except BaseException:  # another interrupt
                self._put_back(tasks, runners)
                raise
            raise

    def _put_back(self, tasks: Sequence[Task], runners: Sequence[list[View]]) -> None:
        with self._lock:
            for task, runner in zip(tasks, runners, strict=False):  # an interrupt may have come before the last ones
                put_back(self._renaming, task, runner)

    def _fall_back(
        self, chain: Chain, tasks: Sequence[Task], runners: Sequence[list[View]], error: BaseException
    ) -> None:
        """The merged run has failed: queue the tasks again, so that one by one the right one fails."""
        self._put_back(tasks, runners)
        self._execution.recover()
        self.refuse(chain, FAILED, error)

    # Checks.

    def _check(self, chain: Chain, values: Sequence[Value], tasks: Sequence[Task], budget: float) -> int:
        """Run `tasks` one by one, and before also merged, into other memory, and compare the results."""
        execution, renaming = self._execution, self._renaming
        scratch: list[View] = []
        held: list[Value] = []
        try:
            inputs = self._prepare(chain, values, tasks, scratch, held)
            executable = chain.executable
            if inputs is None or executable is None:
                return execution.run(tasks, False, budget)
            try:
                executable.run(inputs, scratch)
            except Exception as error:
                self.refuse(chain, FAILED, error)
                return execution.run(tasks, False, budget)
            began = execution.clock()
            spent = execution.run(tasks, False, budget)
            took = execution.clock() - began
            if all(task.state is DONE for task in tasks):
                same = all(
                    value.view is not None and self._is_same(value.view, view)
                    for value, view in zip(values, scratch, strict=False)
                )
                with self._lock:
                    self.chains.checked(chain, same, took)
            return spent
        finally:
            with self._lock:
                while held:
                    renaming.release(held.pop())
                for value in values[: chain.made]:
                    if scratch:
                        value.shelf.put(scratch.pop(0))
            if renaming.ended:
                execution.tell_ended()

    def _prepare(
        self,
        chain: Chain,
        values: Sequence[Value],
        tasks: Sequence[Task],
        scratch: list[View],
        held: list[Value],
    ) -> list[View] | None:
        """Take other memory for the results of a chain, and hold all of its values, so that they can be compared.

        Returns:
            The views of the inputs; None if `tasks` are not queued any more, or there is no memory.
        """
        renaming, pool = self._renaming, self._pool
        with self._lock:
            inputs = [view for number in chain.inputs if (view := values[number].view) is not None]
            if len(inputs) < len(chain.inputs) or any(task.state is not QUEUED for task in tasks):
                return None
            if pool.budget is not None and not pool.holds(renaming.queued_bytes + chain.byte_length):
                self.chains.postpone(chain)
                return None
            try:
                for value in values[: chain.made]:
                    scratch.append(value.shelf.take())
            except MLError:
                self.chains.postpone(chain)
                return None
            for value in {*values}:
                value.holds += 1
                held.append(value)
        return inputs

    def _is_same(self, first: View, second: View) -> bool:
        a, b = (self._pool.allocator.host_array(view).reshape(-1).view(np.uint8) for view in (first, second))
        return np.array_equal(a, b)

    # The chains.

    def compiled(self, chain: Chain, executable: Executable, inputs: Sequence[int], use: object) -> None:
        """See `HotChains.compiled`."""
        with self._lock:
            self.chains.compiled(chain, executable, inputs, use)

    def refuse(self, chain: Chain, reason: str, explanation: object) -> None:
        """See `HotChains.refuse`."""
        with self._lock:
            self.chains.refuse(chain, reason, explanation)

    def forget(self, work: Work) -> None:
        """See `HotChains.forget`."""
        with self._lock:
            self.chains.forget(work)

    def _compile_wanted(self) -> None:
        """Compile the chains that are wanted. An interrupt may lead to a second compilation, which is dropped."""
        wanted = self.chains.wanted
        with suppress(IndexError, ValueError):  # another thread was faster
            while wanted:
                chain = wanted[0]
                self._compile(chain)
                wanted.remove(chain)
