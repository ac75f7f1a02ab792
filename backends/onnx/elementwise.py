"""Element-wise arithmetic in ONNX."""

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import numpy as np

from webnn.backends.onnx import messages
from webnn.backends.onnx.lowerings import lowerings, one_to_one
from webnn.backends.onnx.messages import NodeProto
from webnn.backends.onnx.model import Model, onnx_type
from webnn.graph.dtypes import FLOATS, DataType, element_bits, numpy_dtype
from webnn.graph.ir import Node
from webnn.graph.operand import MLOperand

__all__ = ["EMULATED"]

EMULATED: Final = frozenset({"pow"})
"""Of integers: ONNX has it, but runtimes compute it in floats."""

Emit: TypeAlias = Callable[[str, Sequence[str]], str]
"""Adds a node to the model or to a branch, and gives the name of its output."""
_EXACT: Final = 2.0**51
"""Below this number, the digits of float64 tell integers from halves."""
_MANY: Final = 1 << 12
"""Quotients from which on the check of all divisors takes less time than the overhead of an `If`."""

one_to_one(
    {
        "add": "Add",
        "sub": "Sub",
        "mul": "Mul",
        "max": "Max",
        "min": "Min",
        "abs": "Abs",
        "ceil": "Ceil",
        "cos": "Cos",
        "erf": "Erf",
        "exp": "Exp",
        "floor": "Floor",
        "log": "Log",
        "neg": "Neg",
        "reciprocal": "Reciprocal",
        "round_even": "Round",
        "sin": "Sin",
        "sqrt": "Sqrt",
        "tan": "Tan",
    }
)


@lowerings.lowers("identity")
def identity(node: Node, model: Model) -> None:
    """Another name for the same value: no node at all."""
    model.set(node.output, model[node["input"]])


@lowerings.lowers("sign")
def sign(node: Node, model: Model) -> None:
    """`Sign`, which leaves NaN where the specification says 0."""
    x, data_type = model[node["input"]], node.output.data_type
    if data_type in FLOATS:
        x = _without_nan(model, x)
    model.emit("Sign", [x], to=node.output)


@lowerings.lowers("open_sign")
def open_sign(node: Node, model: Model) -> None:
    """`Sign` alone."""
    model.emit("Sign", [model[node["input"]]], to=node.output)


@lowerings.lowers("div")
def div(node: Node, model: Model) -> None:
    """`Div`; integers need care, since a processor traps at a division by 0 and at the lowest integer divided by -1."""
    a, b, data_type = model[node["a"]], model[node["b"]], node.output.data_type
    trapping = (0,) if data_type.startswith("u") else (0, -1)
    divisor = node["b"].constant
    if data_type in FLOATS or (divisor is not None and not np.isin(divisor, trapping).any()):
        result = model.emit("Div", [a, b])
    elif not model.kernels.divides_in_turn:
        result = _checked_quotient(model.emit, model, a, b)
    elif data_type in ("int8", "uint8"):
        result = _quotient_of_floats(model, a, b)
    elif data_type.startswith("u"):
        one = model.constant(1, data_type)
        quotient = model.emit("Div", [a, model.emit("Max", [b, one])])
        result = model.emit("Mul", [quotient, model.emit("Min", [b, one])])
    elif node.output.descriptor.element_count < _MANY:
        result = _checked_quotient(model.emit, model, a, b)
    else:
        result = _quotient_by_choice(model, a, b)
    model.set(node.output, result)


def _checked_quotient(emit: Emit, model: Model, a: str, b: str) -> str:
    """The quotient of integers, with 1 in the place of divisors at which processors trap."""
    data_type = model.data_type(b)
    traps = emit("Equal", [b, model.constant(0, data_type)])
    if not data_type.startswith("u"):
        traps = emit("Or", [traps, emit("Equal", [b, model.constant(-1, data_type)])])
    one = model.constant(1, data_type)
    quotient = emit("Div", [a, emit("Where", [traps, one, b])])
    # There the quotient is a: times 0 it is the 0 that we promise, times -1 it wraps as the division would.
    return emit("Mul", [quotient, emit("Where", [traps, b, one])])


def _quotient_by_choice(model: Model, a: str, b: str) -> str:
    """`Div` alone if all divisors are positive, as they mostly are, which takes one pass over them to see."""
    data_type = model.data_type(b)
    lowest = model.emit("ReduceMin", [b], keepdims=0)
    is_positive = model.emit("Greater", [lowest, model.constant(0, data_type)])
    plain, checked = _Branch(model), _Branch(model)
    plain.emit("Div", [a, b])
    _checked_quotient(checked.emit, model, a, b)
    return _chosen(model, is_positive, plain, checked, data_type)


