"""Matrix products and Einsum."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np

from webnn.errors import DataError, NotSupportedError
from webnn.forking import import_lock
from webnn.formats.onnx.importing.node import OnnxNode
from webnn.formats.onnx.importing.operator_table import Imported, imports
from webnn.formats.onnx.importing.problems import UnsupportedNodeError
from webnn.graph.broadcasting import bidirectional
from webnn.graph.dtypes import FLOATS, numpy_dtype
from webnn.graph.operand import MLOperand

__all__: list[str] = []


@imports("Gemm")
def gemm(node: OnnxNode) -> Imported:
    """`alpha * a @ b + beta * c`, of matrices that may be transposed first."""
    b = node.builder
    if 0 in node.shape(0) and node.rank(0) == node.rank(1) == 2 and node.data_type(0) in FLOATS:
        return _sum_of_nothing(node)
    x, y, c = node.operand(0), node.operand(1), node.optional(2)
    alpha, beta = node.get_float("alpha", 1.0), node.get_float("beta", 1.0)
    x_transposed, y_transposed = bool(node.get_int("transA", 0)), bool(node.get_int("transB", 0))
    if x.data_type in FLOATS:
        return b.gemm(x, y, c=c, alpha=alpha, beta=beta, a_transpose=x_transposed, b_transpose=y_transposed)
    if not alpha.is_integer() or not beta.is_integer():
        raise UnsupportedNodeError(
            f"it multiplies integers by alpha {alpha} and beta {beta}", "whole numbers, or Cast to float"
        )
    x, y = (b.transpose(o) if t else o for o, t in ((x, x_transposed), (y, y_transposed)))
    product = b.mul(_multiplied(node, x, y), node.scalar(x, int(alpha)))
    return product if c is None else b.add(product, b.mul(c, node.scalar(c, int(beta))))


def _sum_of_nothing(node: OnnxNode) -> Imported:
    """`beta * c`: the inner axis of the product has no elements, or the result has none."""
    b, dtype = node.builder, numpy_dtype(node.data_type(0))
    rows, columns = node.shape(0)[bool(node.get_int("transA", 0))], node.shape(1)[not node.get_int("transB", 0)]
    if not node.has(2) or not rows * columns:
        return np.broadcast_to(np.zeros((), dtype), [rows, columns])  # without the memory, which may be too much
    c, beta = node.operand(2), node.get_float("beta", 1.0)
    return b.expand(c if beta == 1 else b.mul(c, node.scalar(c, beta)), [rows, columns])


@imports("MatMul")
def matmul(node: OnnxNode) -> Imported:
    """`numpy.matmul`: vectors are rows or columns, further axes broadcast."""
    return _multiplied(node, node.operand(0), node.operand(1))


def _multiplied(node: OnnxNode, x: MLOperand, y: MLOperand) -> MLOperand:
    """The product of two matrices, vectors or stacks of matrices."""
    b = node.builder
    if x.rank == 0 or y.rank == 0:
        raise DataError(f"{list(x.shape)} and {list(y.shape)} must both be vectors or matrices")
    left = x if x.rank > 1 else b.reshape(x, [1, x.shape[0]])
    right = y if y.rank > 1 else b.reshape(y, [y.shape[0], 1])
    product = b.matmul(left, right) if x.data_type in FLOATS else _of_integers(node, left, right)
    if x.rank > 1 and y.rank > 1:
        return product
    rows = [] if x.rank == 1 else [product.shape[-2]]
    columns = [] if y.rank == 1 else [product.shape[-1]]
    return b.reshape(product, [*product.shape[:-2], *rows, *columns])


def _of_integers(node: OnnxNode, x: MLOperand, y: MLOperand) -> MLOperand:
    if x.shape[-1] != y.shape[-2]:
        raise DataError(f"{list(x.shape)} and {list(y.shape)} differ in the inner dimension")
    if bidirectional(x.shape[:-2], y.shape[:-2]) is None:
        raise DataError(f"{list(x.shape)} and {list(y.shape)} do not broadcast")
    if x.data_type in {"int8", "uint8"}:
        raise UnsupportedNodeError(f"it multiplies matrices of {x.data_type}", "MatMulInteger, or Cast to int32")
    try:
        with import_lock:  # here, since most models multiply floats
            from webnn.graph.composites.integer_products import product_of_wide_integers  # noqa: PLC0415

        return product_of_wide_integers(node.builder, x, y)
    except NotSupportedError as error:
        raise UnsupportedNodeError(str(error).partition(": ")[2], "Cast to float") from None


@imports("Einsum")
def einsum(node: OnnxNode) -> Imported:
    """Sums of products over labelled axes, by reductions, matrix products and a transpose."""
    terms, wanted = _parsed(node)
    operands = node.operands()
    labelled = [_without_repeated(node, x, labels) for x, labels in zip(operands, terms, strict=True)]
    sizes: dict[str, int] = {}
    for x, labels in labelled:
        for label, size in zip(labels, x.shape, strict=True):
            if sizes.setdefault(label, size) == 1:
                sizes[label] = size
            if size not in (1, sizes[label]):
                raise DataError(f"the axis {label!r} has the sizes {size} and {sizes[label]}")
    x, labels = labelled[0]
    for i, (y, others) in enumerate(labelled[1:], 1):
        later = set("".join(rest for _, rest in labelled[i + 1 :])) | set(wanted)
        x, labels = _contracted(node, (x, labels), (y, others), later, sizes)
    summed = [axis for axis, label in enumerate(labels) if label not in wanted]
    if summed:
        x = node.builder.reduce_sum(x, axes=summed)
        labels = "".join(label for label in labels if label in wanted)
    missing = [label for label in wanted if label not in labels]
    if missing:
        raise DataError(f"the output has the axes {''.join(missing)!r}, which no input has")
    order = [labels.index(label) for label in wanted]
    return node.builder.transpose(x, permutation=order) if order != sorted(order) else node.builder.identity(x)


def _parsed(node: OnnxNode) -> tuple[list[str], str]:
    """The labels of each input and of the output, with letters of their own for the ellipsis."""
    equation = node.get_string("equation").replace(" ", "")
    left, arrow, right = equation.partition("->")
    terms = left.split(",")
    if len(terms) != len(node.inputs):
        raise DataError(f"equation {equation!r} has {len(terms)} terms, the node {len(node.inputs)} inputs")
    hidden = [node.rank(i) - len(term.replace("...", "")) if "..." in term else 0 for i, term in enumerate(terms)]
    dots = "".join(chr(0x100 + i) for i in range(max(hidden, default=0)))
    if not arrow:
        once = [label for label, times in Counter(left.replace(".", "").replace(",", "")).items() if times == 1]
        right = ("..." if dots else "") + "".join(sorted(once))
    terms = [term.replace("...", dots[len(dots) - n :]) for term, n in zip(terms, hidden, strict=True)]
    for i, term in enumerate(terms):
        if len(term) != node.rank(i) or "." in term:
            raise DataError(f"equation {equation!r} does not fit input {i} of rank {node.rank(i)}")
    wanted = right.replace("...", dots)
    if len(set(wanted)) != len(wanted):
        raise DataError(f"equation {equation!r} repeats an axis of the output")
    return terms, wanted


def _without_repeated(node: OnnxNode, x: MLOperand, labels: str) -> tuple[MLOperand, str]:
    """The diagonal of axes with the same label, as a strided slice of these axes flattened to one."""
    b = node.builder
    while (twice := next((label for label in labels if labels.count(label) > 1), None)) is not None:
        first = labels.index(twice)
        second = labels.index(twice, first + 1)
        size = x.shape[first]
        if x.shape[second] != size:
            raise DataError(f"the axis {twice!r} has the sizes {size} and {x.shape[second]}")
        rest = [axis for axis in range(x.rank) if axis not in (first, second)]
        x = b.transpose(x, permutation=[*rest, first, second])
        shape = list(x.shape[:-2])
        x = b.reshape(x, [*shape, size * size])
        x = b.slice(x, [0] * x.rank, [*shape, size * size], strides=[1] * len(shape) + [size + 1])
        labels = "".join(labels[axis] for axis in rest) + twice
    return x, labels


def _contracted(
    node: OnnxNode, one: tuple[MLOperand, str], other: tuple[MLOperand, str], later: set[str], sizes: dict[str, int]
) -> tuple[MLOperand, str]:
    """The product of two operands, summed over the labels not needed later, as a matrix product."""
    b = node.builder
    kept: list[tuple[MLOperand, str]] = []
    for (operand, labels), theirs in ((one, other[1]), (other, one[1])):
        alone = [axis for axis, label in enumerate(labels) if label not in theirs and label not in later]
        rest = "".join(label for axis, label in enumerate(labels) if axis not in alone)
        kept.append((b.reduce_sum(operand, axes=alone) if alone else operand, rest))
    (x, left), (y, right) = kept
    shared = [label for label in left if label in right]
    stack = "".join(label for label in shared if label in later)
    inner = "".join(label for label in shared if label not in later)
    rows = "".join(label for label in left if label not in right)
    columns = "".join(label for label in right if label not in left)
    groups = (stack, rows, inner), (stack, inner, columns)
    matrices = []
    for (operand, labels), group in zip(((x, left), (y, right)), groups, strict=True):
        order = [labels.index(label) for part in group for label in part]
        full = [sizes[label] if label in shared else operand.shape[labels.index(label)] for label in labels]
        stretched = operand if list(operand.shape) == full else b.expand(operand, full)
        moved = stretched if order == sorted(order) else b.transpose(stretched, permutation=order)
        matrices.append(b.reshape(moved, [math.prod(sizes[label] for label in part) for part in group]))
    product = _multiplied(node, *matrices)
    result = stack + rows + columns
    return b.reshape(product, [sizes[label] for label in result]), result
