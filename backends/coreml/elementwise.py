"""Element-wise arithmetic in Core ML."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from webnn.backends.coreml.lowerings import lowerings, one_to_one
from webnn.backends.coreml.program import Program, Value, held_type
from webnn.graph.dtypes import FLOATS, integer_range
from webnn.graph.ir import Node
from webnn.graph.operand import MLOperand

__all__ = ["truncated"]

one_to_one(
    {
        "ceil": "ceil",
        "cos": "cos",
        "erf": "erf",
        "exp": "exp",
        "floor": "floor",
        "round_even": "round",
        "sin": "sin",
        "sqrt": "sqrt",
        "tan": "tan",
    }
)


@lowerings.lowers("max", "min")
def extreme(node: Node, program: Program) -> None:
    """One operation, and NaN where an operand is NaN.

    Documented are `x > y ? x : y` for `maximum` and `x > y ? y : x` for `minimum`, which lose a NaN in the first and in
    the second operand. So that one is a constant without NaN, if there is one, or else NaN is put back.
    """
    a, b = node["a"], node["b"]
    largest = node.op == "max"
    kept, lost = (b, a) if largest else (a, b)
    if _has_no_nan(kept):
        kept, lost = lost, kept
    first, second = (lost, kept) if largest else (kept, lost)
    result = program.emit("maximum" if largest else "minimum", x=program[first], y=program[second])
    if not _has_no_nan(lost):
        x = program[lost]
        result = program.select(program.emit("not_equal", x=x, y=x), x, result, node.output.shape)
    program.set(node.output, result)


def _has_no_nan(operand: MLOperand) -> bool:
    """Whether it is known that no element is NaN."""
    if operand.data_type not in FLOATS:
        return True
    return operand.constant is not None and not np.isnan(operand.constant).any()


_WRAPPING: Final = {"add": "add", "sub": "sub", "mul": "mul"}
_UNROLLED: Final = 16
"""Powers of up to this constant exponent are products, which are exact for integers and fast for floats."""


@lowerings.lowers(*_WRAPPING)
def arithmetic(node: Node, program: Program) -> None:
    """One operation; 8-bit integers are brought back to their range."""
    result = program.emit(_WRAPPING[node.op], x=program[node["a"]], y=program[node["b"]])
    program.set(node.output, _in_range(result, node, program))


@lowerings.lowers("div")
def div(node: Node, program: Program) -> None:
    """Integer quotients are truncated toward 0, and 0 where the divisor is 0; `floor_div` rounds down."""
    a, b = program[node["a"]], program[node["b"]]
    if node.output.data_type in FLOATS:
        return program.set(node.output, program.emit("real_div", x=a, y=b))
    zero, one = program.number(0, "int32"), program.number(1, "int32")
    shape = node.output.shape
    by_zero = program.emit("equal", x=b, y=zero)
    divisor = program.select(by_zero, one, b, b.shape)
    floor = program.emit("floor_div", x=a, y=divisor)
    exact = program.emit("equal", x=program.emit("mul", x=floor, y=divisor), y=a)
    signs = program.emit("logical_xor", x=_is_negative(a, program), y=_is_negative(divisor, program))
    up = program.emit("logical_and", x=program.emit("logical_not", x=exact), y=signs)
    truncated = program.emit("add", x=floor, y=program.cast(up, "int32"))
    result = program.select(by_zero, zero, truncated, shape)
    return program.set(node.output, _in_range(result, node, program))


@lowerings.lowers("pow")
def pow(node: Node, program: Program) -> None:
    """Products for small constant exponents, otherwise `pow`.

    With a negative exponent, integers leave only the bases 1 and -1, for which it matters whether it is odd.
    """
    a, b = program[node["a"]], program[node["b"]]
    exponent = _whole_exponent(node["b"])
    if exponent is not None and node["b"].rank <= node["a"].rank:
        power = _product(a, exponent, program)
        return program.set(node.output, _in_range(program.expand(power, node.output.shape), node, program))
    if node.output.data_type in FLOATS:
        return program.set(node.output, program.emit("pow", x=a, y=b))
    zero, one = program.number(0, "int32"), program.number(1, "int32")
    negative = _is_negative(b, program)
    odd = program.emit("mod", x=b, y=program.number(2, "int32"))
    power = program.emit("pow", x=a, y=program.select(negative, odd, b, b.shape))
    unit = program.emit("equal", x=program.emit("mul", x=a, y=a), y=one)
    vanishes = program.emit("logical_and", x=negative, y=program.emit("logical_not", x=unit))
    result = program.select(vanishes, zero, power, node.output.shape)
    return program.set(node.output, _in_range(result, node, program))


def _whole_exponent(operand: MLOperand) -> int | None:
    """The number from 1 to `_UNROLLED` that a constant consists of, if it does."""
    array = operand.constant
    if array is None or array.size != 1:
        return None
    number = array.item()
    return int(number) if 1 <= number <= _UNROLLED and number == int(number) else None


def _product(value: Value, exponent: int, program: Program) -> Value:
    """`value` times itself, by squaring."""
    result: Any = None
    while True:
        if exponent & 1:
            result = value if result is None else program.emit("mul", x=result, y=value)
        exponent >>= 1
        if not exponent:
            return result
        value = program.emit("mul", x=value, y=value)


def _is_negative(value: Value, program: Program) -> Value:
    return program.emit("less", x=value, y=program.number(0, "int32"))


def _in_range(value: Value, node: Node, program: Program) -> Value:
    data_type = node.output.data_type
    return value if data_type in FLOATS else program.wrapped(value, data_type)


@lowerings.lowers("identity")
def identity(node: Node, program: Program) -> None:
    """The operand itself: outputs of the graph have an operation of their own."""
    program.set(node.output, program[node["input"]])


@lowerings.lowers("abs")
def abs(node: Node, program: Program) -> None:
    """The lowest integer is unchanged."""
    program.set(node.output, _in_range(program.emit("abs", x=program[node["input"]]), node, program))


@lowerings.lowers("neg")
def neg(node: Node, program: Program) -> None:
    """The lowest integer is unchanged. Floats are multiplied by -1, which turns the sign of 0 too."""
    x = program[node["input"]]
    result = program.emit("mul", x=x, y=program.number(-1, program.type_of(x)))
    program.set(node.output, _in_range(result, node, program))


@lowerings.lowers("log")
def log(node: Node, program: Program) -> None:
    """Without the number that Core ML adds by default, with which 0 would not give -infinity."""
    x = program[node["input"]]
    program.set(node.output, program.emit("log", x=x, epsilon=program.number(0, program.type_of(x))))


@lowerings.lowers("reciprocal")
def reciprocal(node: Node, program: Program) -> None:
    """A quotient: `inverse` adds a number to `x`, for which 0 would not do."""
    x = program[node["input"]]
    program.set(node.output, program.emit("real_div", x=program.number(1, program.type_of(x)), y=x))


@lowerings.lowers("sign")
def sign(node: Node, program: Program) -> None:
    """From two comparisons, since NaN has the sign 0."""
    x = program[node["input"]]
    held = program.type_of(x)
    zero = program.number(0, held)
    above, below = (program.cast(program.emit(op, x=x, y=zero), held) for op in ("greater", "less"))
    program.set(node.output, program.emit("sub", x=above, y=below))


@lowerings.lowers("cast")
def cast(node: Node, program: Program) -> None:
    """Nearest for floats, lowest bits between integers; from float to integer truncated, bounded, 0 for NaN."""
    x, source, target = program[node["input"]], node["input"].data_type, node.output.data_type
    if target in FLOATS:
        return program.set(node.output, program.cast(x, held_type(target)))
    if source in FLOATS:
        return program.set(node.output, truncated(x, target, program))
    if integer_range(source)[0] >= integer_range(target)[0] and integer_range(source)[1] <= integer_range(target)[1]:
        return program.set(node.output, x)
    return program.set(node.output, program.wrapped(x, target))


def truncated(value: Value, data_type: str, program: Program) -> Value:
    """Floats as integers of a data type: truncated, bounded by its range, and 0 for NaN.

    Raises:
        NotSupportedError: int64, whose range 32 bits do not hold.
    """
    if data_type == "int64":
        raise program.refusal("it holds int64 in 32 bits, which not all floats fit in: cast to int32")
    low, high = integer_range(data_type)  # type: ignore[arg-type]
    value = program.cast(value, "fp32")
    shape = value.shape
    is_number = program.emit("equal", x=value, y=value)
    value = program.select(is_number, value, program.number(0, "fp32"), shape)
    # The largest float32 that is not above the range, which int32's own bound rounds up to.
    most = float(np.nextafter(np.float32(2**31), np.float32(0))) if high == 2**31 - 1 else float(high)
    bounded = program.emit("minimum", x=value, y=program.number(most, "fp32"))
    bounded = program.emit("maximum", x=bounded, y=program.number(low, "fp32"))
    result = program.cast(bounded, "int32")
    if most != high:
        above = program.emit("greater", x=value, y=program.number(most, "fp32"))
        result = program.select(above, program.number(high, "int32"), result, shape)
    return result
