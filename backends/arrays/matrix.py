"""Matrix products on arrays."""

from typing import Any

from webnn.backends.arrays.kernels import Array, Arrays, dtype_of, kernels
from webnn.backends.arrays.products import product
from webnn.graph.ir import Node


@kernels.lowers("gemm")
def gemm(xp: Any, node: Node, operands: Arrays) -> Array:
    """`alpha * a @ b + beta * c`, summed in a wider type."""
    wide, dtype = xp.float64, dtype_of(xp, node.output)
    options = node.attributes
    a, b = xp.astype(operands["a"], wide), xp.astype(operands["b"], wide)
    if options["a_transpose"]:
        a = a.T
    if options["b_transpose"]:
        b = b.T
    output = options["alpha"] * product(a, b)
    if "c" in operands and options["beta"] != 0:  # as in BLAS, a beta of 0 also removes infinities of c
        output = output + options["beta"] * xp.astype(operands["c"], wide)
    return xp.astype(output, dtype)


@kernels.lowers("matmul")
def matmul(xp: Any, node: Node, operands: Arrays) -> Array:
    """`a @ b`, summed in a wider type."""
    wide = xp.float64
    output = product(xp.astype(operands["a"], wide), xp.astype(operands["b"], wide))
    return xp.astype(output, dtype_of(xp, node.output))
