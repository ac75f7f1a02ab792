"""Constant folding: nodes whose inputs are all known are computed during the import, if their results are small.

The operators of shape arithmetic have a function here, which checks the size of its result before computing it. Others
are left to onnx's reference evaluator if shape inference says that the result is small. The graph computes the rest.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import numpy as np

from webnn.forking import import_lock
from webnn.formats.onnx.file.element_types import element_dtype
from webnn.formats.onnx.importing.bfloat16 import is_bfloat16, is_output_bfloat16
from webnn.formats.onnx.importing.node import OnnxNode
from webnn.graph.lean_imports import small_dtype

__all__ = ["fold"]

Array: TypeAlias = np.ndarray[Any, Any]
Folder: TypeAlias = Callable[..., Array | list[Array] | None]

_ELEMENTS: Final = 1 << 22
"""The most elements of one result."""

_FOLDERS: Final[dict[str, Folder]] = {}


def fold(node: OnnxNode) -> list[Array] | None:
    """The outputs of a node whose inputs are all known, or None if the graph must compute them."""
    if node.domain or not node.inputs:
        return None
    folder, budget = _FOLDERS.get(node.op_type), node.importer.budget
    try:
        with np.errstate(all="ignore"):
            if folder is not None:
                result = folder(node, *(None if value is None else value.array for value in node.inputs))
            else:
                with import_lock:  # here, since most models only have shapes to compute
                    from webnn.formats.onnx.importing.reference_evaluation import EVALUATED, evaluated  # noqa: PLC0415

                if node.op_type not in EVALUATED or not budget.take_evaluation():
                    return None
                result = evaluated(node)
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError):
        return None  # it is invalid: the function that imports it reports how
    if result is None:
        return None
    arrays = result if isinstance(result, list) else [result]
    given = [value.array for value in node.inputs if value is not None and value.array is not None]
    if not budget.take(sum(a.nbytes for a in arrays if not any(np.may_share_memory(a, one) for one in given))):
        return None
    return arrays


def _folds(*op_types: str) -> Callable[[Folder], Folder]:
    def register(function: Folder) -> Folder:
        for op_type in op_types:
            _FOLDERS[op_type] = function
        return function

    return register


def _computed_in_float32(folder: Folder) -> Folder:
    """A folder that gets bfloat16 and float16 arrays as float32 and whose result is rounded once, as a kernel's is."""

    @functools.wraps(folder)
    def in_float32(node: OnnxNode, *arrays: Array | None) -> Array | list[Array] | None:
        half = arrays[0] is not None and arrays[0].dtype == np.float16
        wide = [
            a.astype(np.float32) if a is not None and (is_bfloat16(a) or (half and a.dtype == np.float16)) else a
            for a in arrays
        ]
        result = folder(node, *wide)
        if isinstance(result, np.ndarray) and result.dtype == np.float32 and half:
            return result.astype(np.float16)
        if isinstance(result, np.ndarray) and result.dtype == np.float32 and is_output_bfloat16(node, 0):
            return result.astype(small_dtype("bfloat16"))
        return result

    return in_float32


def _fits(*shapes: Sequence[int]) -> bool:
    return math.prod(np.broadcast_shapes(*map(tuple, shapes))) <= _ELEMENTS


# Elementwise operators.


def _divide(a: Array, b: Array) -> Array:
    if a.dtype.kind == "f":
        return a / b
    if a.dtype.kind == "u":
        return a // b
    # Not by absolute values, since the smallest integer has none.
    quotient, rest = np.divmod(a, np.where(b == 0, b.dtype.type(1), b))
    return np.asarray(quotient + ((rest != 0) & ((a < 0) != (b < 0))), a.dtype)


