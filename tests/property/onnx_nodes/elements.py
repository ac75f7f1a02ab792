"""Random nodes that compute each element alone."""

from __future__ import annotations

import numpy as np
from onnx import helper

from tests.property.onnx_models import Models
from tests.property.onnx_nodes.table import ANY, FLOATS, INTEGERS, NUMBERS, adds, drawn_pair

__all__: list[str] = []


@adds("Abs", "Neg", "Sign", "Relu", "Identity", "Ceil", "Floor", "Round")
def _exact_unary(m: Models, op_type: str) -> bool:
    x = m.take(m.one_of(*NUMBERS), exact=op_type in {"Ceil", "Floor", "Round", "Sign"})
    return m.node(op_type, [x], exact=True)


@adds(
    "Cos",
    "Erf",
    "Exp",
    "HardSwish",
    "Mish",
    "Selu",
    "Sigmoid",
    "Sin",
    "Sinh",
    "Cosh",
    "Softplus",
    "Softsign",
    "Tanh",
    "Atan",
    "Asinh",
)
def _rounded_unary(m: Models, op_type: str) -> bool:
    return m.node(op_type, [m.take(m.one_of(*FLOATS))])


@adds("Acos", "Asin", "Atanh", "Acosh", "Log", "Sqrt", "Reciprocal", "Tan")
def _unary_in_a_range(m: Models, op_type: str) -> bool:
    low, high = {"Acosh": (1.25, 3), "Log": (0.25, 3), "Sqrt": (0, 9), "Reciprocal": (0.25, 3)}.get(
        op_type, (-0.75, 0.75)
    )
    return m.node(op_type, [m.take(m.one_of(*FLOATS), exact=True, low=low, high=high)])


@adds("Elu", "LeakyRelu", "ThresholdedRelu", "Celu")
def _activation(m: Models, op_type: str) -> bool:
    attributes = {"alpha": m.one_of(0.5, 1.5, 0.01, 2.0, -0.5)} if m.maybe(0.7) else {}
    return m.node(op_type, [m.take(m.one_of(*FLOATS), exact=op_type == "ThresholdedRelu")], **attributes)


@adds("HardSigmoid", "Gelu", "Shrink", "Swish")
def _activation_with_options(m: Models, op_type: str) -> bool:
    attributes = {
        "HardSigmoid": {"alpha": m.one_of(0.2, 0.5, -0.25), "beta": m.one_of(0.5, 0.0, 1.5)},
        "Gelu": {"approximate": m.one_of("none", "tanh")},
        "Shrink": {"lambd": m.one_of(0.5, 1.0, 0.0), "bias": m.one_of(0.0, 0.5, -1.0)},
        "Swish": {"alpha": m.one_of(1.0, 0.5, -1.0)},
    }[op_type]
    dtype = m.one_of(*NUMBERS) if op_type == "Shrink" else m.one_of(*FLOATS)
    x = m.fresh(m.array(dtype, m.shape(), -2, 3)) if op_type == "Shrink" else m.take(dtype)
    return m.node(op_type, [x], **(attributes if m.maybe(0.7) else {}))


@adds("Clip")
def _clip(m: Models, op_type: str) -> bool:
    x = m.take(m.one_of(*NUMBERS))
    low, high = (m.one_of(-1, 0, 1, 2, None), m.one_of(0, 1, 2, None))
    if x.array.dtype.kind == "u":
        low = None if low is None else max(low, 0)
    if m.version < 11:
        return m.node(
            op_type, [x], exact=True, **{k: float(v) for k, v in (("min", low), ("max", high)) if v is not None}
        )
    bounds = [None if v is None else m.fresh(np.array(v, x.array.dtype)) for v in (low, high)]
    return m.node(op_type, [x, *bounds], exact=True)


@adds("Add", "Sub", "Mul", "Max", "Min")
def _binary(m: Models, op_type: str) -> bool:
    pair = drawn_pair(m, m.one_of(*NUMBERS))
    return m.node(op_type, pair, exact=pair[0].array.dtype.kind != "f" or op_type in {"Max", "Min"})


