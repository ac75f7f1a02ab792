"""Constant folding by onnx's reference evaluator, for nodes whose results are small according to shape inference."""

from __future__ import annotations

import math
from typing import Any, Final, TypeAlias

import numpy as np

from webnn.forking import import_lock
from webnn.formats.onnx.file.element_types import element_dtype
from webnn.formats.onnx.importing.bfloat16 import is_bfloat16, is_output_bfloat16
from webnn.formats.onnx.importing.lone_node import given_values, lone_node, output_names
from webnn.formats.onnx.importing.node import OnnxNode
from webnn.graph.lean_imports import small_dtype

__all__ = ["EVALUATED", "evaluated"]

Array: TypeAlias = np.ndarray[Any, Any]

EVALUATED: Final = frozenset(
    {
        "Acos",
        "Acosh",
        "ArgMax",
        "ArgMin",
        "Asin",
        "Asinh",
        "Atan",
        "Atanh",
        "BitShift",
        "BitwiseAnd",
        "BitwiseNot",
        "BitwiseOr",
        "BitwiseXor",
        "Celu",
        "Clip",
        "Compress",
        "Cosh",
        "CumSum",
        "DepthToSpace",
        "Elu",
        "Erf",
        "EyeLike",
        "Gelu",
        "Gemm",
        "HardSigmoid",
        "HardSwish",
        "IsInf",
        "IsNaN",
        "LeakyRelu",
        "Mish",
        "PRelu",
        "Pad",
        "ReduceLogSum",
        "Relu",
        "Round",
        "Selu",
        "Shrink",
        "Sigmoid",
        "Sinh",
        "Softmax",
        "Softplus",
        "Softsign",
        "SpaceToDepth",
        "Tan",
        "ThresholdedRelu",
        "TopK",
        "Trilu",
    }
)
"""Operators whose time and memory in the reference evaluator are bounded by the size of inputs and outputs."""
_OF_ANOTHER_TYPE: Final = frozenset({"EyeLike"})
"""Operators whose output does not have the type of the first input."""
_OLDER_ALIKE: Final = {"Softmax": 13}
"""The first version of operators whose older ones the evaluator computes as if they were this one."""
_SWITCHES: Final = frozenset({"keepdims", "noop_with_empty_axes"})
"""Attributes in which shape inference and the evaluator disagree about numbers other than 0 and 1."""
_ELEMENTS: Final = 1 << 18
_QUADRATIC: Final = frozenset({"Gemm", "TopK", "Compress"})
_QUADRATIC_LIMIT: Final = 1 << 14


def evaluated(node: OnnxNode) -> list[Array] | None:
    """The outputs of a node whose inputs are all known; None if they may be large, or the evaluator fails."""
    if node.version < _OLDER_ALIKE.get(node.op_type, 0):
        return None
    arrays = {name: value.array for name, value in given_values(node).items() if value.array is not None}
    first = arrays.get("i0")
    half = first is not None and first.dtype == np.float16 and node.op_type not in _OF_ANOTHER_TYPE
    arrays = {name: _wide(array, half=half) for name, array in arrays.items()}
    limit = _QUADRATIC_LIMIT if node.op_type in _QUADRATIC else _ELEMENTS
    if sum(array.size for array in arrays.values()) > limit:
        return None
    with import_lock:  # here because the onnx package takes longer to load than most models
        from onnx import shape_inference  # noqa: PLC0415

    model = lone_node(node, arrays)
    for attribute in model.graph.node[0].attribute:
        if attribute.name in _SWITCHES:
            attribute.i = int(attribute.i == 1)
    try:
        inferred = shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph.output
        shapes = {info.name: [dim.dim_value for dim in info.type.tensor_type.shape.dim] for info in inferred}
        scalars = {info.name for info in inferred if info.type.tensor_type.HasField("shape") and not shapes[info.name]}
        if any(math.prod(sizes) > _ELEMENTS for sizes in shapes.values()):
            return None
        with import_lock:  # here because it takes a third of a second, and few models need it
            from onnx.reference import ReferenceEvaluator  # noqa: PLC0415

        found = dict(zip((i.name for i in inferred), ReferenceEvaluator(model).run(None, {}), strict=True))
        if any(found[info.name].dtype != element_dtype(info.type.tensor_type.elem_type) for info in inferred):
            return None
    except Exception:  # the evaluator does not document its exceptions
        return None
    computed = [
        _shaped(np.asarray(found[name]), name in scalars) if name else np.empty(0) for name in output_names(node)
    ]
    return [
        _narrow(array, "float16" if half else "bfloat16" if is_output_bfloat16(node, i) else "float32")
        for i, array in enumerate(computed)
    ]


def _wide(array: Array, *, half: bool) -> Array:
    """The array as float32 if it is narrower: the evaluator would round it at each step inside an operator."""
    if is_bfloat16(array) or (half and array.dtype == np.float16):
        return array.astype(np.float32)
    return array


def _narrow(array: Array, data_type: str) -> Array:
    """The array in the type of the node's output, if it was computed in float32."""
    if array.dtype != np.float32 or data_type == "float32":
        return array
    return array.astype(np.float16 if data_type == "float16" else small_dtype("bfloat16"))


def _shaped(array: Array, scalar: bool) -> Array:
    """The array as a scalar if it should be one: the evaluator gives some scalars a dimension."""
    return array.reshape(()) if scalar and array.size == 1 else array