class _Branch:
    """The nodes of a branch of an `If`, which reads the values outside by their names."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.nodes: Final[list[NodeProto]] = []

    def emit(self, op_type: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Add a node and return the name of its output; the last one is that of the branch."""
        name = self._model.fresh(f"branch_{op_type}")
        self.nodes.append(messages.node(op_type, inputs, [name], **attributes))
        return name


def _chosen(model: Model, condition: str, then: _Branch, otherwise: _Branch, data_type: str) -> str:
    kind = onnx_type(data_type)
    branches = {
        name: messages.branch(*branch.nodes, kind=kind)
        for name, branch in (("then_branch", then), ("else_branch", otherwise))
    }
    return model.typed(model.emit("If", [condition], **branches), data_type)


def _quotient_of_floats(model: Model, a: str, b: str) -> str:
    """The quotient of integers of 8 bits, which float32 tells from any other one."""
    data_type = model.data_type(b)
    is_zero = model.emit("Equal", [b, model.constant(0, data_type)])
    # An infinite divisor gives the 0 that we promise.
    divisor = model.emit("Where", [is_zero, model.constant(np.inf, "float32"), model.cast(b, "float32")])
    quotient = model.emit("Div", [model.cast(a, "float32"), divisor])
    return model.cast(model.cast(quotient, "int32"), data_type)  # in two steps, so that 128 wraps


@lowerings.lowers("bitwise_and", "bitwise_or", "bitwise_xor")
def of_bits(node: Node, model: Model) -> None:
    """One node."""
    op_type = {"bitwise_and": "BitwiseAnd", "bitwise_or": "BitwiseOr", "bitwise_xor": "BitwiseXor"}[node.op]
    model.emit(op_type, [model[node["a"]], model[node["b"]]], to=node.output)


@lowerings.lowers("bit_shift")
def bit_shift(node: Node, model: Model) -> None:
    """`BitShift`."""
    model.emit("BitShift", [model[node["a"]], model[node["b"]]], to=node.output, **node.attributes)


@lowerings.lowers("modulo")
def modulo(node: Node, model: Model) -> None:
    """`Mod`, whose divisors trap on no processor; of integers by their quotient where that is faster."""
    a, b, fmod = model[node["a"]], model[node["b"]], node.attributes["fmod"]
    data_type = node.output.data_type
    # The kernel of long and of unsigned integers divides once for each; that of int32 and int8 twice.
    is_fast = data_type in ("int64", "uint32", "uint64")
    if data_type in FLOATS or is_fast or not model.kernels.divides_in_turn:
        model.emit("Mod", [a, b], to=node.output, fmod=int(fmod))
        return
    quotient = _quotient_of_floats(model, a, b) if data_type in ("int8", "uint8") else model.emit("Div", [a, b])
    rest = model.emit("Sub", [a, model.emit("Mul", [quotient, b])])
    if not fmod and not data_type.startswith("u"):
        zero = model.constant(0, data_type)
        moved = model.emit("Less", [rest, zero])
        divisor = node["b"].constant
        assert divisor is not None
        if (divisor < 0).any():
            differ = model.emit("Xor", [moved, model.emit("Less", [b, zero])])
            moved = model.emit("And", [differ, model.cast(rest, "bool")])
        rest = model.emit("Add", [rest, model.emit("Mul", [model.cast(moved, data_type), b])])
    model.set(node.output, rest)


@lowerings.lowers("pow")
def pow(node: Node, model: Model) -> None:
    """`Pow` for floats; for integers, which runtimes compute in floats, the product of the squares."""
    if node.output.data_type in FLOATS:
        model.emit("Pow", [model[node["a"]], model[node["b"]]], to=node.output)
        return
    # Products modulo 2**64 are the same for both signs, and fewer runtimes have the kernels for uint64.
    data_type = "int64" if node.output.data_type == "uint64" else node.output.data_type
    a, b = (model.cast(model[node[name]], data_type) for name in ("a", "b"))
    known = node["b"].constant
    if known is not None and _is_natural(node["b"]) and (known == known.flat[0]).all():
        result = _product_of_squares(model, a, int(known.flat[0]))
        if node["a"].shape != node.output.shape or not known.any():
            result = model.emit("Expand", [result, model.constant(list(node.output.shape))])
    elif model.kernels.powers_in_floats:
        result = _power_by_choice(model, a, b, node)
    else:
        result = _power_of_bits(model.emit, model, a, b, node)
    model.set(node.output, result)


