"""The standard's own decompositions of operators that the table does not have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from webnn.backends.onnx import messages
from webnn.backends.onnx.messages import FunctionProto, TypeProto
from webnn.forking import import_whole
from webnn.formats.onnx.importing.node import OnnxNode
from webnn.formats.onnx.importing.schemas import schema_of
from webnn.formats.onnx.importing.values import Value
from webnn.graph.dtypes import numpy_dtype
from webnn.graph.lean_imports import small_dtype

__all__ = ["has_standard_function", "standard_function"]


def standard_function(node: OnnxNode) -> FunctionProto | None:
    """The decomposition of a node, or None if there is none."""
    schema = schema_of(node.domain, node.op_type, node.version)
    if schema is None:
        return None
    plain, dependent = schema.function_opset_versions, schema.context_dependent_function_opset_versions
    if dependent:
        names = [f"i{i}" if value is not None else "" for i, value in enumerate(node.inputs)]
        proto = messages.node(node.op_type, names, node.outputs)
        proto.attribute.extend(node.attributes.values())
        types = [_type_of(value).SerializeToString() for value in node.inputs]
        body = schema.get_context_dependent_function_with_opset_version(
            _nearest(dependent, node.version), proto.SerializeToString(), types
        )
    elif plain:
        body = schema.get_function_with_opset_version(_nearest(plain, node.version))
    else:
        return None
    function = FunctionProto()
    function.ParseFromString(body)
    for row in schema.attributes.values():
        if row.default_value.name:
            function.attribute_proto.append(row.default_value)
    return function


def has_standard_function(domain: str, op_type: str, version: int) -> bool:
    """Whether the standard defines an operator as a function of others."""
    schema = schema_of(domain, op_type, version)
    return schema is not None and bool(schema.has_function or schema.has_context_dependent_function)


def _nearest(versions: Sequence[int], version: int) -> int:
    return max((v for v in versions if v <= version), default=min(versions))


def _type_of(value: Value | None) -> TypeProto:
    if value is None:
        return TypeProto()
    helper: Any = import_whole("onnx.helper")
    made: TypeProto
    if value.items is not None:
        item = value.items[0] if value.items else Value(np.zeros((), np.float32))
        made = helper.make_sequence_type_proto(_type_of(item))
        return made
    if value.array is not None:
        dtype = value.array.dtype
    else:
        dtype = small_dtype("bfloat16") if value.is_bfloat16 else np.dtype(value.narrow or numpy_dtype(value.data_type))
    made = helper.make_tensor_type_proto(helper.np_dtype_to_tensor_dtype(dtype), value.shape)
    return made