@adds("Div", "Mod")
def _quotient(m: Models, op_type: str) -> bool:
    dtype = np.dtype(m.one_of(*NUMBERS))
    a, b = drawn_pair(m, dtype, second=(1, 4), exact=op_type == "Mod" or dtype.kind == "i")
    if a.array.dtype.kind == "i" and m.maybe():
        b = m.fresh(-b.array)
    attributes = {"fmod": 1} if op_type == "Mod" and (a.array.dtype.kind == "f" or m.maybe()) else {}
    return m.node(op_type, [a, b], exact=a.array.dtype.kind != "f", **attributes)


@adds("Pow")
def _power(m: Models, op_type: str) -> bool:
    a = m.take(m.one_of(np.float32, np.float32, np.int32, np.int64, np.float16), exact=True, low=0.25)
    other = a.array.dtype if m.version < 12 or m.maybe() else m.one_of(np.float32, np.int32, np.int64)
    return m.node(op_type, [a, m.take(other, m.broadcast(a.shape), exact=True, low=0, high=3)])


@adds("Sum", "Mean")
def _variadic(m: Models, op_type: str) -> bool:
    dtype = m.one_of(*FLOATS)
    first = m.take(dtype)
    return m.node(op_type, [first, *(m.take(dtype, m.broadcast(first.shape)) for _ in range(m.between(0, 2)))])


@adds("PRelu")
def _prelu(m: Models, op_type: str) -> bool:
    a = m.take(m.one_of(np.float32, np.float32, np.int32, np.float16))
    return m.node(op_type, [a, m.take(a.array.dtype, m.broadcast(a.shape))])


@adds("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual")
def _comparison(m: Models, op_type: str) -> bool:
    return m.node(op_type, drawn_pair(m, m.one_of(*(ANY if op_type == "Equal" else NUMBERS)), exact=True), exact=True)


@adds("And", "Or", "Xor")
def _logic(m: Models, op_type: str) -> bool:
    return m.node(op_type, drawn_pair(m, np.bool_), exact=True)


@adds("Not")
def _not(m: Models, op_type: str) -> bool:
    return m.node(op_type, [m.take(np.bool_)], exact=True)


@adds("BitwiseAnd", "BitwiseOr", "BitwiseXor", "BitwiseNot")
def _bitwise(m: Models, op_type: str) -> bool:
    pair = drawn_pair(m, m.one_of(*INTEGERS))
    return m.node(op_type, pair[: 1 if op_type == "BitwiseNot" else 2], exact=True)


@adds("BitShift")
def _shift(m: Models, op_type: str) -> bool:
    dtype = m.one_of(np.uint8, np.uint32, np.uint64, np.uint16)
    a = m.take(dtype)
    return m.node(
        op_type,
        [a, m.fresh(m.array(dtype, m.broadcast(a.shape), 0, 7))],
        exact=True,
        direction=m.one_of("LEFT", "RIGHT"),
    )


@adds("Where")
def _where(m: Models, op_type: str) -> bool:
    a, b = drawn_pair(m, m.one_of(*ANY))
    return m.node(op_type, [m.take(np.bool_, m.broadcast(a.shape)), a, b], exact=True)


@adds("Cast", "CastLike")
def _cast(m: Models, op_type: str) -> bool:
    a, to = m.take(m.one_of(*ANY), exact=True), np.dtype(m.one_of(*ANY))
    if to.kind == "u" and a.array.dtype.kind in "if" and (a.array < 0).any():  # left to the compiler
        return False
    if op_type == "CastLike":
        return m.node(op_type, [a, m.take(to)], exact=True)
    return m.node(op_type, [a], exact=True, to=helper.np_dtype_to_tensor_dtype(to))


@adds("IsNaN", "IsInf")
def _is(m: Models, op_type: str) -> bool:
    dtype = m.one_of(np.float32, np.float32, np.float16)
    array = m.array(dtype, m.shape())
    array = np.where(m.array(np.bool_, array.shape), m.one_of(np.nan, np.inf, -np.inf), array).astype(dtype)
    options = (
        {"detect_positive": m.between(0, 1), "detect_negative": m.between(0, 1)}
        if op_type == "IsInf" and m.maybe()
        else {}
    )
    return m.node(op_type, [m.fresh(array)], exact=True, **options)


@adds("Dropout")
def _dropout(m: Models, op_type: str) -> bool:
    return m.node(op_type, [m.take(m.one_of(*FLOATS))], exact=True, outputs=m.between(1, 2) if m.version >= 10 else 1)
