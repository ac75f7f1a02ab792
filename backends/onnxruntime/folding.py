"""How much a compilation may compute beforehand, so that a small model of large constants does not fill the memory.

onnxruntime folds every node that depends on constants alone, up to 1 GiB for each. An `expand` of one number takes a
few bytes in a model and a gigabyte when it is folded, and a model may hold hundreds of them. So the sizes of all that
could be folded are added up first. If they exceed the limit, the largest ones are left to be computed in each run.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any, Final

import numpy as np

from webnn.backends.onnx import messages
from webnn.backends.onnx.messages import ModelProto, NodeProto, TensorProto, ValueInfoProto
from webnn.forking import import_lock, import_whole

__all__ = ["FOLDED_BYTES", "GROWTH", "LIMIT", "fold_limit"]

LIMIT: Final = "optimization.constant_folding_max_output_size_in_bytes"
"""The session's option: nodes whose output is larger are not folded."""
FOLDED_BYTES: Final = 256 * 1024 * 1024
"""All folded results of one compilation may take this many bytes together."""
GROWTH: Final = 8
"""Or this many times the size of the graph's constants, if that is more: 4-bit weights that become float32."""
_BYTES: Final[Mapping[int, int]] = {
    TensorProto.BOOL: 1,
    TensorProto.UINT8: 1,
    TensorProto.INT8: 1,
    TensorProto.FLOAT16: 2,
    TensorProto.INT32: 4,
    TensorProto.UINT32: 4,
    TensorProto.FLOAT: 4,
    TensorProto.INT64: 8,
}
"""The bytes of an element, by its type."""
_READ_BYTES: Final = 1024
"""Constants up to this size may be shapes, which shape inference reads."""


def fold_limit(model: ModelProto, allowed: int) -> int | None:
    """The value for `LIMIT` with which all folded results take at most `allowed` bytes; None if they do anyway."""
    sizes = sorted(_folded_sizes(model))
    if sum(sizes) <= allowed:
        return None
    # Equal sizes are folded together or not at all, so the limit is below the first that is too much.
    first = next(size for size, total in zip(sizes, accumulate(sizes), strict=True) if total > allowed)
    return max(1, first - 1)  # (0 would be no limit)


def _folded_sizes(model: ModelProto) -> list[int]:
    """The size in bytes of each result that depends on constants alone."""
    known = {tensor.name for tensor in model.graph.initializer}
    nodes = []
    for node in model.graph.node:
        has_body = any(attribute.HasField("g") for attribute in node.attribute)  # which onnxruntime does not fold
        if known.issuperset(filter(None, node.input)) and not has_body:
            known.update(node.output)
            nodes.append(node)
    if not nodes:
        return []
    with import_lock:  # here, since most models fold nothing
        from webnn.backends.onnxruntime.known_shapes import known_results, known_tensor  # noqa: PLC0415

    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    results = {name: known_tensor(tensor) for name, tensor in tensors.items()}
    sizes = []
    for node in nodes:
        found = known_results(node, results, tensors)
        if found is None or any(kind not in _BYTES for kind, _ in found):
            return _inferred_sizes(model, nodes)
        results.update(zip(node.output, found, strict=True))
        sizes += [math.prod(shape) * _BYTES[kind] for kind, shape in found]
    return sizes


def _inferred_sizes(model: ModelProto, nodes: Sequence[NodeProto]) -> list[int]:
    """The same by onnx's shape inference, which knows all operators."""
    read = {name for node in nodes for name in node.input}
    constants = [_declared(tensor) for tensor in model.graph.initializer if tensor.name in read]
    with import_lock:  # here because the onnx package takes longer to load than most models
        from onnx import shape_inference  # noqa: PLC0415

    opsets = {entry.domain: entry.version for entry in model.opset_import}
    graph = messages.graph(nodes, "constants", [], [], constants)
    inferred = shape_inference.infer_shapes(messages.model(graph, opsets, model.ir_version))
    return [_size(value) for value in inferred.graph.value_info]


def _declared(tensor: TensorProto) -> TensorProto:
    """The constant as shape inference needs it: with its data only where that may be a shape."""
    if tensor.ByteSize() <= _READ_BYTES:
        return tensor
    return TensorProto(
        name=tensor.name, data_type=tensor.data_type, dims=tensor.dims, data_location=TensorProto.EXTERNAL
    )


def _size(value: ValueInfoProto) -> int:
    shape: Sequence[int] = [dimension.dim_value for dimension in value.type.tensor_type.shape.dim]
    dtype: np.dtype[Any] = import_whole("onnx.helper").tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
    return math.prod(shape) * dtype.itemsize
