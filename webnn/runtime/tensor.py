"""`MLTensor`: a name for data on a context's device.

Spec: https://www.w3.org/TR/webnn/#api-mltensor
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from webnn.errors import ContextLostError, DestroyedError, InvalidStateError, ValidationError
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.dtypes import DataType
from webnn.scheduler.promise import Promise
from webnn.scheduler.value import Name

if TYPE_CHECKING:
    from webnn.runtime.context import MLContext

__all__ = ["MLTensor"]


class MLTensor(Name):
    """Data on a context's device, under a name that can be written, dispatched and read.

    Made by `MLContext.create_tensor` and `create_constant_tensor`. It can be used at once; awaiting it waits until it
    is there. Its bytes live on the context's device; `await context.read_tensor(tensor)` brings them here.

    A tensor lives until `destroy()`, until its context is destroyed, or until nobody refers to it any more. Work that
    was queued with it before goes on, and arrays that were read from it stay valid.
    """

    __slots__ = (
        "__weakref__",
        "_context",
        "_destroyed",
        "_home",
        "_writable",
        "constant",
        "descriptor",
        "key",
        "readable",
    )

    def __init__(
        self, context: MLContext, descriptor: MLOperandDescriptor, *, readable: bool, writable: bool, constant: bool
    ) -> None:
        Name.__init__(self, context._timeline.pool.shelf(descriptor))
        self.descriptor = descriptor
        self._context = context
        self._destroyed = False
        self._home = None if constant else context  # where it can be dispatched; None once it cannot be any more
        self._writable = writable
        self.key = descriptor.key
        self.readable = readable
        """Whether `read_tensor` is allowed."""
        self.constant = constant
        """Whether it is a constant tensor, for `MLGraphBuilder.constant`."""

    @property
    def data_type(self) -> DataType:
        """The type of each element."""
        return self.descriptor.data_type

    @property
    def shape(self) -> tuple[int, ...]:
        """The dimensions; empty for a scalar."""
        return self.descriptor.shape

    @property
    def writable(self) -> bool:
        """Whether `write_tensor` is allowed."""
        return self._writable

    def destroy(self) -> None:
        """Give its memory back. Reads that are pending are rejected with `InvalidStateError`; calling again is fine.

        Spec: https://www.w3.org/TR/webnn/#api-mltensor-destroy
        """
        if not self._destroyed:
            self._destroyed = True
            self._home = None
            error = InvalidStateError(f"{self!r} was destroyed before it was read")
            self._context._timeline.destroy_name(self, error)

    def __await__(self) -> Generator[Any, Any, MLTensor]:
        self._check_alive()
        return self
        yield  # (makes this a generator, which is what awaiting takes)

    def _check_alive(self) -> None:
        if self._context._lost_message is not None:
            raise ContextLostError(self._context._lost_message)
        if self._destroyed:
            raise DestroyedError(f"{self!r} was destroyed")

    def _constant_for(self, host: object) -> np.ndarray[Any, Any]:
        """Its value as a constant of a graph of `host`; for `MLGraphBuilder.constant`."""
        if host is not self._context:
            raise ValidationError(f"{self!r} belongs to another context")
        self._check_alive()
        if not self.constant:
            raise ValidationError(f"{self!r} is no constant tensor: make one with context.create_constant_tensor")
        lent: Promise[Any] = self._context._timeline.read(self)  # the graph may outlive this tensor
        array: np.ndarray[Any, Any] = lent.result()
        return array

    def __del__(self) -> None:
        value = getattr(self, "value", None)
        if value is not None and value.error is None:
            self._context._timeline.discard(value)

    def __repr__(self) -> str:
        what = "constant " if self.constant else ""
        state = " (destroyed)" if self._destroyed else ""
        return f"<MLTensor {what}{self.data_type} {list(self.shape)}{state}>"

    def _read_first(self) -> NoReturn:
        raise TypeError(f"{self!r} has no data here; read it first: await context.read_tensor(tensor)")

    def __bool__(self) -> bool:
        self._read_first()

    def __len__(self) -> int:
        self._read_first()

    def __array__(self, *_: object, **__: object) -> np.ndarray[Any, Any]:
        self._read_first()
