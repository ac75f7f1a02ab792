"""How many threads one run of a graph is worth."""

from __future__ import annotations

import math
from typing import Final

from webnn.graph.ir import Graph, Node

__all__ = ["SMALL_WORK", "work"]

SMALL_WORK: Final = 1_000_000
"""Multiply-adds or results below which waking a second thread costs more than it saves."""


def work(graph: Graph) -> int:
    """About how many multiply-adds one run takes; each result of another operator counts as one."""
    return sum(_node_work(node) for node in graph.nodes)


def _node_work(node: Node) -> int:
    results = sum(output.descriptor.element_count for output in node.outputs)
    match node.op:
        case "matmul" | "gemm" | "matmul_integer":
            shape = node["a"].shape
            depth = shape[-2] if node.attributes.get("a_transpose") else shape[-1]
        case "conv2d" | "conv_transpose2d":
            depth = math.prod(node["filter"].shape) // max(1, node.output.shape[1])
        case "gru" | "lstm" | "gru_cell" | "lstm_cell":
            steps: int = node.attributes.get("steps", 1)
            return results + steps * (math.prod(node["weight"].shape) + math.prod(node["recurrent_weight"].shape))
        case "attention":
            depth = 2 * node["key"].shape[-2]
        case "tree_ensemble":
            return node["input"].shape[0] * node["roots"].shape[0] * int(node.attributes["depth"])
        case _:
            depth = 1
    return results * depth
