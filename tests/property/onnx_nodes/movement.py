"""Random nodes that move elements, gather or scatter them."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import helper, numpy_helper

from tests.property.onnx_models import Models, Value
from tests.property.onnx_nodes.table import ANY, FLOATS, NUMBERS, adds, as_axes

__all__: list[str] = []


@adds("Concat")
def _concat(m: Models, op_type: str) -> bool:
    x = m.take(m.one_of(*ANY), rank=(1, 4))
    axis = m.axis(x.rank)
    shapes = [list(x.shape) for _ in range(m.between(0, 2))]
    for shape in shapes:
        shape[axis] = m.between(0 if m.maybe(0.1) else 1, 3)
    return m.node(op_type, [x, *(m.take(x.array.dtype, shape) for shape in shapes)], exact=True, axis=axis)


@adds("Expand", "Tile", "Flatten", "Transpose", "Shape", "Size", "Trilu")
def _movement(m: Models, op_type: str) -> bool:
    x = m.take(m.one_of(*ANY), rank=(2, 4) if op_type == "Trilu" else (1, 4) if op_type == "Tile" else (0, 4))
    inputs: list[Value | None] = []
    attributes: dict[str, Any] = {}
    if op_type == "Expand":
        shape = [m.one_of(1, n) if n != 1 else m.between(1, 3) for n in x.shape]
        inputs = [m.integers(*[m.between(1, 2) for _ in range(m.between(0, 1))], *shape[m.between(0, 1) :])]
    elif op_type == "Tile":
        inputs = [m.integers(*(m.between(0 if m.maybe(0.05) else 1, 3) for _ in x.shape))]
    elif op_type == "Flatten" and m.maybe(0.8):
        attributes = {"axis": m.between(-x.rank if m.version >= 11 else 0, x.rank)}
    elif op_type == "Transpose" and m.maybe(0.8):
        attributes = {"perm": m.rng.sample(range(x.rank), x.rank)}
    elif op_type == "Shape" and m.version >= 15 and m.maybe():
        attributes = {"start": m.between(-5, 5), "end": m.between(-5, 5)}
    elif op_type == "Trilu":
        attributes = {"upper": m.between(0, 1)}
        inputs = [m.constant(np.array(m.between(-4, 4), np.int64))] if m.maybe() else []
    return m.node(op_type, [x, *inputs], exact=True, **attributes)


@adds("Reshape")
def _reshape(m: Models, op_type: str) -> bool:
    x = m.take(m.one_of(*ANY))
    sizes: list[int] = []
    left = x.array.size
    while left > 1 and len(sizes) < 4 and m.maybe(0.8):
        sizes.append(m.one_of(*[n for n in range(1, left + 1) if left % n == 0]))
        left //= sizes[-1]
    sizes.append(left)
    m.rng.shuffle(sizes)
    if m.maybe(0.3):
        sizes[m.between(0, len(sizes) - 1)] = -1
    for i, size in enumerate(sizes):
        if i < x.rank and size == x.shape[i] and m.maybe(0.3):
            sizes[i] = 0
    return m.node(op_type, [x, m.integers(*sizes)], exact=True)


@adds("Pad")
def _pad(m: Models, op_type: str) -> bool:
    mode = m.one_of("constant", "constant", "reflect", "edge", "wrap" if m.version >= 19 else "edge")
    dtype = m.one_of(*ANY) if m.version >= 13 else np.float32
    x = m.take(dtype, rank=(1, 4))
    axes = m.axes(x.rank) if m.version >= 18 and m.maybe() else None
    count = x.rank if axes is None else len(axes)
    low = -1 if m.maybe(0.2) and mode == "constant" else 0
    pads = [m.between(low, 2) for _ in range(2 * count)]
    if m.version < 11:
        return m.node(op_type, [x], exact=True, mode=mode, pads=pads, value=m.one_of(0.0, 1.5))
    value = m.fresh(m.array(dtype, ())) if mode == "constant" and m.maybe() else None
    chosen = None if axes is None else m.integers(*axes)
    return m.node(op_type, [x, m.integers(*pads), value, chosen], exact=True, mode=mode)


@adds("Slice")
def _slice(m: Models, op_type: str) -> bool:
    x = m.take(m.one_of(*ANY), rank=(1, 4))
    axes = m.axes(x.rank) if m.version >= 10 else sorted(a % x.rank for a in m.axes(x.rank))
    steps = [m.one_of(1, 1, 2, 3, -1, -2) if m.version >= 10 else 1 for _ in axes]
    limit = m.one_of(5, 7, 2**31 - 1, 2**63 - 1)
    starts = [m.between(-7, 7) for _ in axes]
    ends = [m.one_of(m.between(-7, 7), limit if step > 0 else -limit - m.between(0, 1)) for step in steps]
    if m.version < 10:
        return m.node(op_type, [x], exact=True, axes=axes, starts=starts, ends=ends)
    return m.node(
        op_type, [x, m.integers(*starts), m.integers(*ends), m.integers(*axes), m.integers(*steps)], exact=True
    )


@adds("Split")
def _split(m: Models, op_type: str) -> bool:
    x = m.take(m.one_of(*ANY), rank=(1, 4))
    axis = m.axis(x.rank)
    size, count = x.shape[axis], m.between(1, 3)
    if m.maybe() or m.version >= 18:
        if m.maybe() and m.version >= 18:
            return m.node(op_type, [x], exact=True, outputs=count, axis=axis, num_outputs=count)
        cuts = (
            sorted(m.between(0 if m.maybe(0.1) else 1, size) for _ in range(count - 1)) if size else [0] * (count - 1)
        )
        sizes = [int(n) for n in np.diff([0, *cuts, size])]
        inputs, attributes = as_axes(m, 13, sizes, "split")
        return m.node(op_type, [x, *inputs], exact=True, outputs=count, axis=axis, **attributes)
    return m.node(op_type, [x], exact=True, outputs=count, axis=axis)


@adds("Squeeze", "Unsqueeze")
def _squeeze(m: Models, op_type: str) -> bool:
    x = m.take(m.one_of(*ANY))
    if op_type == "Squeeze":
        ones = [i for i, n in enumerate(x.shape) if n == 1]
        axes = None if not ones or m.maybe(0.3) else m.rng.sample(ones, m.between(1, len(ones)))
    else:
        axes = m.axes(x.rank + m.between(1, 2))[:2]
    inputs, attributes = as_axes(m, 13, axes)
    return m.node(op_type, [x, *inputs], exact=True, **attributes)


@adds("DepthToSpace", "SpaceToDepth")
def _blocks(m: Models, op_type: str) -> bool:
    size = m.between(1, 2)
    batch, channels, height, width = m.one_of(1, 2), m.between(1, 2), m.between(1, 3), m.between(1, 2)
    shape = (
        (batch, channels * size * size, height, width)
        if op_type == "DepthToSpace"
        else (batch, channels, height * size, width * size)
    )
    options = {"mode": m.one_of("DCR", "CRD")} if op_type == "DepthToSpace" and m.version >= 11 and m.maybe() else {}
    return m.node(op_type, [m.take(m.one_of(*FLOATS, np.uint8), shape)], exact=True, blocksize=size, **options)


@adds("EyeLike", "ConstantOfShape", "Range", "OneHot")
def _made(m: Models, op_type: str) -> bool:
    if op_type == "EyeLike":
        to = {"dtype": helper.np_dtype_to_tensor_dtype(np.dtype(m.one_of(*NUMBERS)))} if m.maybe() else {}
        return m.node(op_type, [m.take(m.one_of(*ANY), rank=(2, 2))], exact=True, k=m.between(-3, 3), **to)
    if op_type == "ConstantOfShape":
        value = {"value": numpy_helper.from_array(m.array(m.one_of(*ANY), (1,)))} if m.maybe(0.7) else {}
        return m.node(op_type, [m.integers(*m.shape())], exact=True, **value)
    if op_type == "Range":
        dtype = m.one_of(np.int32, np.int64, np.float32, np.int16)
        numbers = [m.between(-3, 3), m.between(-3, 9), m.one_of(1, 2, 3, -1, -2)]
        return m.node(op_type, [m.constant(np.array(n, dtype)) for n in numbers], exact=True)
    indices = m.fresh(np.round(m.array(m.one_of(np.int32, np.int64, np.float32, np.uint8), m.shape(0, 3))))
    depth = m.constant(np.array(m.between(1, 5), m.one_of(np.int64, np.int32, np.float32)))
    values = m.fresh(m.array(m.one_of(np.float32, np.int32, np.int64, np.bool_), (2,)))
    return m.node(op_type, [indices, depth, values], exact=True, axis=m.between(-indices.rank - 1, indices.rank))


@adds("ReverseSequence")
def _reverse_sequence(m: Models, op_type: str) -> bool:
    x = m.take(m.one_of(*ANY), rank=(2, 4))
    batch = m.between(0, 1)
    lengths = m.fresh(m.array(np.int64, (x.shape[batch],), 1, max(x.shape[1 - batch], 1)))
    return m.node(op_type, [x, lengths], exact=True, batch_axis=batch, time_axis=1 - batch)


def _places(m: Models, shape: Any, size: int, dtype: Any = None) -> Value:
    low = -size if m.version >= 11 and m.maybe() else 0
    return m.fresh(m.array(dtype or m.one_of(np.int64, np.int32), shape, low, size - 1))


@adds("Gather", "GatherElements", "GatherND")
def _gather(m: Models, op_type: str) -> bool:
    x = m.take(m.one_of(*ANY), rank=(1, 4))
    if not x.array.size:
        return False
    axis = m.axis(x.rank)
    if op_type == "Gather":
        return m.node(op_type, [x, _places(m, m.shape(0, 2), x.shape[axis])], exact=True, axis=axis)
    if op_type == "GatherElements":
        shape = [m.between(1, n) for n in x.shape]
        shape[axis] = m.between(1, 4)
        return m.node(op_type, [x, _places(m, shape, x.shape[axis])], exact=True, axis=axis)
    batch = m.between(0, x.rank - 1) if m.version >= 12 and m.maybe(0.4) else 0
    depth = m.between(1, x.rank - batch)
    before = (*x.shape[:batch], *m.shape(0, 2))
    columns = [m.array(np.int64, (*before, 1), 0, x.shape[batch + i] - 1) for i in range(depth)]
    options = {"batch_dims": batch} if batch else {}
    return m.node(op_type, [x, m.fresh(np.concatenate(columns, -1))], exact=True, **options)


@adds("Scatter", "ScatterElements", "ScatterND")
def _scatter(m: Models, op_type: str) -> bool:
    x = m.take(m.one_of(*ANY), rank=(1, 3))
    if not x.array.size:
        return False
    choices = ("none", "none", "add", "mul", *(("max", "min") if m.version >= 18 else ()))
    reduction = {"reduction": m.one_of(*choices)} if m.version >= 16 and op_type != "Scatter" else {}
    exact = x.array.dtype.kind != "f" or reduction.get("reduction", "none") == "none"
    if op_type == "ScatterND":
        depth = m.between(1, x.rank)
        shape = m.shape(1, 2)
        places = np.concatenate([m.array(np.int64, (*shape, 1), 0, x.shape[i] - 1) for i in range(depth)], -1)
        updates = m.take(x.array.dtype, (*shape, *x.shape[depth:]))
        if reduction.get("reduction", "none") == "none":  # two updates of one place have no order
            flat = places.reshape(-1, depth)
            if len(np.unique(flat, axis=0)) < len(flat):
                return False
        return m.node(op_type, [x, m.fresh(places), updates], exact=exact, **reduction)
    axis = m.axis(x.rank)
    shape = tuple(m.between(1, n) for n in x.shape)
    return m.node(
        op_type,
        [x, _places(m, shape, x.shape[axis]), m.take(x.array.dtype, shape)],
        exact=exact,
        axis=axis,
        **reduction,
    )


@adds("Compress", "NonZero", "Unique")
def _of_open_size(m: Models, op_type: str) -> bool:
    x = m.constant(m.array(m.one_of(*NUMBERS), m.shape(1, 3)))
    if op_type == "NonZero":
        return m.node(op_type, [x], exact=True)
    axis = {"axis": m.axis(x.rank)} if m.maybe(0.7) else {}
    if op_type == "Unique":
        return m.node(op_type, [x], exact=True, outputs=m.between(1, 4), sorted=m.between(0, 1), **axis)
    size = x.shape[axis["axis"]] if axis else x.array.size
    return m.node(op_type, [x, m.constant(m.array(np.bool_, (m.between(1, max(size, 1)),)))], exact=True, **axis)