def _product_of_squares(model: Model, a: str, exponent: int) -> str:
    """The power of one known exponent; a scalar for 0."""
    result = "" if exponent else model.constant(1, model.data_type(a))
    while exponent:
        if exponent & 1:
            result = model.emit("Mul", [result, a]) if result else a
        exponent >>= 1
        if exponent:
            a = model.emit("Mul", [a, a])
    return result


def _power_by_choice(model: Model, a: str, b: str, node: Node) -> str:
    """The powers in float64 if that and the type hold them all, as they mostly do: each bit takes several kernels."""
    data_type = model.data_type(a)
    powers = model.emit("Pow", [model.cast(a, "float64"), model.cast(b, "float64")])
    largest = model.emit("ReduceMax", [model.emit("Abs", [powers])], keepdims=0)
    # Below, a result that is off by its last digit is rounded to the right integer, and a fraction to 0.
    limit = min(_EXACT, float(np.iinfo(numpy_dtype(node.output.data_type)).max))
    is_exact = model.emit("Less", [largest, model.constant(limit, "float64")])
    rounded = _Branch(model)
    rounded.emit("Cast", [rounded.emit("Round", [powers])], to=onnx_type(data_type))
    exact = _Branch(model)
    _power_of_bits(exact.emit, model, a, b, node)
    return _chosen(model, is_exact, rounded, exact, data_type)


def _power_of_bits(emit: Emit, model: Model, a: str, b: str, node: Node) -> str:
    """The product of the squares that the bits of the exponents choose; 0 for negative ones, but of 1 and -1."""
    data_type = model.data_type(a)
    one, zero = model.constant(1, data_type), model.constant(0, data_type)
    if not node.output.data_type.startswith("u") and not _is_natural(node["b"]):
        is_unit = emit("Equal", [emit("Abs", [a]), one])
        vanishes = emit("And", [emit("Less", [b, zero]), emit("Not", [is_unit])])
        # Every negative exponent has its highest bit set, so that one factor is this 0.
        a = emit("Where", [vanishes, zero, a])
    result = one
    for bit in range(_exponent_bits(node["b"])):
        if bit:  # here, so that the last node is the one of the result
            a = emit("Mul", [a, a])
        mask = model.constant(np.array(1 << bit, np.uint64).astype(data_type), data_type)
        is_clear = emit("Equal", [emit("BitwiseAnd", [b, mask]), zero])
        result = emit("Mul", [result, emit("Where", [is_clear, one, a])])
    return result


def _is_natural(operand: MLOperand) -> bool:
    return operand.constant is not None and bool((operand.constant >= 0).all())


def _exponent_bits(exponent: MLOperand) -> int:
    """How many bits of the exponent can be set: all, or those of a constant."""
    if _is_natural(exponent):
        assert exponent.constant is not None
        return int(exponent.constant.max()).bit_length()
    return element_bits(exponent.data_type)


@lowerings.lowers("cast")
def cast(node: Node, model: Model) -> None:
    """`Cast`; ONNX leaves floats beyond the range of an integer type undefined, so these are bounded first."""
    x, source, target = model[node["input"]], node["input"].data_type, node.output.data_type
    if source in FLOATS and target not in FLOATS:
        x = _truncated(model, model.cast(x, "float32"), target)
    model.set(node.output, x)


@lowerings.lowers("open_cast")
def open_cast(node: Node, model: Model) -> None:
    """`Cast` alone."""
    model.set(node.output, model.cast(model[node["input"]], node.output.data_type))


def _truncated(model: Model, x: str, data_type: DataType) -> str:
    """The float32 `x` as integers: truncated, bounded, 0 for NaN."""
    low, high = np.iinfo(numpy_dtype(data_type)).min, np.iinfo(numpy_dtype(data_type)).max
    highest = np.float32(high)
    rounded_up = int(highest) != high
    fitting = np.nextafter(highest, np.float32(0)) if rounded_up else highest
    x = _without_nan(model, x)
    bounded = model.emit("Clip", [x, model.constant(low, "float32"), model.constant(fitting, "float32")])
    result = model.cast(bounded, data_type)
    if not rounded_up:
        return result
    beyond = model.emit("GreaterOrEqual", [x, model.constant(highest, "float32")])
    return model.emit("Where", [beyond, model.constant(high, data_type), result])


def _without_nan(model: Model, x: str) -> str:
    """`x` with 0 for NaN."""
    return model.emit("Where", [model.emit("IsNaN", [x]), model.constant(0, model.data_type(x)), x])
