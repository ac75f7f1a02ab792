"""Products with weights of few bits that are quantized by block, in which the other factor may be rounded, too."""

from __future__ import annotations

from collections.abc import Sequence

from webnn.graph.composites.composite import Builder, compose, composite
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.ir import Node
from webnn.graph.operand import MLOperand

__all__ = ["product_by_blocks"]


def product_by_blocks(
    b: Builder,
    x: MLOperand,
    weights: MLOperand,
    scale: MLOperand,
    zero_point: MLOperand,
    *,
    bits: int,
    rounded: bool = False,
) -> MLOperand:
    """The matrix product of `x` and the dequantized `weights`.

    Args:
        b: the builder of the operands.
        x: floats, `[..., rows]`, of rank 2 or more.
        weights: constant integers, `[rows, columns]`.
        scale: constant floats, `[blocks, columns]`, each for as many consecutive rows.
        zero_point: constant integers in the shape of `scale`.
        bits: the number of bits that the integers take.
        rounded: whether a backend may round `x`, within a block of a row to 255 steps from its largest magnitude down
            to the negative of it.
    """
    operands = {"input": x, "weights": weights, "scale": scale, "zero_point": zero_point}
    output = MLOperandDescriptor(x.data_type, [*x.shape[:-1], weights.shape[1]])
    return compose(b, "block_product", operands, [output], bits=bits, rounded=rounded)[0]


@composite
def block_product(b: Builder, node: Node) -> Sequence[MLOperand]:
    """The product with the dequantized weights."""
    weights, scale, zero_point = (node[name] for name in ("weights", "scale", "zero_point"))
    return [b.matmul(node["input"], b.dequantize_linear(weights, scale, zero_point))]
