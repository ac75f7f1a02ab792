"""Which results are read only where their last digits, relative to themselves, make no difference."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from webnn.graph.ir import Node
from webnn.graph.operand import MLOperand

__all__ = ["PRODUCTS", "is_forgiven"]

PRODUCTS: Final = frozenset({"conv2d", "gemm", "matmul", "quantize_linear"})
"""Operators that add up many products, or round: an error of 1e-7 in one factor is lost among those of the others."""
_PASSING: Final = frozenset({"concat", "expand", "reshape", "resample2d", "slice", "split", "tile", "transpose"})
"""Operators that ask for the last digits only if their own readers do."""
_FAR: Final = 16
"""How many operands are followed to their readers before the answer is taken to be that the digits matter."""


def is_forgiven(node: Node, read_by: Mapping[MLOperand, Sequence[Node]], forgiving: Collection[str]) -> bool:
    """Whether only operators in `forgiving` read the output of `node`, however it is moved.

    Args:
        node: computes values that may have an error of about 1e-7.
        read_by: the readers of each operand; see `webnn.graph.rewriting.readers`.
        forgiving: operators that do not ask for the last digits.
    """
    ahead = [node.output]
    for _ in range(_FAR):
        if not ahead:
            return True
        nodes = read_by.get(ahead.pop(), ())
        if not nodes or not all(reader.op in forgiving or reader.op in _PASSING for reader in nodes):
            return False
        ahead += [output for reader in nodes if reader.op in _PASSING for output in reader.outputs]
    return False
