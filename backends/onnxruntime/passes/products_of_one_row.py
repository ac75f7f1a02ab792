"""Products of one row with several constant matrices as one product, such as the query, key and value of a decoder.

Serves models that work on one token, or one sample, at a time. To start a product, and to share it among threads, takes
as long as reading a matrix of some hundred KB. Three products with matrices of 256 x 256, and the reshapes behind them,
take 16.5 us on two threads, and 11.1 us as one product. The numbers are the same to the bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any, Final

import numpy as np

from webnn.graph.ir import Graph, Node
from webnn.graph.operand import MLOperand
from webnn.graph.quick_dataclass import dataclass
from webnn.graph.rewriting import Replacement, readers, rewritten

__all__ = ["products_of_one_row"]

_LARGE: Final = 4 * 1024 * 1024
"""Bytes of the matrices of one row. Beyond it, their copy costs more memory than the tenth of the time is worth."""
_COPIED: Final = 32 * 1024 * 1024
"""Bytes of all copies for one graph."""

_Readers = Mapping[MLOperand, Sequence[Node]]


@dataclass(frozen=True, slots=True)
class _Product:
    """The product of a row and a constant matrix.

    Attributes:
        weight: the matrix; with a row for each result if it is `transposed`.
        bias: a constant that is added, if any.
        result: the row of the results.
        end: the `reshape` that is the only reader of the results; else the node that computes them.
    """

    weight: MLOperand
    transposed: bool
    bias: MLOperand | None
    result: MLOperand
    end: Node


def products_of_one_row(graph: Graph) -> Graph:
    """`graph` with one `matmul` or `gemm`, and a `split` of it, for all float32 products of the same row."""
    groups = _groups(graph)
    places = {product.weight: (group, i) for group in groups for i, product in enumerate(group)}
    parts: dict[MLOperand, Sequence[MLOperand]] = {}

    def part(node: Node) -> Sequence[MLOperand]:
        """The part of the whole product that stands for the output of `node`."""
        while node.op not in ("gemm", "matmul"):
            node = next(operand.node for operand in node.inputs() if operand.node is not None)
        group, i = places[node["b"]]
        first = group[0].weight
        if first not in parts:
            parts[first] = _split(Replacement(node), node["a"], group)
        return [parts[first][i]]

    return rewritten(graph, [product.end for group in groups for product in group], part)


def _groups(graph: Graph) -> list[list[_Product]]:
    """The products that are to be merged, by their rows."""
    candidates = [node for node in graph.nodes if _is_product_of_row(node)]
    if len(candidates) < 2:
        return []
    read_by = readers(graph)
    by_row: dict[object, list[_Product]] = {}
    for node in candidates:
        if len(read_by[node["b"]]) == 1:  # so that the matrix tells the product
            product = _product(node, read_by)
            key = node["a"], product.bias is None, product.result.rank
            by_row.setdefault(key, []).append(product)
    groups, copied = [], 0
    for group in by_row.values():
        size = sum(product.weight.descriptor.byte_length for product in group)
        if len(group) > 1 and size <= _LARGE and copied + size <= _COPIED:
            groups.append(group)
            copied += size
    return groups


def _is_product_of_row(node: Node) -> bool:
    if node.op not in ("gemm", "matmul") or node.output.data_type != "float32":
        return False
    if node["b"].constant is None or node["b"].rank != 2 or prod(node["a"].shape[:-1]) != 1:
        return False
    if node.op == "matmul":
        return True
    options, c = node.attributes, node.get("c")
    is_plain = options["alpha"] == options["beta"] == 1 and not options["a_transpose"]
    return is_plain and (c is None or c.constant is not None)


def _product(node: Node, read_by: _Readers) -> _Product:
    result, bias = node.output, node.get("c")
    reader = _only_reader(result, "add", read_by)
    if bias is None and reader is not None and reader.output.shape == result.shape:
        added = reader["b"] if reader["a"] is result else reader["a"]
        if added.constant is not None:
            result, bias = reader.output, added
    end = _only_reader(result, "reshape", read_by) or result.node
    assert end is not None
    return _Product(node["b"], bool(node.attributes.get("b_transpose")), bias, result, end)


def _only_reader(operand: MLOperand, op: str, read_by: _Readers) -> Node | None:
    found = read_by.get(operand, ())
    return found[0] if len(found) == 1 and found[0].op == op else None


def _split(b: Replacement, row: MLOperand, group: Sequence[_Product]) -> Sequence[MLOperand]:
    """The outputs of the ends of `group`, whose products are of `row`."""
    weights = [_array(p.weight).T if p.transposed else _array(p.weight) for p in group]
    weight = b.constant(np.concatenate(weights, axis=1))
    biases = [np.broadcast_to(_array(p.bias), p.result.shape).reshape(-1) for p in group if p.bias is not None]
    if biases:
        flat = row if row.rank == 2 else b.reshape(row, [1, row.shape[-1]])
        whole = b.gemm(flat, weight, c=b.constant(np.concatenate(biases)))
    else:
        whole = b.matmul(row, weight)
    shapes = [p.end.output.shape for p in group]
    axis = _joined_axis(shapes)
    if axis is None:
        shapes = [p.result.shape for p in group]
        axis = len(shapes[0]) - 1
    sizes = [shape[axis] for shape in shapes]
    shape = (*shapes[0][:axis], sum(sizes), *shapes[0][axis + 1 :])
    parts = b.split(whole if whole.shape == shape else b.reshape(whole, shape), sizes, axis=axis)
    return [
        part if part.shape == p.end.output.shape else b.reshape(part, p.end.output.shape)
        for part, p in zip(parts, group, strict=True)
    ]


def _joined_axis(shapes: Sequence[tuple[int, ...]]) -> int | None:
    """The axis along which results of these shapes lie one after the other, as in memory; None if there is none."""
    first = shapes[0]
    for axis in reversed(range(len(first))):
        rest = {(len(shape), shape[axis + 1 :]) for shape in shapes}
        if len(rest) == 1 and all(prod(shape[:axis]) == 1 for shape in shapes):
            return axis
    return None


def _array(constant: MLOperand) -> np.ndarray[Any, Any]:
    assert constant.constant is not None
    return constant.constant
