"""The cost of one run of an operator, in multiply-adds.

Only operators that mainly multiply and add are counted. The others read each element about once and count as nothing,
as is customary.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final

from webnn.graph.ir import Node

__all__ = ["multiply_adds"]


def _conv2d(node: Node) -> int:
    weights = node["filter"].shape
    outputs: int = node.attributes["filter_layout"].index("o")
    per_output = math.prod(weights) // weights[outputs]
    return node.output.descriptor.element_count * per_output


def _conv_transpose2d(node: Node) -> int:
    weights = node["filter"].shape
    inputs: int = node.attributes["filter_layout"].index("i")
    per_input = math.prod(weights) // weights[inputs]
    return node["input"].descriptor.element_count * per_input


def _gemm(node: Node) -> int:
    depth = node["a"].shape[0 if node.attributes["a_transpose"] else 1]
    return node.output.descriptor.element_count * depth


def _matmul(node: Node) -> int:
    return node.output.descriptor.element_count * node["a"].shape[-1]


def _recurrent(node: Node) -> int:
    batches: int = node["input"].shape[-2]
    steps: int = node.attributes.get("steps", 1)
    weights = node["weight"].descriptor.element_count + node["recurrent_weight"].descriptor.element_count
    return steps * batches * weights


_COSTS: Final[Mapping[str, Callable[[Node], int]]] = {
    "conv2d": _conv2d,
    "conv_transpose2d": _conv_transpose2d,
    "gemm": _gemm,
    "matmul": _matmul,
    "gru": _recurrent,
    "gru_cell": _recurrent,
    "lstm": _recurrent,
    "lstm_cell": _recurrent,
    "recurrent_network": _recurrent,
}


def multiply_adds(node: Node) -> int:
    """The multiply-adds of one run of `node`; windows that reach over an edge count in full."""
    cost = _COSTS.get(node.op)
    return cost(node) if cost is not None else 0
