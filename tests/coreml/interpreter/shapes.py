"""Operators of `tensor_transformation.py`."""

from __future__ import annotations

import numpy as np

from tests.coreml.interpreter.datatypes import Array
from tests.coreml.interpreter.signatures import (
    FLOAT,
    NUMBER_OR_BOOL,
    SMALL,
    ProgramError,
    UndocumentedError,
    operator,
    require,
)

_ANY = (*NUMBER_OR_BOOL, *SMALL)
_SIZE = ("int32", "int16", "int8")


def axes_of(axes: Array | None, rank: int) -> list[int]:
    """The axes from zero on; all of them if none are given."""
    if axes is None:
        return list(range(rank))
    require(all(-rank <= axis < rank for axis in axes), f"the axes {axes.tolist()} of the rank {rank}")
    places = [int(axis) % rank for axis in axes]
    require(len(set(places)) == len(places), f"an axis is twice in {axes.tolist()}")
    return places


@operator("reshape(x: T, shape: U) -> T", T=_ANY, U=_SIZE)
def reshape(x: Array, shape: Array) -> Array:
    require(shape.ndim == 1, "shape must be a vector")
    require(bool(np.all(shape >= -1)) and np.count_nonzero(shape == -1) <= 1, f"the shape {shape.tolist()}")
    sizes = [int(size) for size in shape]
    for i, size in enumerate(sizes):
        if size == 0:  # the dimension of x that is as far from the right
            from_the_right = len(sizes) - i
            sizes[i] = x.shape[-from_the_right] if from_the_right <= x.ndim else 1
    try:
        return x.reshape(sizes)
    except ValueError:
        raise ProgramError(f"{list(x.shape)} has another number of elements than {shape.tolist()}") from None


@operator("expand_dims(x: T, axes: const int32[]) -> T", T=_ANY)
def expand_dims(x: Array, axes: Array) -> Array:
    places = axes_of(axes, x.ndim + axes.size)
    sizes = iter(x.shape)
    return x.reshape([1 if axis in places else next(sizes) for axis in range(x.ndim + axes.size)])


@operator("squeeze(x: T, axes: const int32[] = None) -> T", T=_ANY)
def squeeze(x: Array, axes: Array | None) -> Array:
    """Axes of another size than 1 are ignored, as the documentation says."""
    require(x.ndim >= 1, "x must be at least 1-D")
    places = axes_of(axes, x.ndim)
    return x.reshape([size for axis, size in enumerate(x.shape) if axis not in places or size != 1])


@operator("transpose(x: T, perm: const int32[]) -> T", T=_ANY)
def transpose(x: Array, perm: Array) -> Array:
    require(x.ndim >= 1, "x must be at least 1-D")
    places = axes_of(perm, x.ndim)
    require(len(places) == x.ndim, f"perm {perm.tolist()} for the rank {x.ndim}")
    return x.transpose(places)


@operator("reverse(x: T, axes: const int32[] = None) -> T", T=_ANY)
def reverse(x: Array, axes: Array | None) -> Array:
    return np.flip(x, tuple(axes_of(axes, x.ndim)))


@operator(
    "reverse_sequence(x: T, lengths: U, seq_axis: const int32 = 0, batch_axis: const int32 = 0) -> T", T=_ANY, U=_SIZE
)
def reverse_sequence(x: Array, lengths: Array, seq_axis: int, batch_axis: int) -> Array:
    require(lengths.shape == (x.shape[batch_axis],), f"lengths {list(lengths.shape)}")
    require(bool(np.all((lengths >= 0) & (lengths <= x.shape[seq_axis]))), f"lengths {lengths.tolist()}")
    view = np.moveaxis(x, (batch_axis, seq_axis), (0, 1))
    result = view.copy()
    for batch, length in enumerate(lengths):
        result[batch, :length] = view[batch, :length][::-1]
    return np.moveaxis(result, (0, 1), (batch_axis, seq_axis))


