"""Elementwise arithmetic and casts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from webnn.backends.onnx.messages import TensorProto
from webnn.errors import DataError
from webnn.forking import import_lock
from webnn.formats.onnx.importing.data_types import NARROW, data_type_for
from webnn.formats.onnx.importing.node import OnnxNode
from webnn.formats.onnx.importing.operator_table import Imported, imports
from webnn.formats.onnx.importing.problems import UnsupportedNodeError
from webnn.formats.onnx.importing.values import Value
from webnn.graph.builder import MLGraphBuilder
from webnn.graph.dtypes import FLOATS, DataType, numpy_dtype
from webnn.graph.operand import MLOperand

__all__: list[str] = []

_UNARY: Final[Mapping[str, str]] = {
    "Abs": "abs",
    "Ceil": "ceil",
    "Cos": "cos",
    "Erf": "erf",
    "Exp": "exp",
    "Floor": "floor",
    "Log": "log",
    "Neg": "neg",
    "Reciprocal": "reciprocal",
    "Round": "round_even",
    "Sign": "sign",
    "Sin": "sin",
    "Sqrt": "sqrt",
    "Tan": "tan",
    "Tanh": "tanh",
}

_BINARY: Final[Mapping[str, str]] = {"Add": "add", "Sub": "sub", "Mul": "mul", "Div": "div"}


@imports(*_UNARY)
def unary(node: OnnxNode) -> Imported:
    """Operators that WebNN has too; those that change nothing for integers become identity."""
    x = node.operand(0)
    if node.op_type in {"Ceil", "Floor", "Round"} and x.data_type not in FLOATS:
        return node.builder.identity(x)
    if node.op_type in {"Abs", "Sign"} and x.data_type.startswith("u"):
        one = node.scalar(x, 1)
        return node.builder.identity(x) if node.op_type == "Abs" else node.builder.min(x, one)
    if node.op_type == "Sign" and x.data_type in FLOATS:
        with import_lock:  # here, since many models have no composites
            from webnn.graph.composites.open_cases import sign_of_numbers  # noqa: PLC0415

        return sign_of_numbers(node.builder, x)
    return node.call(_UNARY[node.op_type], operands=1)


@imports("Identity")
def identity(node: OnnxNode) -> Imported:
    """The value itself, without an operator."""
    return [node.given(0)]


@imports("Dropout", "StopGradient")
def dropout(node: OnnxNode) -> Imported:
    """Dropout at inference: the input, and a mask, which onnxruntime fills with zeros before opset 12."""
    ratio, training = node.known(1), node.known(2)
    if node.has(2) and (training is None or training.any()) and (ratio is None or ratio.any()):
        raise UnsupportedNodeError("it drops elements at random (training_mode)", "export the model for inference")
    dtype = np.dtype(np.bool_) if node.version >= 10 else numpy_dtype(node.value(0).data_type)
    mask = np.broadcast_to(np.array(node.version >= 12, dtype), node.shape(0))
    return [node.value(0), mask]


@imports(*_BINARY)
def binary(node: OnnxNode) -> Imported:
    """Two operands that broadcast."""
    return node.call(_BINARY[node.op_type], operands=2)


@imports("Max", "Min", "Sum", "Mean")
def variadic(node: OnnxNode) -> Imported:
    """Any number of operands that broadcast."""
    if not node.inputs:
        raise DataError("it has no inputs")
    step = {"Max": node.builder.max, "Min": node.builder.min}.get(node.op_type, node.builder.add)
    operands = node.operands()
    result = operands[0]
    for operand in operands[1:]:
        result = step(result, operand)
    if node.op_type == "Mean" and len(operands) > 1:
        if result.data_type == "float32":  # onnxruntime multiplies too
            return node.builder.mul(result, node.scalar(result, 1 / len(operands)))
        return node.builder.div(result, node.scalar(result, len(operands)))
    return node.builder.identity(result) if len(operands) == 1 else result


@imports("Pow")
def power(node: OnnxNode) -> Imported:
    """A power of the type of the base; the exponent may be of another type."""
    b = node.builder
    base, exponent = node.operand(0), node.operand(1)
    if base.data_type == exponent.data_type:
        return b.pow(base, exponent)
    if exponent.data_type not in FLOATS:
        known = node.known(1)
        if base.data_type in FLOATS or (known is not None and (abs(known) < 127).all()):
            return b.pow(base, b.cast(exponent, base.data_type))
        return b.cast(b.pow(b.cast(base, "int64"), b.cast(exponent, "int64")), base.data_type)
    if base.data_type in FLOATS:
        return b.pow(base, b.cast(exponent, base.data_type))
    return b.cast(b.pow(b.cast(base, exponent.data_type), exponent), base.data_type)


@imports("Mod")
def modulo(node: OnnxNode) -> Imported:
    """The remainder: with the sign of the divisor, or with `fmod=1` that of the dividend."""
    with import_lock:  # here, since most models have none
        from webnn.graph.composites.modulo import remainder  # noqa: PLC0415

    return remainder(node.builder, node.operand(0), node.operand(1), fmod=bool(node.get_int("fmod", 0)))


@imports("Clip")
def clip_attributes(node: OnnxNode) -> Imported:
    """Clip before opset 11, with its bounds as attributes."""
    x = node.operand(0)
    low = node.get_float("min") if node.has_attribute("min") else None
    high = node.get_float("max") if node.has_attribute("max") else None
    return node.builder.clamp(x, min_value=low, max_value=high)


@imports("Clip", since=11)
def clip(node: OnnxNode) -> Imported:
    """Bounds as scalar inputs. If the lower one is above the upper one, the upper one wins."""
    b = node.builder
    x = node.operand(0)
    given = [node.has(1), node.has(2)]
    bounds = [node.known(1), node.known(2)]
    if all(has == (bound is not None) for has, bound in zip(given, bounds, strict=True)):
        low, high = (None if bound is None else node.number(i + 1, "a bound") for i, bound in enumerate(bounds))
        if low is not None and high is not None and low > high:
            low = high
        return b.clamp(x, min_value=low, max_value=high)
    if node.has(1):
        x = b.max(x, b.reshape(node.operand(1), []))
    return b.min(x, b.reshape(node.operand(2), [])) if node.has(2) else x


@imports("Cast", "CastLike")
def cast(node: OnnxNode) -> Imported:
    """A cast to the type, or to the one that holds it. A cast to bool is a comparison with zero."""
    b = node.builder
    x = node.operand(0)
    if node.op_type == "CastLike":
        with import_lock:  # here, since few models have it
            from webnn.formats.onnx.patterns.truth_values import is_bool  # noqa: PLC0415

        like = node.value(1)
        to_bool = is_bool(node, 1)
        narrow, data_type = like.narrow, like.data_type
    else:
        to = node.get_int("to")
        to_bool, narrow, data_type = to == TensorProto.BOOL, NARROW.get(to, ""), data_type_for(to)
    if data_type in {"int4", "uint4"}:
        raise UnsupportedNodeError(
            f"WebNN casts nothing to {data_type}, which only constants of DequantizeLinear can have",
            "Cast to int8, or QuantizeLinear",
        )
    if to_bool:
        return b.not_equal(x, node.scalar(x, 0))
    if narrow == "bfloat16":
        return [_in_bfloat16(node, x)]
    floats = node.value(0).floats
    if floats is not None and floats.data_type == data_type:
        return b.identity(floats)
    if narrow:
        return [_in_narrow_integers(node, x, narrow)]
    if x.data_type in FLOATS and data_type not in FLOATS:
        return _cast_in_range(b, x, data_type)
    return b.identity(x) if data_type == x.data_type else b.cast(x, data_type)


def _in_narrow_integers(node: OnnxNode, x: MLOperand, narrow: str) -> Value:
    with import_lock:  # here, since most models have no such types
        from webnn.formats.onnx.importing.narrow_integers import wrapped  # noqa: PLC0415

    b = node.builder
    x = _cast_in_range(b, x, "int32") if x.data_type in FLOATS else x
    is_same = node.value(0).narrow == narrow
    return Value(operand=b.identity(x) if is_same else wrapped(b, x, narrow), narrow=narrow)


def _cast_in_range(b: MLGraphBuilder[Any], x: MLOperand, data_type: DataType) -> MLOperand:
    with import_lock:  # here, since many models have no composites
        from webnn.graph.composites.open_cases import cast_in_range  # noqa: PLC0415

    return cast_in_range(b, x, data_type)


def _in_bfloat16(node: OnnxNode, x: MLOperand) -> Value:
    if node.value(0).is_bfloat16:
        return node.value(0)
    with import_lock:  # here, since most models have no such types
        from webnn.formats.onnx.importing.bfloat16 import rounded_to_bfloat16  # noqa: PLC0415
        from webnn.formats.onnx.patterns.precision import in_float32  # noqa: PLC0415

    floats = node.value(0).floats
    floats = in_float32(node, x if floats is None else floats)
    exact = x.data_type in {"int8", "uint8"}  # bfloat16 holds all of these integers
    rounded = floats if exact else rounded_to_bfloat16(node.builder, node.importer.budget, floats)
    return Value(operand=rounded, narrow="bfloat16")
