"""Random reductions and normalizations."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.property.onnx_models import Models
from tests.property.onnx_nodes.table import FLOATS, adds, as_axes

__all__: list[str] = []


@adds(
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSum",
    "ReduceLogSumExp",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceProd",
    "ReduceSum",
    "ReduceSumSquare",
)
def _reduction(m: Models, op_type: str) -> bool:
    dtype = m.one_of(np.float32, np.float32, np.float32, np.float16, np.float64, np.int32, np.int64, np.int8, np.uint8)
    x = m.take(dtype, exact="Log" in op_type, low=0.25 if op_type == "ReduceLogSum" else -3)
    if x.array.dtype.kind in "iu":  # sums wrap here, and are rounded and end at the largest number there
        if op_type == "ReduceLogSumExp":  # added up as integers there
            return False
        x = m.fresh(m.array(dtype, x.shape, 1 if op_type == "ReduceLogSum" else -2, 3))
        if op_type == "ReduceProd" and x.array.size > 12:
            return False
    axes = m.axes(x.rank) if m.maybe(0.8) else None
    if m.maybe(0.05):
        axes = []
    inputs, attributes = as_axes(m, 13 if op_type == "ReduceSum" else 18, axes)
    if m.maybe():
        attributes["keepdims"] = m.between(0, 1)
    if m.version >= (13 if op_type == "ReduceSum" else 18) and m.maybe(0.3):
        attributes["noop_with_empty_axes"] = 1
    return m.node(op_type, [x, *inputs], exact=op_type in {"ReduceMax", "ReduceMin"}, **attributes)


@adds("ArgMax", "ArgMin")
def _arg(m: Models, op_type: str) -> bool:
    x = m.take(m.one_of(np.float32, np.float32, np.float16, np.int32, np.int8, np.uint8, np.float64), exact=True)
    attributes: dict[str, Any] = {"axis": m.axis(x.rank)} if m.maybe(0.8) else {}
    if m.maybe():
        attributes["keepdims"] = m.between(0, 1)
    if m.version >= 12 and m.maybe():
        attributes["select_last_index"] = m.between(0, 1)
    return m.node(op_type, [x], exact=True, **attributes)


@adds("CumSum")
def _cumsum(m: Models, op_type: str) -> bool:
    x = m.take(m.one_of(np.float32, np.float32, np.int32, np.int64, np.float64), rank=(1, 4))
    axis = m.constant(np.array(m.axis(x.rank), m.one_of(np.int32, np.int64)))
    return m.node(op_type, [x, axis], exclusive=m.between(0, 1), reverse=m.between(0, 1))


@adds("TopK")
def _top_k(m: Models, op_type: str) -> bool:
    x = m.take(m.one_of(np.float32, np.float32, np.int32, np.int64, np.float64), rank=(1, 4), exact=True)
    axis = m.axis(x.rank)
    k = m.between(0 if m.maybe(0.1) else 1, max(x.shape[axis], 1))
    if m.version < 10:
        return m.node(op_type, [x], exact=True, outputs=2, axis=axis, k=k)
    options = {"largest": m.between(0, 1)} if m.version >= 11 else {}
    return m.node(op_type, [x, m.integers(k)], exact=True, outputs=2, axis=axis, **options)


@adds("Softmax", "LogSoftmax", "Hardmax")
def _softmax(m: Models, op_type: str) -> bool:
    x = m.take(m.one_of(*FLOATS), rank=(1, 4), exact=op_type == "Hardmax")
    return m.node(op_type, [x], **({"axis": m.axis(x.rank)} if m.maybe(0.8) else {}))


@adds("LpNormalization")
def _lp_normalization(m: Models, op_type: str) -> bool:
    x = m.take(m.one_of(np.float32, np.float64), rank=(1, 4), exact=True, low=0.25)
    return m.node(op_type, [x], axis=m.axis(x.rank), p=m.between(1, 2))


@adds("LayerNormalization", "RMSNormalization")
def _layer_normalization(m: Models, op_type: str) -> bool:
    x = m.take(m.one_of(np.float32, np.float32, np.float16), rank=(1, 4), exact=True)
    axis = m.axis(x.rank)
    of = x.shape[axis:]
    parameters = [m.take(x.array.dtype, of)]
    if op_type == "LayerNormalization" and m.maybe():
        parameters.append(m.take(x.array.dtype, of))
    return m.node(op_type, [x, *parameters], axis=axis, epsilon=m.one_of(0.1, 0.5))


@adds("InstanceNormalization", "GroupNormalization", "MeanVarianceNormalization", "BatchNormalization", "LRN")
def _image_normalization(m: Models, op_type: str) -> bool:
    x = m.take(m.one_of(np.float32, np.float32, np.float16), rank=(3, 4), exact=True)
    dtype, channels = x.array.dtype, x.shape[1]
    if op_type == "MeanVarianceNormalization":
        axes = m.axes(x.rank)  # equal numbers are documented to differ
        return m.node(op_type, [x], axes=axes) if x.array.size and x.array.std(tuple(axes)).min() > 0.2 else False
    if op_type == "LRN":
        return m.node(
            op_type, [x], size=m.one_of(1, 3, 5), alpha=0.5, beta=m.one_of(0.75, 1.5), bias=m.one_of(1.0, 2.0)
        )
    if op_type == "GroupNormalization":
        groups = m.one_of(*[n for n in range(1, channels + 1) if channels % n == 0] or [1])
        of = groups if m.version < 21 else channels
        return m.node(op_type, [x, m.take(dtype, (of,)), m.take(dtype, (of,))], num_groups=groups, epsilon=0.5)
    parameters = [m.take(dtype, (channels,)), m.take(dtype, (channels,))]
    if op_type == "BatchNormalization":
        parameters += [m.take(dtype, (channels,)), m.take(dtype, (channels,), exact=True, low=0.5, high=2)]
    return m.node(op_type, [x, *parameters], epsilon=m.one_of(0.1, 0.5))
