"""`MLTensor`: a name for data on a context's device.

Spec: https://www.w3.org/TR/webnn/#api-mltensor
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, ClassVar, NoReturn

import numpy as np

from webnn.errors import ContextLostError, DestroyedError, InvalidStateError, ValidationError
from webnn.forking import import_lock
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.dtypes import DataType
from webnn.graph.other_names import TENSOR
from webnn.graph.spelling import named_elsewhere, without_operators
from webnn.graph.unpicklable import Unpicklable
from webnn.memory.pool import Shelf
from webnn.runtime.device import Device
from webnn.scheduler.promise import Promise
from webnn.scheduler.value import Name

__all__ = ["MLTensor"]


class _TensorName(Name):
    """The name of a tensor. A read that is pending keeps it, and with it the device that the read needs."""

    __slots__ = ("_device",)

    def __init__(self, device: Device, shelf: Shelf) -> None:
        Name.__init__(self, shelf)
        self._device = device


@named_elsewhere(TENSOR)
@without_operators(lambda tensor: tensor._read_first())
class MLTensor(Unpicklable):
    """Data on a context's device, under a name that can be written, dispatched and read.

    Made by `MLContext.create_tensor` and `create_constant_tensor`. It can be used at once; awaiting it gives the tensor
    itself. Its bytes are on the context's device; `await context.read_tensor(tensor)` gives them as an array.

    A tensor lives until `destroy()`, until its context is destroyed, or until its last reference is gone. Work that was
    queued with it before then still completes, and arrays that were read from it stay valid.
    """

    __slots__ = (
        "__weakref__",
        "_context",
        "_destroyed",
        "_device",
        "_home",
        "_name",
        "_writable",
        "constant",
        "descriptor",
        "readable",
    )

    _why_unpicklable: ClassVar[str] = (
        "its data is on a device of this process. Send the array that context.read_tensor gives, and write it to a"
        " tensor of a context of the process that uses it"
    )

    def __init__(
        self,
        context: object,
        device: Device,
        descriptor: MLOperandDescriptor,
        *,
        readable: bool,
        writable: bool,
        constant: bool,
    ) -> None:
        self._context = context  # opaque here: builders are compared with it, and it lives as long as its tensors
        self._device = device
        self._name = _TensorName(device, device.pool.shelf(descriptor))
        self.descriptor = descriptor
        self._destroyed = False
        # A shelf stands for one device and one descriptor: comparing it compares both. None: it is not dispatchable.
        self._home = None if constant else self._name.shelf
        self._writable = writable
        self.readable = readable
        """Whether `read_tensor` is allowed."""
        self.constant = constant
        """Whether it is a constant tensor, for `MLGraphBuilder.constant`."""

    @property
    def data_type(self) -> DataType:
        """The type of each element."""
        return self.descriptor.data_type

    @property
    def dtype(self) -> np.dtype[Any]:
        """The NumPy dtype of each element."""
        return self.descriptor.dtype

    @property
    def nbytes(self) -> int:
        """The size in bytes of all elements. 4-bit elements are packed, as in `descriptor.byte_length`."""
        return self.descriptor.byte_length

    @property
    def shape(self) -> tuple[int, ...]:
        """The dimensions; empty for a scalar."""
        return self.descriptor.shape

    @property
    def writable(self) -> bool:
        """Whether `write_tensor` is allowed."""
        return self._writable

    def destroy(self) -> None:
        """Release its memory. Pending reads are rejected with `InvalidStateError`. Calling it again is fine.

        Spec: https://www.w3.org/TR/webnn/#api-mltensor-destroy
        """
        if not self._destroyed:
            self._destroyed = True
            self._home = None
            error = InvalidStateError(f"{self!r} was destroyed before it was read")
            self._device.timeline.destroy_name(self._name, error)

    def _stop(self) -> None:
        """Do nothing: all work of a tensor is on the timeline."""

    def _lose(self, error: ContextLostError) -> None:
        """The device is gone, and has rejected the pending reads."""
        self.destroy()

    def _forked(self, error: ContextLostError) -> None:
        """The device is in the parent process, and its timeline has abandoned the pending reads."""
        self._destroyed = True
        self._home = None

    def __await__(self) -> Generator[Any, Any, MLTensor]:
        self._check_alive()
        return self
        yield  # unreachable: makes this a generator, which `await` needs

    def _check_alive(self) -> None:
        self._device.check_not_lost()
        if self._destroyed:
            raise DestroyedError(f"{self!r} was destroyed")

    def _constant_for(self, host: object) -> np.ndarray[Any, Any]:
        """Its value as a constant of a graph of `host`, which must be its context; for `MLGraphBuilder.constant`."""
        if host is not self._context:
            raise ValidationError(f"{self!r} belongs to another context")
        self._check_alive()
        if not self.constant:
            raise ValidationError(f"{self!r} is not a constant tensor: make one with context.create_constant_tensor")
        lent: Promise[Any] = self._device.timeline.read(self._name)  # the graph may outlive this tensor
        array: np.ndarray[Any, Any] = lent.result()
        return array

    def __del__(self) -> None:
        name = getattr(self, "_name", None)
        if name is not None and name.value is not None and name.value.error is None:
            self._device.timeline.discard(name.value)

    def __repr__(self) -> str:
        what = "constant " if self.constant else ""
        state = " (destroyed)" if self._destroyed else ""
        return f"<MLTensor {what}{self.descriptor}{state}>"

    def _repr_html_(self) -> str:
        """A table for notebooks. It has no elements, which would have to be read from the device."""
        with import_lock:  # here, since only notebooks need it
            from webnn.runtime.notebook import size, table  # noqa: PLC0415

        kind = (
            "constant"
            if self.constant
            else ", ".join(
                word for word, allowed in (("readable", self.readable), ("writable", self.writable)) if allowed
            )
        )
        state = "destroyed" if self._destroyed else "alive"
        return table(
            "MLTensor",
            {
                "data type": self.data_type,
                "shape": list(self.shape),
                "size": size(self.nbytes),
                "access": kind or "dispatch only",
                "state": state,
            },
        )

    def _read_first(self) -> NoReturn:
        raise TypeError(f"{self!r} has no data here; read it first: await context.read_tensor(tensor)")

    def __bool__(self) -> bool:
        self._read_first()

    def __len__(self) -> int:
        self._read_first()

    def __array__(self, *_: object, **__: object) -> np.ndarray[Any, Any]:
        self._read_first()