_BINARY: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": _divide,
    "Equal": np.equal,
    "Greater": np.greater,
    "GreaterOrEqual": np.greater_equal,
    "Less": np.less,
    "LessOrEqual": np.less_equal,
    "And": np.logical_and,
    "Or": np.logical_or,
    "Xor": np.logical_xor,
    "Max": np.maximum,
    "Min": np.minimum,
}

_UNARY: Final[dict[str, Callable[[Any], Any]]] = {
    "Abs": np.abs,
    "Ceil": np.ceil,
    "Cos": np.cos,
    "Exp": np.exp,
    "Floor": np.floor,
    "Log": np.log,
    "Neg": np.negative,
    "Not": np.logical_not,
    "Reciprocal": np.reciprocal,
    "Sign": np.sign,
    "Sin": np.sin,
    "Sqrt": np.sqrt,
    "Tanh": np.tanh,
}


@_folds(*_BINARY)
@_computed_in_float32
def _binary(node: OnnxNode, *arrays: Array) -> Array | None:
    if not _fits(*(a.shape for a in arrays)) or (len(arrays) != 2 and node.op_type not in {"Max", "Min"}):
        return None
    result = arrays[0]
    for array in arrays[1:]:
        result = _BINARY[node.op_type](result, array)
    return np.asarray(result)


@_folds(*_UNARY)
@_computed_in_float32
def _unary(node: OnnxNode, a: Array) -> Array | None:
    return np.asarray(_UNARY[node.op_type](a)) if a.size <= _ELEMENTS else None


@_folds("Pow")
@_computed_in_float32
def _pow(node: OnnxNode, a: Array, b: Array) -> Array | None:
    if not _fits(a.shape, b.shape) or (a.dtype.kind in "iu" and b.dtype.kind == "i" and (b < 0).any()):
        return None
    return np.asarray(np.power(a, b), a.dtype)


@_folds("Mod")
@_computed_in_float32
def _mod(node: OnnxNode, a: Array, b: Array) -> Array | None:
    if not _fits(a.shape, b.shape):
        return None
    return np.asarray((np.fmod if node.get_int("fmod", 0) else np.mod)(a, b), a.dtype)


@_folds("MatMul")
@_computed_in_float32
def _matmul(node: OnnxNode, a: Array, b: Array) -> Array | None:
    """Rotary embeddings have such a product, of positions and frequencies."""
    of_each = b.shape[-1] if b.ndim > 1 else 1
    repeats = math.prod(np.broadcast_shapes(a.shape[:-2], b.shape[:-2])) // max(1, math.prod(a.shape[:-2]))
    products = math.prod(a.shape[:-1]) * max(1, a.shape[-1]) * repeats * of_each  # 1 for each sum of nothing
    return np.asarray(np.matmul(a, b)) if products <= _ELEMENTS else None


@_folds("Where")
def _where(node: OnnxNode, condition: Array, a: Array, b: Array) -> Array | None:
    return np.where(condition, a, b) if _fits(condition.shape, a.shape, b.shape) else None


@_folds("Cast", "CastLike")
def _cast(node: OnnxNode, a: Array, like: Array | None = None) -> Array | None:
    dtype = element_dtype(node.get_int("to")) if like is None else like.dtype
    a = a.astype(np.float32) if is_bfloat16(a) and (dtype is None or dtype.name != "bfloat16") else a
    if dtype is None or a.size > _ELEMENTS:
        return None
    if dtype.kind in "iu" and a.dtype.kind == "f" and not (np.isfinite(a).all() and (abs(a) < 2**31).all()):
        return None
    return a.astype(dtype)


@_folds("BitCast")
def _bit_cast(node: OnnxNode, a: Array) -> Array | None:
    dtype = element_dtype(node.get_int("to"))
    return a.view(dtype) if dtype is not None and dtype.itemsize == a.itemsize else None


# Movement. Views take no memory, so they may be of any size.


@_folds("Identity", "StopGradient")
def _identity(node: OnnxNode, a: Array) -> Array:
    return a


