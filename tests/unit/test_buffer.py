"""Buffers of aligned bytes, and views of them with a data type and shape."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.dtypes import DATA_TYPES
from webnn.memory.allocator import ALIGNMENT, HostAllocator

ALLOCATOR = HostAllocator()


@pytest.mark.parametrize("size", [1, 24, 63, 64, 65, 4096, 100_001])
def test_buffers_are_aligned_and_large_enough(size: int) -> None:
    buffer = ALLOCATOR.allocate(size)
    assert buffer.size == size
    assert buffer.memory.nbytes == size
    assert buffer.memory.ctypes.data % ALIGNMENT == 0


@pytest.mark.parametrize("data_type", DATA_TYPES)
@pytest.mark.parametrize("shape", [[], [1], [5], [2, 3], [1, 1, 1, 1, 1, 1, 1, 2]])
def test_a_view_has_the_type_and_shape_of_its_descriptor(data_type: str, shape: list[int]) -> None:
    descriptor = MLOperandDescriptor(data_type, shape)  # type: ignore[call-overload]
    view = ALLOCATOR.allocate(4096).view(descriptor)
    assert view.array.dtype == descriptor.dtype
    assert view.array.shape == tuple(shape)
    assert view.array.flags.c_contiguous
    assert view.array.flags.writeable
    assert view.handle is None


def test_writing_copies_the_elements() -> None:
    view = ALLOCATOR.allocate(64).view(MLOperandDescriptor("int32", [2, 2]))
    data = np.array([[1, 2], [3, 4]], np.int32)
    ALLOCATOR.write(view, data.T)
    data[:] = 0
    assert ALLOCATOR.host_array(view).tolist() == [[1, 3], [2, 4]]


def test_clearing_fills_with_zeros() -> None:
    view = ALLOCATOR.allocate(64).view(MLOperandDescriptor("float16", [3]))
    ALLOCATOR.write(view, np.array([1, np.nan, np.inf], np.float16))
    ALLOCATOR.clear(view)
    assert ALLOCATOR.host_array(view).tolist() == [0, 0, 0]


def test_the_host_array_is_the_memory_itself() -> None:
    buffer = ALLOCATOR.allocate(64)
    view = buffer.view(MLOperandDescriptor("uint8", [64]))
    assert np.shares_memory(ALLOCATOR.host_array(view), buffer.memory)


@pytest.mark.parametrize("dtype", [ml_dtypes.int4, ml_dtypes.uint4])
def test_four_bit_elements_take_a_byte_each_on_the_host(dtype: type) -> None:
    descriptor = MLOperandDescriptor(np.dtype(dtype).name, [3])  # type: ignore[call-overload]
    view = ALLOCATOR.allocate(64).view(descriptor)
    ALLOCATOR.write(view, np.array([1, 2, 3], dtype))
    assert ALLOCATOR.host_array(view).tolist() == [1, 2, 3]
