"""Products with weights of 4 bits that are dequantized by block, as one operator.

Serves onnxruntime's `MatMulNBits`. Onnxruntime fuses both operators into it, too, but always with the zero points.
Where these are all in the middle of the range, as in most files, the kernel takes up to 7% less without them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from webnn.forking import import_lock
from webnn.graph.ir import Graph, Node
from webnn.graph.operand import MLOperand
from webnn.graph.rewriting import Replacement, rewritten

__all__ = ["products_of_blocks"]

_SMALLEST: Final = 16
"""The kernel's smallest block. Its size is a power of two."""


def products_of_blocks(graph: Graph) -> Graph:
    """`graph` with a `block_product` for each product of float32 with such weights."""
    return rewritten(graph, [node for node in graph.nodes if node.op == "matmul" and _is_product(node)], _product)


def _is_product(node: Node) -> bool:
    dense = node["b"].node
    if dense is None or dense.op != "dequantize_linear" or node["b"].rank != 2 or node.output.data_type != "float32":
        return False
    weights, scale = dense["input"], dense["scale"]
    rows, blocks = weights.shape[0], scale.shape[0]
    size = rows // blocks
    return (
        weights.data_type in ("uint4", "int4")
        and all(operand.constant is not None for operand in dense.inputs())
        and scale.shape[1] == weights.shape[1]
        and size >= _SMALLEST
        and size & (size - 1) == 0
    )


def _product(node: Node) -> Sequence[MLOperand]:
    dense = node["b"].node
    assert dense is not None
    with import_lock:  # here, since most models have no such product
        from webnn.graph.composites.block_product import product_by_blocks  # noqa: PLC0415

    b = Replacement(node, composites=("block_product",))
    weights, scale, zero_point = (dense[name] for name in ("input", "scale", "zero_point"))
    return [product_by_blocks(b, node["a"], weights, scale, zero_point, bits=4)]