@_folds("Reshape")
def _reshape(node: OnnxNode, a: Array, _shape: Array) -> Array | None:
    shape = node.integers(1, "shape")
    if not node.get_int("allowzero", 0):
        shape = [a.shape[i] if size == 0 else size for i, size in enumerate(shape)]
    return _reshaped(a, shape)


def _reshaped(a: Array, shape: Sequence[int]) -> Array | None:
    if a.size > 1 and not any(a.strides):  # one repeated number
        known = math.prod(size for size in shape if size != -1)
        sizes = [a.size // known if size == -1 else size for size in shape]
        return np.broadcast_to(a[(0,) * a.ndim], sizes) if math.prod(sizes) == a.size else None
    return a.reshape(shape) if a.flags.c_contiguous or a.size <= _ELEMENTS else None


@_folds("Flatten")
def _flatten(node: OnnxNode, a: Array) -> Array | None:
    axis = node.get_int("axis", 1)
    axis += a.ndim if axis < 0 else 0
    return _reshaped(a, [math.prod(a.shape[:axis]), math.prod(a.shape[axis:])])


@_folds("Squeeze")
def _squeeze(node: OnnxNode, a: Array, *_axes: Array) -> Array:
    axes = node.find_list(1, "axes")
    return np.squeeze(a, None if axes is None else tuple(axes))


@_folds("Unsqueeze")
def _unsqueeze(node: OnnxNode, a: Array, *_axes: Array) -> Array:
    return np.expand_dims(a, tuple(node.find_list(1, "axes") or ()))


@_folds("Transpose")
def _transpose(node: OnnxNode, a: Array) -> Array | None:
    return np.transpose(a, node.find_ints("perm")) if a.size <= _ELEMENTS else None


@_folds("Expand")
def _expand(node: OnnxNode, a: Array, _shape: Array) -> Array:
    return np.broadcast_to(a, np.broadcast_shapes(a.shape, tuple(node.integers(1, "shape"))))


@_folds("Tile")
def _tile(node: OnnxNode, a: Array, _repeats: Array) -> Array | None:
    repeats = node.integers(1, "repeats")
    return np.tile(a, repeats) if a.size * math.prod(repeats) <= _ELEMENTS else None


@_folds("Slice")
def _slice(node: OnnxNode, a: Array, *_bounds: Array) -> Array:
    starts, ends = node.find_list(1, "starts") or [], node.find_list(2, "ends") or []
    axes = node.find_list(3, "axes") or range(len(starts))
    steps = node.integers(4, "steps") if node.has(4) else [1] * len(starts)
    where = [slice(None)] * a.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        # With a negative step, an end before the first element cannot be written as a negative number.
        where[axis] = slice(start, None if step < 0 and end < -a.shape[axis] else end, step)
    return a[tuple(where)]


@_folds("Split")
def _split(node: OnnxNode, a: Array, *_sizes: Array) -> list[Array]:
    axis, count = node.get_int("axis", 0), len(node.outputs)
    sizes = node.find_list(1, "split")
    if sizes is None:
        size = -(-a.shape[axis] // count)
        sizes = [size] * (count - 1) + [a.shape[axis] - size * (count - 1)]
    if sum(sizes) != a.shape[axis] or min(sizes) < 0 or len(sizes) != count:
        raise ValueError
    return np.split(a, np.cumsum(sizes)[:-1].tolist(), axis)


@_folds("Concat")
def _concat(node: OnnxNode, *arrays: Array) -> Array | None:
    return np.concatenate(arrays, node.get_int("axis", 1)) if sum(a.size for a in arrays) <= _ELEMENTS else None


@_folds("Gather")
def _gather(node: OnnxNode, a: Array, indices: Array) -> Array | None:
    axis = node.get_int("axis", 0)
    if not a.shape[axis] or indices.size * (a.size // a.shape[axis]) > _ELEMENTS:
        return None
    return np.asarray(np.take(a, indices.astype(np.int64), axis))


@_folds("GatherElements")
def _gather_elements(node: OnnxNode, a: Array, indices: Array) -> Array | None:
    axis = node.get_int("axis", 0)
    inside = all(
        n <= size for i, (n, size) in enumerate(zip(indices.shape, a.shape, strict=True)) if i != axis % a.ndim
    )
    if not inside or indices.size > _ELEMENTS:
        return None
    part = a[tuple(slice(None) if i == axis % a.ndim else slice(n) for i, n in enumerate(indices.shape))]
    return np.take_along_axis(part, indices.astype(np.int64), axis)


@_folds("GatherND")
def _gather_nd(node: OnnxNode, a: Array, indices: Array) -> Array | None:
    depth = indices.shape[-1]
    if node.get_int("batch_dims", 0) or depth > a.ndim:
        return None
    shape = (*indices.shape[:-1], *a.shape[depth:])
    if math.prod(shape) > _ELEMENTS:
        return None
    return np.asarray(a[tuple(np.moveaxis(indices, -1, 0))]) if depth else np.broadcast_to(a, shape)


_COMBINED: Final[dict[str, np.ufunc]] = {"add": np.add, "max": np.maximum, "min": np.minimum, "mul": np.multiply}


def _scattered(node: OnnxNode, a: Array, places: tuple[Array, ...], updates: Array) -> Array:
    reduction = node.get_string("reduction", "none")
    result = a.copy()
    if reduction == "none":
        result[places] = updates
    else:
        _COMBINED[reduction].at(result, places, updates)
    return result


@_folds("ScatterND")
@_computed_in_float32
def _scatter_nd(node: OnnxNode, a: Array, indices: Array, updates: Array) -> Array | None:
    if a.size > _ELEMENTS or updates.size > _ELEMENTS or indices.shape[-1] > a.ndim:
        return None
    if updates.shape != indices.shape[:-1] + a.shape[indices.shape[-1] :]:
        return None
    return _scattered(node, a, tuple(np.moveaxis(indices, -1, 0)), updates)


@_folds("Scatter", "ScatterElements")
@_computed_in_float32
def _scatter_elements(node: OnnxNode, a: Array, indices: Array, updates: Array) -> Array | None:
    if a.size > _ELEMENTS or indices.size > _ELEMENTS >> 3 or updates.shape != indices.shape:
        return None
    axis = node.axis(node.get_int("axis", 0), a.ndim)
    places: list[Array] = list(np.indices(indices.shape))
    places[axis] = indices
    return _scattered(node, a, tuple(places), updates)


@_folds("NonZero")
def _nonzero(node: OnnxNode, a: Array) -> Array | None:
    return np.array(np.nonzero(np.atleast_1d(a)), np.int64) if a.size <= _ELEMENTS else None


@_folds("Unique")
def _unique(node: OnnxNode, a: Array) -> list[Array] | None:
    """The different slices, where each is found first, which one each slice is, and how often they are there."""
    axis = node.axis(node.get_int("axis"), a.ndim) if node.has_attribute("axis") else None
    if a.size > _ELEMENTS:
        return None
    kinds, first, places, counts = np.unique(a, return_index=True, return_inverse=True, return_counts=True, axis=axis)
    if not node.get_int("sorted", 1):  # in the order in which they are found
        order = np.argsort(first)
        kinds, first, counts = np.take(kinds, order, axis or 0), first[order], counts[order]
        places = np.argsort(order)[places]
    return [kinds, *(array.reshape(-1).astype(np.int64) for array in (first, places, counts))]


@_folds("OneHot")
def _one_hot(node: OnnxNode, indices: Array, depth: Array, values: Array) -> Array | None:
    """Chosen, not as the reference evaluator computes it, in which an infinite value makes all others NaN."""
    count, axis = int(depth.item()), node.axis(node.get_int("axis", -1), indices.ndim + 1)
    if count < 1 or indices.size * count > _ELEMENTS:
        return None
    places = np.arange(count).reshape([-1] + [1] * (indices.ndim - axis))
    whole = np.expand_dims(indices.astype(np.int64), axis)  # of floats, the standard casts them
    return np.asarray(np.where(np.where(whole < 0, whole + count, whole) == places, values[1], values[0]))


@_folds("Range")
@_computed_in_float32
def _range(node: OnnxNode, start: Array, limit: Array, delta: Array) -> Array | None:
    count = max(math.ceil((limit.item() - start.item()) / delta.item()), 0)
    return (start + np.arange(count) * delta).astype(start.dtype) if count <= _ELEMENTS else None


def _norm(a: Array, **options: Any) -> Any:
    """The Euclidean norm. The squares of float32 are in the range of float64."""
    return np.sqrt(np.sum(np.square(a, dtype=np.float64), **options))


def _log_sum_exp(a: Array, **options: Any) -> Any:
    largest = np.max(a, axis=options["axis"], keepdims=True, initial=-np.inf)
    largest = np.where(np.isfinite(largest), largest, 0)
    total = np.log(np.sum(np.exp(a - largest), dtype=np.float64, **options))
    return total + largest.reshape(total.shape)


def _mean(a: Array, **options: Any) -> Any:
    """The mean, which is 0 if there are no elements, as in onnxruntime."""
    return np.mean(a, **options) if a.size else np.sum(a, **options)


def _max(a: Array, **options: Any) -> Any:
    """The largest element, or of none the smallest number of the type, as in onnxruntime."""
    return np.max(a, **options, initial=-np.inf if a.dtype.kind == "f" else np.iinfo(a.dtype).min)


def _min(a: Array, **options: Any) -> Any:
    """The least element, or of none the largest number of the type."""
    return np.min(a, **options, initial=np.inf if a.dtype.kind == "f" else np.iinfo(a.dtype).max)


_REDUCTIONS: Final[dict[str, Callable[..., Any]]] = {
    "ReduceL1": lambda a, **options: np.sum(np.abs(a), **options),
    "ReduceL2": _norm,
    "ReduceLogSumExp": _log_sum_exp,
    "ReduceMax": _max,
    "ReduceMean": _mean,
    "ReduceMin": _min,
    "ReduceProd": np.prod,
    "ReduceSum": np.sum,
    "ReduceSumSquare": lambda a, **options: np.sum(np.square(a), **options),
}
_ELEMENTWISE: Final = frozenset({"ReduceL1", "ReduceL2", "ReduceLogSumExp", "ReduceSumSquare"})
"""Reductions that are not the identity for a single element."""


@_folds(*_REDUCTIONS)
@_computed_in_float32
def _reduce(node: OnnxNode, a: Array, *_axes: Array) -> Array | None:
    axes = node.find_list(1, "axes")
    if a.size > _ELEMENTS:
        return None
    if not axes and node.is_one("noop_with_empty_axes", 0):
        return a if node.op_type not in _ELEMENTWISE else None
    if node.op_type == "ReduceLogSumExp" and a.dtype.kind != "f":
        return None
    keep = node.is_one("keepdims", 1)
    wide = a.astype(np.float64) if a.dtype.kind == "f" else a
    return np.asarray(_REDUCTIONS[node.op_type](wide, axis=tuple(axes) if axes else None, keepdims=keep), a.dtype)


@_folds("LogSoftmax")
@_computed_in_float32
def _log_softmax(node: OnnxNode, a: Array) -> Array | None:
    if node.version < 13 or a.size > _ELEMENTS:  # earlier versions join axes
        return None
    axis = node.get_int("axis", -1)
    below = a - np.max(a, axis, keepdims=True)
    return np.asarray(below - np.log(np.sum(np.exp(below), axis, dtype=np.float64, keepdims=True)), a.dtype)
