"""Values in the memory of a CUDA device, lent to other libraries by DLPack, without a copy.

The consumer's stream waits for the work that makes the value. The memory is used again when the consumer has freed its
array, after the work that it had queued on its stream by then.
Protocol: https://dmlc.github.io/dlpack/latest/python_spec.html
"""

from __future__ import annotations

import ctypes
from typing import Any, ClassVar, Final

import numpy as np

from webnn.backends.cuda.stream import Stream
from webnn.forking import keep_for_ever, on_fork
from webnn.graph.unpicklable import Unpicklable
from webnn.memory.lease import Lease, lease_of_nothing

__all__ = ["LentArray"]

_LEGACY_STREAM, _NO_STREAM = 1, -1
_READ_ONLY: Final = 1
_CODES: Final = {"i": 0, "u": 1, "f": 2}


class _Device(ctypes.Structure):
    _fields_: ClassVar[Any] = [("type", ctypes.c_int32), ("number", ctypes.c_int32)]


class _DataType(ctypes.Structure):
    _fields_: ClassVar[Any] = [("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16)]


class _Tensor(ctypes.Structure):
    _fields_: ClassVar[Any] = [
        ("data", ctypes.c_void_p),
        ("device", _Device),
        ("ndim", ctypes.c_int32),
        ("dtype", _DataType),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    ]


class _Managed(ctypes.Structure):
    """`DLManagedTensor`, of consumers from before DLPack 1.0."""

    _fields_: ClassVar[Any] = [("tensor", _Tensor), ("context", ctypes.c_void_p), ("deleter", ctypes.c_void_p)]


class _Versioned(ctypes.Structure):
    """`DLManagedTensorVersioned`."""

    _fields_: ClassVar[Any] = [
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("context", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
        ("flags", ctypes.c_uint64),
        ("tensor", _Tensor),
    ]


class LentArray(Unpicklable):
    """The value of a tensor, in the memory of a CUDA device: `torch.from_dlpack(lent)`, `cupy.from_dlpack(lent)`.

    The memory is shared, and belongs to this package: other libraries must not write to it. It is given back when this
    object, and all arrays that were made of it, are gone.
    """

    __slots__ = ("_address", "_made", "_stream", "base", "dtype", "nbytes", "shape")

    _why_unpicklable: ClassVar[str] = (
        "it is memory of a device of this process; send the array that context.read_tensor gives"
    )
    device_type: ClassVar[int] = 2
    """`kDLCUDA`."""

    def __init__(self, address: int, dtype: np.dtype[Any], shape: tuple[int, ...], stream: Stream) -> None:
        self._address = address
        self._stream = stream
        self._made = stream.mark()
        self.base: Lease = lease_of_nothing()
        self.dtype = dtype
        """The NumPy dtype of each element."""
        self.shape = shape
        """The dimensions."""
        self.nbytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        """The size in bytes."""

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device_type, self._stream.cuda.device

    def __dlpack__(
        self,
        *,
        stream: int | None = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        """A capsule of the same memory.

        Args:
            stream: the consumer's: 1 or None is the legacy default stream, 2 that of the thread, -1 waits for nothing.
            max_version: the newest version of DLPack that the consumer reads.
            dl_device: the device on which it wants the elements.
            copy: whether it wants a copy.

        Raises:
            BufferError: it wants a copy, or another device; or DLPack has no such data type.
        """
        if copy:
            raise BufferError("the memory of the device is shared; copy it with the other library")
        if dl_device is not None and dl_device != self.__dlpack_device__():
            raise BufferError(f"the value is on the device {self.__dlpack_device__()}, and {dl_device} was asked for")
        if self.dtype.kind not in _CODES:
            raise BufferError(f"DLPack has no {self.dtype.name}")
        consumer = _LEGACY_STREAM if stream is None else stream
        if consumer != _NO_STREAM:
            self._stream.cuda.wait_on(consumer, self._made)
        is_versioned = max_version is not None and max_version >= (1, 0)
        managed: Any = _Versioned(1, 0, flags=_READ_ONLY) if is_versioned else _Managed()
        sizes = (ctypes.c_int64 * max(len(self.shape), 1))(*self.shape)
        steps = (ctypes.c_int64 * max(len(self.shape), 1))(*_strides(self.shape))
        managed.tensor = _Tensor(
            self._address,
            _Device(*self.__dlpack_device__()),
            len(self.shape),
            _DataType(_CODES[self.dtype.kind], 8 * self.dtype.itemsize, 1),
            sizes,
            steps,
            0,
        )
        managed.deleter = ctypes.cast(_DELETE, ctypes.c_void_p).value
        place = ctypes.addressof(managed)
        _alive[place] = managed, sizes, steps, self.base, self._stream, consumer
        return _new_capsule(place, _VERSIONED_NAME if is_versioned else _NAME, ctypes.cast(_DISCARD, ctypes.c_void_p))

    def __repr__(self) -> str:
        return f"<LentArray {self.dtype.name} {list(self.shape)} on the CUDA device {self._stream.cuda.device}>"

    def __del__(self) -> None:
        made = getattr(self, "_made", None)
        if made is not None:
            self._stream.unmark(made)


def _strides(shape: tuple[int, ...]) -> list[int]:
    """In elements, of a contiguous array."""
    strides = [1] * len(shape)
    for i in range(len(shape) - 1, 0, -1):
        strides[i - 1] = strides[i] * shape[i]
    return strides


_NAME: Final = b"dltensor"
_VERSIONED_NAME: Final = b"dltensor_versioned"
_alive: Final[dict[int, tuple[Any, ...]]] = {}
"""All that a consumer reads, by the address of the structure that it has; with the lease of the memory."""


def _delete(place: int) -> None:
    """The consumer has freed its array. What it had queued on its stream may go on, and our stream waits for that."""
    kept = _alive.pop(place, None)
    if kept is not None and kept[-1] != _NO_STREAM:
        kept[-2].follow(kept[-1])


def _discard(capsule: int) -> None:
    """The capsule is freed. If a consumer took it, it has another name."""
    for name in (_NAME, _VERSIONED_NAME):
        if _is_capsule(capsule, name):
            _alive.pop(_pointer(capsule, name), None)


_CALLBACK: Final = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_DELETE: Final = _CALLBACK(_delete)
_DISCARD: Final = _CALLBACK(_discard)


@on_fork
def _forget(_: int) -> None:
    """In a forked child, consumers may still free what they have; the device is in the parent."""
    keep_for_ever(list(_alive.values()))
    _alive.clear()


_new_capsule: Final = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)(
    ("PyCapsule_New", ctypes.pythonapi)
)
_is_capsule: Final = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p)(
    ("PyCapsule_IsValid", ctypes.pythonapi)
)
_pointer: Final = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)
