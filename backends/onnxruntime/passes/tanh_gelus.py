"""GELU in its approximation by tanh, written as the element-wise operators of the formula, as one operator.

Serves onnxruntime's kernel of `Gelu` with `approximate="tanh"`. The eight operators that JAX and TensorFlow write take
2.5 times as long, since each reads and writes all values, and onnxruntime's own fusion does not find them. The order
of factors and terms does not matter here: the formula is multiplied out and compared.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, TypeAlias

from webnn.graph.ir import Graph, Node
from webnn.graph.operand import MLOperand
from webnn.graph.rewriting import Replacement, rewritten

__all__ = ["tanh_gelus"]

Polynomial: TypeAlias = Mapping[tuple[int, int], float]
"""The coefficient of `x**i * t**j` for each `(i, j)`, where t is the tanh."""

_SLOPE: Final = math.sqrt(2 / math.pi)
_ARGUMENT: Final = {(1, 0): _SLOPE, (3, 0): _SLOPE * 0.044715}
"""The tanh is of this."""
_RESULT: Final = {(1, 0): 0.5, (1, 1): 0.5}
_TOLERANCE: Final = 1e-5
"""Relative, of each coefficient: programs round the square root."""
_DEGREE: Final = 4
_STEPS: Final = 8
"""Operators between x and the tanh, and between the tanh and the result, at the most."""
_NUMBERED: Final = 3
"""Of so many operators in front of the tanh, one has a number: the factor of all, or those of the terms."""


def tanh_gelus(graph: Graph) -> Graph:
    """`graph` with a `gelu` for each such formula of float32."""
    tanhs = {node: x for node in graph.nodes if node.op == "tanh" and (x := _argument_of(node)) is not None}
    if not tanhs:
        return graph
    read_by: dict[MLOperand, list[Node]] = {}
    for node in graph.nodes:
        if node.op in _RULES:
            for operand in node.inputs():
                read_by.setdefault(operand, []).append(node)
    found = (
        next((node for node in _behind(tanh, read_by) if _is_result(node, x, tanh.output)), None)
        for tanh, x in tanhs.items()
    )
    return rewritten(graph, [node for node in found if node is not None], _gelu)


def _gelu(node: Node) -> Sequence[MLOperand] | None:
    for tanh in _before(node.output):
        if tanh.node is None or tanh.node.op != "tanh":
            continue
        x = _argument_of(tanh.node)
        if x is not None and _is_result(node, x, tanh):
            gelu = Replacement(node).gelu(x).node
            assert gelu is not None
            return gelu.replace(attributes={"approximate": "tanh"}).outputs
    return None


def _argument_of(tanh: Node) -> MLOperand | None:
    """The operand for whose GELU a tanh is; None if it is for something else."""
    # Most other programs, such as the cells of an LSTM, have no number near to the tanh.
    if tanh.output.data_type != "float32" or not _has_number(tanh["input"], _NUMBERED):
        return None
    before = _before(tanh["input"])
    return next((x for x in before if _equal(_multiplied_out(tanh["input"], x, None), _ARGUMENT)), None)


def _has_number(result: MLOperand, steps: int) -> bool:
    node = result.node
    if node is None or node.op not in _RULES or not steps:
        return False
    return any(
        operand.constant.size == 1 if operand.constant is not None else _has_number(operand, steps - 1)
        for operand in node.inputs()
    )


def _is_result(node: Node, x: MLOperand, tanh: MLOperand) -> bool:
    return x.descriptor == node.output.descriptor and _equal(_multiplied_out(node.output, x, tanh), _RESULT)


def _behind(tanh: Node, read_by: Mapping[MLOperand, Sequence[Node]]) -> Iterator[Node]:
    """The nodes that compute something of `tanh` by a few sums and products."""
    level = [tanh.output]
    for _ in range(_STEPS):
        nodes = dict.fromkeys(node for operand in level for node in read_by.get(operand, ()))
        yield from nodes
        level = [node.output for node in nodes]


def _before(result: MLOperand) -> Iterator[MLOperand]:
    """The operands that `result` is computed from by a few sums and products, nearest first."""
    level = [result]
    for _ in range(_STEPS):
        nodes = [operand.node for operand in level if operand.node is not None and operand.node.op in _RULES]
        level = list(dict.fromkeys(operand for node in nodes for operand in node.inputs() if operand.constant is None))
        yield from level


def _multiplied_out(result: MLOperand, x: MLOperand, t: MLOperand | None) -> Polynomial | None:
    """`result` as a polynomial in x and t; None if it is none, or one of a high degree."""
    found: dict[MLOperand, Polynomial | None] = {x: {(1, 0): 1.0}}
    if t is not None:
        found[t] = {(0, 1): 1.0}

    def polynomial(operand: MLOperand, steps: int) -> Polynomial | None:
        if operand not in found:
            found[operand] = None
            if operand.constant is not None:
                if operand.descriptor.element_count == 1:
                    found[operand] = {(0, 0): float(operand.constant.reshape(-1)[0])}
            elif operand.node is not None and operand.node.op in _RULES and steps:
                a, b = (polynomial(factor, steps - 1) for factor in (operand.node["a"], operand.node["b"]))
                if a is not None and b is not None:
                    found[operand] = _RULES[operand.node.op](a, b)
        return found[operand]

    return polynomial(result, _STEPS)


def _sum(a: Polynomial, b: Polynomial) -> Polynomial | None:
    return {power: a.get(power, 0.0) + b.get(power, 0.0) for power in {*a, *b}}


def _product(a: Polynomial, b: Polynomial) -> Polynomial | None:
    result: dict[tuple[int, int], float] = {}
    for (i, j), p in a.items():
        for (k, m), q in b.items():
            if i + k + j + m > _DEGREE:
                return None
            result[i + k, j + m] = result.get((i + k, j + m), 0.0) + p * q
    return result


def _quotient(a: Polynomial, b: Polynomial) -> Polynomial | None:
    divisor = b.get((0, 0), 0.0)
    return {power: p / divisor for power, p in a.items()} if len(b) == 1 and divisor else None


def _power(a: Polynomial, b: Polynomial) -> Polynomial | None:
    exponent = b.get((0, 0)) if len(b) == 1 else None
    if exponent not in (2.0, 3.0):
        return None
    square = _product(a, a)
    return square if exponent == 2.0 or square is None else _product(square, a)


_RULES: Final = {"add": _sum, "mul": _product, "div": _quotient, "pow": _power}


def _equal(found: Polynomial | None, wanted: Polynomial) -> bool:
    return (
        found is not None
        and found.keys() == wanted.keys()
        and all(math.isclose(found[power], wanted[power], rel_tol=_TOLERANCE) for power in wanted)
    )
