"""The results of nodes that are left without elements, or as sums of nothing.

WebNN has no such operands, so the importer asks here when it cannot express a node that reads one, or one of a few
types that make them. The shapes are those of the standard's shape inference. The results are known arrays then, and
what joins them with others (`Concat`) or takes their shape goes on.
"""

from __future__ import annotations

import math
from typing import Any, Final, TypeAlias

import numpy as np

from webnn.backends.onnx import messages
from webnn.forking import import_lock
from webnn.formats.onnx.file.element_types import element_dtype
from webnn.formats.onnx.importing.lone_node import given_values, lone_node, output_names
from webnn.formats.onnx.importing.node import OnnxNode
from webnn.graph.dtypes import numpy_dtype

__all__ = ["empty_results"]

Array: TypeAlias = np.ndarray[Any, Any]

_PRODUCTS: Final = frozenset({"Einsum", "MatMul", "MatMulInteger"})
"""Operators each of whose results is a sum of products of an element of every input."""
_SIZES: Final = 64
"""The most numbers of an input whose values may be sizes or axes, which inference reads."""
_EMPTYING: Final = frozenset({"Expand", "Pad", "Resize", "Tile", "Upsample"})
"""Operators of which a known size may leave nothing of an input with elements."""


def empty_results(node: OnnxNode) -> list[Array] | None:
    """The outputs that are read if no element of them depends on an input, and the standard says their shapes."""
    given = given_values(node)
    if node.op_type not in _EMPTYING and all(value.array is None or value.array.size for value in given.values()):
        return None
    with import_lock:  # here because the onnx package takes longer to load than most models
        from onnx import helper, shape_inference  # noqa: PLC0415

    infos, arrays = [], {}
    for name, value in given.items():
        if value.array is None and value.operand is None:
            return None
        if value.array is not None and value.array.size <= _SIZES:
            arrays[name] = value.array
        else:
            dtype = value.array.dtype if value.array is not None else numpy_dtype(value.data_type)
            element_type = helper.np_dtype_to_tensor_dtype(dtype)
            infos.append(messages.value_info(name, element_type, value.shape))
    model = lone_node(node, arrays, infos)
    try:
        inferred = shape_inference.infer_shapes(model, data_prop=True).graph.output
    except Exception:  # it does not document its exceptions
        return None
    found = {}
    for info in inferred:
        tensor = info.type.tensor_type
        found_type = element_dtype(tensor.elem_type)
        if found_type is None or not tensor.HasField("shape"):
            return None
        if any(dim.WhichOneof("value") != "dim_value" for dim in tensor.shape.dim):
            return None
        shape = [dim.dim_value for dim in tensor.shape.dim]
        size = math.prod(shape)
        if size and (node.domain or node.op_type not in _PRODUCTS):
            return None
        if not node.importer.budget.take(size * np.dtype(found_type).itemsize):
            return None
        found[info.name] = np.zeros(shape, found_type)
    return [found.get(name, np.empty(0)) for name in output_names(node)]
