"""Weights of 2, 4 or 8 bits, packed into bytes and quantized by block: MatMulNBits and GatherBlockQuantized.

They are unpacked during the import and dequantized by block in the graph.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from webnn.errors import DataError
from webnn.formats.onnx.importing.node import OnnxNode
from webnn.formats.onnx.importing.operator_table import MICROSOFT, Imported, imports
from webnn.formats.onnx.importing.problems import UnsupportedNodeError
from webnn.formats.onnx.patterns.linear_quantization import dequantized
from webnn.graph.composites.block_product import product_by_blocks
from webnn.graph.dtypes import DataType, numpy_dtype
from webnn.graph.operand import MLOperand

__all__: list[str] = []

_TYPES: Final[dict[int, DataType]] = {2: "uint4", 4: "uint4", 8: "uint8"}
"""The type that holds integers, by their number of bits."""
_ROUNDED: Final = 4
"""The accuracy level from which on the other factor may be rounded to 8 bits."""


def _unpacked(packed: np.ndarray[Any, Any], bits: int) -> np.ndarray[Any, Any]:
    """The integers packed into the bytes of the last axis, lowest bits first."""
    if bits == 8:
        return packed
    mask, each = (1 << bits) - 1, 8 // bits
    parts = [(packed >> (bits * i)) & mask for i in range(each)]
    return np.stack(parts, axis=-1).reshape(*packed.shape[:-1], packed.shape[-1] * each)


def _bits(node: OnnxNode) -> int:
    bits = node.get_int("bits", 4)
    if bits not in _TYPES:
        raise UnsupportedNodeError(f"its integers have {bits} bits", "2, 4 or 8 bits")
    return bits


@imports("MatMulNBits", domain=MICROSOFT)
def matmul_nbits(node: OnnxNode) -> Imported:
    """A product with quantized weights, stored as `[columns, blocks, bytes]`.

    They are brought into the form `[rows, columns]` with blocks along the rows, which ONNX Runtime multiplies without
    dequantizing them first.
    """
    bits, size = _bits(node), node.get_int("block_size")
    rows, columns = node.get_int("K"), node.get_int("N")
    if node.get_int("weight_prepacked", 0):
        raise UnsupportedNodeError("its weights are packed for one kind of GPU", "weight_prepacked=0")
    packed = node.array(1, "the weights").reshape(columns, -1)
    blocks = -(-rows // size) if size > 0 else 0
    if packed.dtype != np.uint8 or not blocks or packed.shape[1] * 8 != blocks * size * bits:
        raise DataError(
            f"the weights {list(node.shape(1))} do not hold {blocks} blocks of {size} for {columns} columns"
        )
    weights = np.ascontiguousarray(_unpacked(packed, bits)[:, :rows].T).astype(numpy_dtype(_TYPES[bits]), copy=False)
    b, x = node.builder, node.operand(0)
    dense = _dense(node, node.constant(weights), rows=rows, blocks=blocks)

    def product(x: MLOperand) -> MLOperand:
        made_by = dense.node
        if node.get_int("accuracy_level", 0) != _ROUNDED or made_by is None or made_by.op != "dequantize_linear":
            return b.matmul(x, dense)
        integers, scale, zero_point = (made_by[name] for name in ("input", "scale", "zero_point"))
        is_whole = scale.shape[0] * size == rows
        if x.data_type != "float32" or not is_whole or scale.constant is None or zero_point.constant is None:
            return b.matmul(x, dense)
        return product_by_blocks(b, x, integers, scale, zero_point, bits=bits, rounded=True)

    y = product(x) if x.rank > 1 else b.reshape(product(b.reshape(x, [1, rows])), [columns])
    bias = node.optional(5)
    return y if bias is None else b.add(y, bias)


def _dense(node: OnnxNode, weights: MLOperand, *, rows: int, blocks: int) -> MLOperand:
    """The dequantized weights, `[rows, columns]`."""
    bits, size, columns = _bits(node), node.get_int("block_size"), weights.shape[1]
    scales = _by_block(node, 2, blocks, columns)
    order = node.known(4)
    if node.has(4) and (order is None or (order.reshape(-1)[:rows] != np.arange(rows) // size).any()):
        raise UnsupportedNodeError("its rows are shuffled among the blocks (g_idx)", "rows in the order of blocks")
    zero_points = node.known(3)
    if zero_points is not None and zero_points.dtype == np.uint8:
        zeros = _unpacked(zero_points.reshape(columns, -1), bits)[:, :blocks]
        zero_point = node.constant(np.ascontiguousarray(zeros.T).astype(numpy_dtype(_TYPES[bits]), copy=False))
    elif not node.has(3):
        zero_point = node.constant(np.full((blocks, columns), 1 << (bits - 1), numpy_dtype(_TYPES[bits])))
    else:
        return _with_float_zeros(node, weights, scales, rows=rows, blocks=blocks)
    return dequantized(node, weights, scales, zero_point, axis=0, block=size)


def _with_float_zeros(node: OnnxNode, weights: MLOperand, scales: MLOperand, *, rows: int, blocks: int) -> MLOperand:
    """The dequantized weights where zero points are floats, which are subtracted after the scaling."""
    b, size, columns = node.builder, node.get_int("block_size"), weights.shape[1]
    if blocks * size != rows:
        raise UnsupportedNodeError(
            "its zero points are floats, and its last block is incomplete", "zero points in uint8"
        )
    scaled = dequantized(node, weights, scales, axis=0, block=size)
    shift = b.reshape(b.mul(_by_block(node, 3, blocks, columns), scales), [blocks, 1, columns])
    return b.reshape(b.sub(b.reshape(scaled, [blocks, size, columns]), shift), [rows, columns])


def _by_block(node: OnnxNode, index: int, blocks: int, columns: int) -> MLOperand:
    """An input of one number for each block, `[columns, blocks]`, transposed."""
    known = node.known(index)
    if known is not None:
        return node.constant(np.ascontiguousarray(known.reshape(columns, blocks).T))
    x = node.operand(index)
    return node.builder.transpose(x if x.rank == 2 else node.builder.reshape(x, [columns, blocks]))


@imports("GatherBlockQuantized", domain=MICROSOFT)
def gather_block_quantized(node: OnnxNode) -> Imported:
    """Rows of a table of quantized numbers."""
    table = node.array(0, "the table")
    zeros = None if not node.has(3) else node.array(3, "the zero points")
    if table.dtype == np.uint8:
        bits = _bits(node)
        table = _unpacked(table, bits).astype(numpy_dtype(_TYPES[bits]), copy=False)
        if zeros is None:
            zeros = np.full(node.shape(2), 1 << (bits - 1), table.dtype)
        else:
            zeros = _unpacked(zeros, bits)[..., : node.shape(2)[-1]].astype(table.dtype, copy=False)
    axis = node.axis(node.get_int("quantize_axis", 1), table.ndim, "quantize_axis")
    zero_point = None if zeros is None else node.constant(np.ascontiguousarray(zeros))
    whole = dequantized(
        node, node.constant(table), node.operand(2), zero_point, axis=axis, block=node.get_int("block_size", 128)
    )
    return node.builder.gather(
        whole, node.operand(1), axis=node.axis(node.get_int("gather_axis", 0), table.ndim, "gather_axis")
    )
