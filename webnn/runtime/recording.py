"""The methods of a context that record dispatches and replay them, which import `Program` with the first recording."""

from __future__ import annotations

from collections.abc import Hashable, MutableMapping
from typing import TYPE_CHECKING, TypeAlias

from webnn.errors import ValidationError
from webnn.forking import import_lock
from webnn.runtime.checks import recorder
from webnn.runtime.device import Device
from webnn.scheduler.results import Dispatch

if TYPE_CHECKING:
    from webnn.runtime.record import Program

__all__ = ["Recording", "Recordings"]

Recordings: TypeAlias = "MutableMapping[Hashable, Program]"
"""The programs that are being recorded, by `recorder()`."""


class Recording:
    """The methods of a context that record dispatches and replay them."""

    _device: Device
    _recordings: Recordings

    def record(self) -> Program:
        """Record dispatches instead of queueing them, for `replay`.

        ::

            with context.record() as program:
                context.dispatch(encoder, {"x": tx}, {"h": th})
                context.dispatch(decoder, {"h": th}, {"y": ty})
            context.write_tensor(tx, frame)
            context.replay(program)
            result = await context.read_tensor(ty)

        In the block, dispatches of this context are checked as usual, and recorded. This applies only to the thread, or
        the task of an event loop, that has begun the block. Other calls that work on tensors or arrays (`write_tensor`,
        `read_tensor`, `lend_tensor`, `run`, `compute`, `stream`) raise an error there. `replay` in the block adds the
        dispatches of another program. If the block raises, the program cannot be replayed.

        Raises:
            InvalidStateError: this thread or task is already in such a block of this context; raised when the block
                begins.
            ContextLostError: the context is destroyed.
        """
        self._device.check_not_lost()
        with import_lock:  # here, since most programs record nothing
            from webnn.runtime.record import Program  # noqa: PLC0415

        return Program(self, self._device, self._recordings)

    def replay(self, program: Program) -> Dispatch:
        """Queue all dispatches of `program` with one call, as if they were made one by one now.

        They read the values that the tensors have now, or that earlier dispatches of the program make. Afterwards, all
        tensors that they write have their new values. After the first replays, cheap dispatches that follow each
        other are compiled in the background, as one graph.

        Returns:
            A handle like that of `dispatch`: await it for room in the queue, or `finished()` for the end of all the
            work.

        Raises:
            ValidationError: the program is of another context; one of its tensors is destroyed.
            InvalidStateError: one of its graphs is destroyed; the recording of the program was not completed.
            OperationError: the outputs exceed the memory budget.
            ContextLostError: the context is destroyed.
        """
        if not hasattr(program, "_replay"):
            got = type(program).__name__
            raise ValidationError(f"replay: expected a Program, as context.record() makes it, got {got}")
        program._check(self._device, "replay")
        if self._recordings and (recording := self._recordings.get(recorder())) is not None:
            return recording._include(program)
        return program._replay()