def _slices(
    x: Array,
    *,
    begin: Array,
    end: Array,
    stride: Array | None,
    begin_mask: Array | None,
    end_mask: Array | None,
    squeeze_mask: Array | None,
) -> tuple[slice | int, ...]:
    """The index in NumPy's style. Masks with negative strides are read in two ways, so they are undocumented."""
    given = {"begin": begin, "end": end, "stride": stride, "begin_mask": begin_mask, "end_mask": end_mask}
    for name, vector in {**given, "squeeze_mask": squeeze_mask}.items():
        require(vector is None or vector.shape == (x.ndim,), f"{name} is not a vector of {x.ndim}")
    index: list[slice | int] = []
    for axis, size in enumerate(x.shape):
        step = 1 if stride is None else int(stride[axis])
        require(step != 0, "a stride is 0")
        first, last = int(begin[axis]), int(end[axis])
        masks = [mask is not None and bool(mask[axis]) for mask in (begin_mask, end_mask)]
        if step < 0 and any(masks):
            raise UndocumentedError("a mask of begin or end where the stride is negative")
        if squeeze_mask is not None and squeeze_mask[axis]:
            require(-size <= first < size, f"begin is {first} in {size} elements")
            index.append(first)
            continue
        if (not masks[0] and not -size <= first < size) or (not masks[1] and not -size - 1 <= last <= size):
            raise UndocumentedError(f"begin {first} and end {last} in {size} elements")
        index.append(slice(None if masks[0] else first, None if masks[1] else last, step))
    return tuple(index)


_SLICE = (
    "begin: U, end: U, stride: const U[] = None, begin_mask: const bool[] = None, end_mask: const bool[] = None,"
    " squeeze_mask: const bool[] = None"
)


@operator(f"slice_by_index(x: T, {_SLICE}) -> T", T=_ANY, U=_SIZE)
def slice_by_index(x: Array, **slicing: Array) -> Array:
    return np.asarray(x[_slices(x, **slicing)])


@operator(f"slice_update(x: T, update: T, {_SLICE}) -> T", since=18, T=_ANY, U=_SIZE)
def slice_update(x: Array, update: Array, **slicing: Array) -> Array:
    index = _slices(x, **slicing)
    require(update.ndim >= 1 and x[index].shape == update.shape, f"update {list(update.shape)}")
    result = x.copy()
    result[index] = update
    return result


@operator("slice_by_size(x: T, begin: U, size: U) -> T", T=_ANY, U=_SIZE)
def slice_by_size(x: Array, begin: Array, size: Array) -> Array:
    require(begin.shape == size.shape == (x.ndim,), f"begin and size are not vectors of {x.ndim}")
    index = []
    for whole, first, count in zip(x.shape, begin.tolist(), size.tolist(), strict=True):
        if not 0 <= first < whole:
            raise UndocumentedError(f"begin {first} in {whole} elements")
        require(count == -1 or 0 < count <= whole - first, f"{count} elements from {first} on of {whole}")
        index.append(slice(first, whole if count == -1 else first + count))
    return x[tuple(index)]


@operator("sliding_windows(x: T, axis: const int32, size: const int32, stride: const int32 = 1) -> T", T=_ANY)
def sliding_windows(x: Array, axis: int, size: int, stride: int) -> Array:
    (place,) = axes_of(np.array([axis]), x.ndim)
    require(0 < size <= x.shape[place] and stride > 0, f"windows of {size}")
    view = np.lib.stride_tricks.sliding_window_view(x, size, place)
    return np.moveaxis(view[(slice(None),) * place + (slice(None, None, stride),)], -1, place + 1)


def _split_channels(x: Array, factor: int) -> tuple[int, int, int, int]:
    require(x.ndim == 4, f"x has the rank {x.ndim}, not 4")
    require(factor >= 1 and x.shape[1] % factor**2 == 0, f"{x.shape[1]} channels in blocks of {factor}")
    batch, depth, height, width = x.shape
    return batch, depth // factor**2, height, width


@operator("depth_to_space(x: T, block_size: const int32) -> T", T=FLOAT)
def depth_to_space(x: Array, block_size: int) -> Array:
    """The blocks come first in the channels, as in TensorFlow's operator of this name."""
    batch, depth, height, width = _split_channels(x, block_size)
    blocks = x.reshape(batch, block_size, block_size, depth, height, width).transpose(0, 3, 4, 1, 5, 2)
    return blocks.reshape(batch, depth, height * block_size, width * block_size)


@operator("pixel_shuffle(x: T, upscale_factor: const int32) -> T", T=FLOAT)
def pixel_shuffle(x: Array, upscale_factor: int) -> Array:
    """The blocks come last in the channels, as in PyTorch."""
    batch, depth, height, width = _split_channels(x, upscale_factor)
    blocks = x.reshape(batch, depth, upscale_factor, upscale_factor, height, width).transpose(0, 1, 4, 2, 5, 3)
    return blocks.reshape(batch, depth, height * upscale_factor, width * upscale_factor)
