"""Comparisons, logic and selection in Core ML."""

from __future__ import annotations

import math
from typing import Final

from webnn.backends.coreml.lowerings import lowerings
from webnn.backends.coreml.program import Program
from webnn.graph.ir import Node

__all__: list[str] = []

_COMPARISONS: Final = {
    "equal": "equal",
    "not_equal": "not_equal",
    "greater": "greater",
    "greater_or_equal": "greater_equal",
    "lesser": "less",
    "lesser_or_equal": "less_equal",
}
_LOGIC: Final = ("logical_and", "logical_or", "logical_xor")
"""The operators, and their names in Core ML."""


@lowerings.lowers(*_COMPARISONS)
def comparison(node: Node, program: Program) -> None:
    """One comparison."""
    program.set_truth(node.output, program.emit(_COMPARISONS[node.op], x=program[node["a"]], y=program[node["b"]]))


@lowerings.lowers(*_LOGIC)
def logic(node: Node, program: Program) -> None:
    """One operation on truth values."""
    program.set_truth(node.output, program.emit(node.op, x=program.truth(node["a"]), y=program.truth(node["b"])))


@lowerings.lowers("logical_not")
def logical_not(node: Node, program: Program) -> None:
    """One operation on truth values."""
    program.set_truth(node.output, program.emit("logical_not", x=program.truth(node["a"])))


@lowerings.lowers("is_nan")
def is_nan(node: Node, program: Program) -> None:
    """NaN alone differs from itself."""
    x = program[node["a"]]
    program.set_truth(node.output, program.emit("not_equal", x=x, y=x))


@lowerings.lowers("is_infinite")
def is_infinite(node: Node, program: Program) -> None:
    """Equal to infinity, but for the sign."""
    x = program[node["a"]]
    infinity = program.number(math.inf, program.type_of(x))
    program.set_truth(node.output, program.emit("equal", x=program.emit("abs", x=x), y=infinity))


@lowerings.lowers("where")
def where(node: Node, program: Program) -> None:
    """One `select`."""
    a, b = program[node["true_value"]], program[node["false_value"]]
    program.set(node.output, program.select(program.truth(node["condition"]), a, b, node.output.shape))
