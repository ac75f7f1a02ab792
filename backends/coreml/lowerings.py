"""The table of lowerings to Core ML's operations, which the modules of the families fill; `lower` applies it.

The operations are those of coremltools' `converters/mil/mil/ops/defs`, whose docstrings say what each computes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from webnn.backends.coreml.program import Program
from webnn.backends.lowering import Lowerings
from webnn.graph.ir import Node

__all__ = ["CoreMLLowering", "lower", "lowerings", "one_to_one"]

CoreMLLowering: TypeAlias = Callable[[Node, Program], None]
"""Emits the operations of one operator, and sets the value of each of its outputs."""

lowerings: Final[Lowerings[CoreMLLowering]] = Lowerings("coreml", "webnn.backends.coreml.families")


def lower(program: Program, checkpoint: Callable[[], object] | None = None) -> None:
    """Lower every node of the program's graph. The program must be entered.

    Args:
        program: the program to fill.
        checkpoint: called before each node, e.g. `Cancellation.checkpoint`.
    """
    for node in program.graph.nodes:
        if checkpoint is not None:
            checkpoint()
        program.begin(node)
        lowerings[node](node, program)


def one_to_one(table: Mapping[str, str]) -> None:
    """Lower operators that are one operation each, with the operands as `x` and `y`."""
    for op, op_type in table.items():

        @lowerings.lowers(op)
        def lower_directly(node: Node, program: Program, op_type: str = op_type) -> None:
            values = dict(zip("xy", (program[operand] for operand in node.inputs()), strict=False))
            program.set(node.output, program.emit(op_type, **values))
