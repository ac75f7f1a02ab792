"""Donation: outputs that are written into the memory of an input instead of new memory.

`Executable.in_place` says which outputs a run may write there. Two cases, decided when the task starts:

- **Donated.** The task has the last hold on the input's value. The output takes over its memory.
- **Borrowed.** Apart from the task, only a tensor has the value, and the operator replaces few elements, which are
  known before the run. These are saved, and the output takes over the memory all the same. If the tensor gets another
  value, as in a loop that reads one set of tensors and writes another one in turn, the saved elements are dropped.
  Otherwise the value is *restored* as soon as something wants it: the memory is copied, the saved elements put back.

A borrowed value is pending while the task runs, as if the task made it. So whoever wants it then waits for the task.

This module is pure, and called under the timeline's lock.

Guarantees:
- A value that was borrowed and not restored has an `Undo`, and is the `owner` of the value in its memory. That one
  keeps the memory as it is: it is neither donated, borrowed nor written in place. When it can no longer be reached, the
  memory goes back, with the saved elements.
- A run that has failed or was cut off gives borrowed memory back with the saved elements, whatever it has written.
- A run that was cut off may have written into donated memory, too. Scatters can do that again with the same result. For
  other operators nothing is donated where a signal handler can cut off the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from weakref import ref

import numpy as np

from webnn.backends.base import Executable
from webnn.errors import MLError
from webnn.graph.in_place import Replaced
from webnn.graph.scattered import Index, elements, put_elements
from webnn.memory.buffer import View

if TYPE_CHECKING:
    from webnn.scheduler.task import Task
    from webnn.scheduler.value import Name, Value

__all__ = ["Donation", "Placement", "Undo", "forget", "hand_back", "restored"]


class Undo:
    """How to restore a borrowed value: the elements that the value in its memory does not have.

    The borrowed value has it. References between values make no cycle, which would be left to the garbage collector.
    """

    __slots__ = ("_index", "_saved", "name", "successor", "view")

    def __init__(self, name: Name, view: View, index: Index, saved: np.ndarray[Any, Any]) -> None:
        self.name = name
        """The tensor's name that had the value."""
        self.view = view
        """The memory."""
        self.successor: Value | None = None
        """The value that is there now; None while the run goes on."""
        self._index = index
        self._saved = saved

    def put_back(self, view: View) -> None:
        """Put the saved elements back."""
        put_elements(view.array, self._index, self._saved)

    def copy_to(self, view: View) -> None:
        """Make `view` a copy of the borrowed value."""
        np.copyto(view.array, self.view.array)
        self.put_back(view)


class Placement:
    """The outputs of one run that are in the memory of an input.

    Attributes:
        donated: by the number of the output, the input value whose memory it takes over.
        borrowed: likewise, for values that a tensor still has.
        repeatable: whether the run can be made again after it was cut off.
    """

    __slots__ = ("borrowed", "donated", "repeatable")

    def __init__(self) -> None:
        self.donated: dict[int, Value] = {}
        self.borrowed: dict[int, tuple[Value, Undo]] = {}
        self.repeatable = True

    def has(self, output: int) -> bool:
        """Whether the output of that number is in the memory of an input."""
        return output in self.donated or output in self.borrowed

    def finished(self, task: Task) -> list[Value]:
        """The run has ended, and its outputs have their views. Returns borrowed values that could not be restored."""
        for value in self.donated.values():
            value.view = None
        failed = []
        for output, (value, undo) in self.borrowed.items():
            made = undo.successor = task.outputs[output]
            if made.view is None:  # nothing can reach it
                undo.put_back(undo.view)
                value.view = undo.view
                value.undo = None
            elif value.holds == 1:  # only the task can still reach the value
                value.undo = None
            else:
                made.owner = ref(value)
                if value.holds > 2 or undo.name.value is not value:
                    error = restored(value)  # something waits for it
                    if error is not None:
                        value.error = error
                        failed.append(value)
            value.producer = None  # last: `rebuild` restores the borrowed values that still have a producer
        return failed

    def give_back(self) -> None:
        """The run has failed or was cut off: borrowed values have their memory again."""
        for value, undo in self.borrowed.values():
            if value.view is None:
                undo.put_back(undo.view)
                value.view = undo.view
            value.undo = value.producer = None


class Donation:
    """Places the outputs of runs, and counts.

    Args:
        borrows: whether memory may be borrowed. It has to be host memory.
    """

    def __init__(self, *, borrows: bool) -> None:
        self._borrows = borrows
        self.donated = 0
        """Outputs that took over the memory of an input that nothing else could reach."""
        self.borrowed = 0
        """Outputs that took over the memory of an input that a tensor still had."""

    def place(
        self, task: Task, executable: Executable, inputs: Sequence[View], outputs: list[View], interruptible: bool
    ) -> None:
        """Choose the memory of `task`, which starts now.

        Args:
            task: marked as running.
            executable: runs it.
            inputs: the views of its inputs.
            outputs: empty; filled with the views of its outputs.
            interruptible: whether a signal handler can cut off the run.

        Raises:
            OperationError: there is no memory for an output.
        """
        placement = task.placement = Placement()
        names, task.names = task.names if self._borrows else None, None
        values, borrowed = task.inputs, placement.borrowed
        chosen: dict[int, View] = {}
        indices: dict[Replaced, Index | None] = {}
        for pair in executable.in_place:  # a decoder has many of them, and each step in here costs it time
            value, output = values[pair.input], pair.output
            holds = value.holds
            if value.owner is not None or output in chosen:
                continue
            if holds == 1:
                if pair.repeatable or not interruptible:
                    placement.donated[output] = value
                    placement.repeatable = placement.repeatable and pair.repeatable
                    chosen[output] = inputs[pair.input]
                    self.donated += 1
            elif (
                holds == 2
                and names is not None
                and (replaced := pair.replaced) is not None
                and (name := names[pair.input]).value is value
            ):
                if replaced not in indices:
                    indices[replaced] = replaced.index(lambda number: inputs[number].array)
                index = indices[replaced]
                if index is not None:
                    view = inputs[pair.input]
                    saved = view.array[index].copy() if index.__class__ is tuple else elements(view.array, index)
                    value.undo = undo = Undo(name, view, index, saved)
                    borrowed[output] = value, undo
                    value.producer = task
                    value.view = None
                    chosen[output] = view
                    self.borrowed += 1
        for i, value in enumerate(task.outputs):
            outputs.append(chosen.get(i) or value.shelf.take())


def restored(value: Value) -> MLError | None:
    """Restore a borrowed value that is wanted again. Returns the error if there is no memory for it."""
    undo = value.undo
    assert undo is not None
    assert undo.successor is not None
    try:
        view = value.shelf.take()
    except MLError as error:
        return error
    undo.copy_to(view)
    value.view = view
    undo.successor.owner = value.undo = None
    return None


def hand_back(value: Value, view: View) -> None:
    """`value` can no longer be reached: its memory goes back to the value that it was borrowed of."""
    assert value.owner is not None
    owner, value.owner = value.owner(), None
    if owner is None or owner.undo is None or owner.view is not None:  # since an interrupt has cut off `restored`
        value.shelf.put(view)
        return
    owner.undo.put_back(view)
    owner.view = view
    owner.undo = None


def forget(value: Value) -> None:
    """The borrowed `value` can no longer be reached: nothing will have to be restored."""
    undo, value.undo = value.undo, None
    if undo is not None and undo.successor is not None:
        undo.successor.owner = None
