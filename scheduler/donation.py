"""Donation: the memory of a run's outputs, where it is not new memory.

`Executable.in_place` says which outputs a run may write into the memory of an input. Two cases, decided when the task
starts:

- **Donated.** The task has the last hold on the input's value. The output takes over its memory.
- **Patched.** The value can still be reached, but there is an older buffer that differs from it in few known elements.
  These are copied, and the run writes into that buffer in place. The value keeps its own.

Such a buffer is the memory of the value before. If a scatter makes V2 from V1, the two differ in the elements that it
has replaced. When V1 can no longer be reached, its buffer becomes the *spare* of V2 instead of going back to the shelf.
So a loop that reads one set of tensors and writes another one, in turn, copies a few elements for each step.

This module is pure. `Placement.take` and everything about the lines of values is called under the timeline's lock;
`Placement.patch` is called without it, between the start of a task and its run.

Guarantees:
- A value has at most one spare, whose memory counts as idle. The pool drops it when it needs the memory.
- A spare goes back to its shelf with the value, at the latest.
- A value keeps its view until its run has ended, so a task that is put back finds its inputs. A run that was cut off
  may have written into a donated one. Scatters can do that again with the same result. For other operators the input
  is not donated where a signal handler can cut off the run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from webnn.backends.base import Executable
from webnn.graph.in_place import Replaced
from webnn.graph.scattered import Index, copy_elements
from webnn.memory.buffer import View
from webnn.memory.pool import Spare

if TYPE_CHECKING:
    from webnn.scheduler.task import Task
    from webnn.scheduler.value import Value

__all__ = ["Donation", "Line", "Placement", "forget", "part"]

HostArray = Callable[[View], np.ndarray[Any, Any]]


class Line:
    """The buffers that differ from one value in a few elements. Each value that a scatter has made has one."""

    __slots__ = ("goes_on", "index", "spare", "spare_index", "successor")

    def __init__(self) -> None:
        self.goes_on = True
        """Whether the value can be reached, and has the memory that it had."""
        self.successor: Line | None = None
        """Of the value that a scatter has made from this one, in other memory."""
        self.index: Index = None
        """The elements in which that one differs from this one."""
        self.spare: Spare | None = None
        self.spare_index: Index = None
        """The elements in which the spare differs from this value."""


class Placement:
    """The memory of one run: the views of its inputs and outputs.

    Attributes:
        donated: by the number of the output, the input value whose memory it takes.
        repeatable: whether the run can be made again after it was cut off.
    """

    __slots__ = ("_made", "_patches", "donated", "repeatable")

    def __init__(self) -> None:
        self.donated: dict[int, Value] = {}
        self.repeatable = True
        self._patches: list[tuple[View, View, Index]] = []
        self._made: list[tuple[Value, int, Replaced, Index]] = []

    def patch(self, host_array: HostArray, inputs: list[View]) -> None:
        """Make the spares equal to the values that they stand for, and find out what the run replaces."""
        for source, target, index in self._patches:
            copy_elements(host_array(source), host_array(target), index)
        self._patches = []
        indices: dict[int, Index] = {}
        for i, (value, output, replaced, _) in enumerate(self._made):
            key = id(replaced)
            if key not in indices:
                indices[key] = replaced.index(lambda number: host_array(inputs[number]))
            self._made[i] = (value, output, replaced, indices[key])

    def finished(self, outputs: list[Value]) -> None:
        """The run has ended, and its outputs have their views: donated values have none any more."""
        for value in self.donated.values():
            value.view = None
            if value.line is not None:
                forget(value)
        for value, output, _, index in self._made:
            made = outputs[output]
            if index is None or made.view is None or value.view is None:
                continue
            line = value.line
            if line is None:
                line = value.line = Line()
            made.line = line.successor = Line()
            line.index = index


class Donation:
    """Places the outputs of runs, and counts.

    Args:
        host_array: gives the elements of a view in its own memory; None if the allocator has no such memory.
    """

    def __init__(self, host_array: HostArray | None) -> None:
        self._host_array = host_array
        self.donated = 0
        """Outputs that took over the memory of an input."""
        self.patched = 0
        """Outputs that were written into an older buffer of the input's tensor, of which a few elements were copied."""

    def place(
        self, task: Task, executable: Executable, inputs: list[View], outputs: list[View], interruptible: bool
    ) -> None:
        """Choose the memory of `task`, which starts now.

        Args:
            task: marked as running.
            executable: runs it.
            inputs: the views of its inputs. Those with a spare are replaced.
            outputs: empty; filled with the views of its outputs.
            interruptible: whether a signal handler can cut off the run.

        Raises:
            OperationError: there is no memory for an output.
        """
        placement = task.placement = Placement()
        chosen: dict[int, View] = {}
        for pair in executable.in_place:
            if pair.output in chosen:
                continue
            value = task.inputs[pair.input]
            if value.holds == 1:
                if pair.repeatable or not interruptible:
                    placement.donated[pair.output] = value
                    placement.repeatable = placement.repeatable and pair.repeatable
                    chosen[pair.output] = inputs[pair.input]
                    self.donated += 1
            elif pair.replaced is not None and self._host_array is not None:
                placement._made.append((value, pair.output, pair.replaced, None))
                line = value.line
                if line is not None and line.spare is not None and (spare := line.spare.take()) is not None:
                    placement._patches.append((inputs[pair.input], spare, line.spare_index))
                    chosen[pair.output] = inputs[pair.input] = spare
                    self.patched += 1
        for i, value in enumerate(task.outputs):
            outputs.append(chosen.get(i) or value.shelf.take())

    def patch(self, placement: Placement, inputs: list[View]) -> None:
        """Prepare the memory of a run that has started. Called without the timeline's lock."""
        if placement._made:
            assert self._host_array is not None
            placement.patch(self._host_array, inputs)


def part(value: Value, view: View) -> None:
    """`value`, which has a line, can no longer be reached: its buffer becomes a spare, or goes back to the shelf."""
    line = value.line
    assert line is not None
    successor = line.successor
    forget(value)
    if successor is None or not successor.goes_on or (successor.spare is not None and successor.spare.view is not None):
        value.shelf.put(view)
        return
    if successor.spare is None:
        successor.spare = line.spare or value.shelf.spare()
    successor.spare_index = line.index
    successor.spare.view = view  # last: from now on it is used


def forget(value: Value) -> None:
    """End the line of `value`, which cannot be reached any more, or whose memory is written anew."""
    line, value.line = value.line, None
    if line is not None:
        line.goes_on = False
        line.successor = None
        if line.spare is not None and (view := line.spare.take()) is not None:
            value.shelf.put(view)
