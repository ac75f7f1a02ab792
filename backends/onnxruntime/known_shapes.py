"""The shapes of what common operators compute of constants, without the onnx package, which is slow to import."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import numpy as np

from webnn.backends.onnx.messages import NodeProto, TensorProto

__all__ = ["Known", "known_result", "known_tensor"]

Known: TypeAlias = tuple[int, tuple[int, ...]]
"""An element type and a shape."""

_BROADCAST: Final = frozenset(
    {"Abs", "Add", "And", "Cast", "Ceil", "Clip", "Cos", "DequantizeLinear", "Div", "Elu", "Equal", "Erf", "Exp"}
    | {"Floor", "Gelu", "Greater", "GreaterOrEqual", "HardSigmoid", "HardSwish", "Identity", "IsInf", "IsNaN"}
    | {"LeakyRelu", "Less", "LessOrEqual", "Log", "Max", "Min", "Mod", "Mul", "Neg", "Not", "Or", "Pow", "Reciprocal"}
    | {"Relu", "Round", "Sigmoid", "Sign", "Sin", "Softmax", "Softplus", "Softsign", "Sqrt", "Sub", "Tan", "Tanh"}
    | {"Where", "Xor"}
)
"""Operators whose output has the shape of all inputs together, or of the first one."""
_FIRST: Final = frozenset({"Clip", "DequantizeLinear"})
_BOOLEAN: Final = frozenset(
    {"And", "Equal", "Greater", "GreaterOrEqual", "IsInf", "IsNaN", "Less", "LessOrEqual", "Not", "Or", "Xor"}
)


def known_tensor(tensor: TensorProto) -> Known:
    """The type and the shape of a constant."""
    return tensor.data_type, tuple(tensor.dims)


def known_result(node: NodeProto, known: Mapping[str, Known], constants: Mapping[str, TensorProto]) -> Known | None:
    """The type and the shape of the output of `node`, whose inputs are all known; None if it is another operator."""
    if node.domain or len(node.output) != 1:
        return None
    given = [known[name] for name in node.input if name]
    attributes = {attribute.name: attribute for attribute in node.attribute}
    first_type, first = given[0]
    if node.op_type in _BROADCAST:
        shapes = [first] if node.op_type in _FIRST else [shape for _, shape in given]
        return _type_of(node.op_type, attributes, given), np.broadcast_shapes(*shapes)
    if node.op_type == "Transpose":
        order = attributes["perm"].ints if "perm" in attributes else range(len(first))[::-1]
        return first_type, tuple(first[axis] for axis in order)
    if node.op_type == "Gemm":
        a, b = (
            shape[::-1] if name in attributes and attributes[name].i else shape
            for name, (_, shape) in zip(("transA", "transB"), given, strict=False)
        )
        return first_type, (a[0], b[1])
    if node.op_type == "Gather":
        axis = attributes["axis"].i if "axis" in attributes else 0
        axis += len(first) if axis < 0 else 0
        return first_type, (*first[:axis], *given[1][1], *first[axis + 1 :])
    if node.op_type == "Expand" and (sizes := _list(constants.get(node.input[1]))) is not None:
        return first_type, np.broadcast_shapes(first, sizes)
    if node.op_type == "Reshape" and (sizes := _list(constants.get(node.input[1]))) is not None and min(sizes) > 0:
        return first_type, sizes
    return None


def _type_of(op_type: str, attributes: Mapping[str, Any], given: list[Known]) -> int:
    if op_type == "Cast":
        return int(attributes["to"].i)
    if op_type in _BOOLEAN:
        return TensorProto.BOOL
    return given[1 if op_type in ("DequantizeLinear", "Where") else 0][0]


def _list(tensor: TensorProto | None) -> tuple[int, ...] | None:
    """The elements of a list of sizes that is in the model."""
    if tensor is None or tensor.data_type != TensorProto.INT64 or not tensor.raw_data:
        return None
    return tuple(np.frombuffer(tensor.raw_data, "<i8").tolist())
