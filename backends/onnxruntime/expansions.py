"""Composites, found again in the operators that they are expanded to.

The expansion of a composite is its pattern: where an operator may be the last one of an expansion, the composite is
expanded once more, for the operands that are found there, and compared with the graph.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

import numpy as np

from webnn.backends.onnxruntime.integer_products import integer_products_are_exact
from webnn.errors import NotSupportedError
from webnn.graph.broadcasting import Shape
from webnn.graph.composites import integer_products, quantization, scatter_reduce, top_k
from webnn.graph.composites.composite import Builder
from webnn.graph.composites.functions import applied
from webnn.graph.composites.open_cases import REDUCTIONS
from webnn.graph.ir import Graph, Node
from webnn.graph.operand import MLOperand
from webnn.graph.quick_dataclass import dataclass
from webnn.graph.rewriting import Replacement, rewritten

__all__ = ["with_composites"]

_NEAR: Final = 64
"""The operators before the last one of an expansion that are searched for its operands."""
_NETWORK: Final = 4096
"""The same for a sorting network."""


@dataclass(frozen=True)
class _Guess:
    """A composite that a part of a graph may be the expansion of.

    Attributes:
        key: tells it from others.
        make: makes it with a builder: as operators, or as one node if the builder has such.
        operands: the arguments of `make` besides the builder.
    """

    key: tuple[object, ...]
    make: Callable[..., MLOperand | Sequence[MLOperand]]
    operands: Mapping[str, MLOperand | None]

    def made(self, b: Builder, stands_for: Mapping[MLOperand, MLOperand]) -> Sequence[MLOperand]:
        """The outputs of the composite of what stands for its operands."""
        operands = {name: x if x is None else stands_for.get(x, x) for name, x in self.operands.items()}
        result = self.make(b, **operands)
        return [result] if isinstance(result, MLOperand) else result


def with_composites(graph: Graph) -> Graph:
    """`graph` with a composite for each of its expansions."""
    names = {"log_softmax", "top_k", "scatter_reduce_elements", "scatter_reduce_nd"}
    if integer_products_are_exact():
        names |= {"dynamic_quantize_linear", "matmul_integer"}
    expansions: dict[tuple[object, ...], Sequence[MLOperand]] = {}
    found = {node: match for node in graph.nodes if (match := _match(node, expansions)) is not None}
    made: dict[tuple[object, ...], Sequence[MLOperand]] = {}
    stands_for: dict[MLOperand, MLOperand] = {}
    ends = iter(found.values())

    def rule(node: Node) -> Sequence[MLOperand] | None:
        guess, i = next(ends)
        if guess.key not in made:
            made[guess.key] = guess.made(Replacement(node, composites=names), stands_for)
        result = made[guess.key][i]
        return [result] if result.node is not None and result.node.op in names else None

    return rewritten(graph, list(found), rule, stands_for)


def _match(node: Node, expansions: dict[tuple[object, ...], Sequence[MLOperand]]) -> tuple[_Guess, int] | None:
    """The composite of which `node` computes an output, and which one."""
    for guess in _GUESSES[node.op](node) if node.op in _GUESSES else ():
        if guess.key not in expansions:
            expansions[guess.key] = _expanded(guess, node)
        for i, output in enumerate(expansions[guess.key]):
            if output.node is not None and _same(output, node.output):
                return guess, i
    return None


def _expanded(guess: _Guess, node: Node) -> Sequence[MLOperand]:
    try:
        return guess.made(Replacement(node), {})
    except NotSupportedError:  # it is too large to be expanded, and so the graph has no such expansion
        return []


def _same(first: MLOperand, second: MLOperand) -> bool:
    """Whether two operands are computed in the same way from the same operands."""
    ahead, seen = [(first, second)], set[tuple[int, int]]()
    while ahead:
        a, b = ahead.pop()
        if a is b or (id(a), id(b)) in seen:
            continue
        seen.add((id(a), id(b)))
        if a.descriptor != b.descriptor:
            return False
        if a.constant is not None and b.constant is not None:
            if np.array_equal(a.constant, b.constant, equal_nan=a.constant.dtype.kind == "f"):
                continue
            return False
        x, y = a.node, b.node
        if x is None or y is None or x.op != y.op or x.attributes != y.attributes:
            return False
        if x.outputs.index(a) != y.outputs.index(b):
            return False
        ours, theirs = list(x.inputs()), list(y.inputs())
        if len(ours) != len(theirs):
            return False
        ahead += zip(ours, theirs, strict=True)
    return True


def _before(operand: MLOperand, limit: int) -> Iterator[Node]:
    """The nodes that `operand` is computed by, the nearest first, at most `limit` of them."""
    ahead, seen = [operand.node], set[int]()
    for node in ahead:
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))
        if len(seen) > limit:
            return
        yield node
        ahead += [each.node for each in node.inputs()]


# The guesses.


def _top_k_by_rank(node: Node) -> Iterator[_Guess]:
    """The values, by `gather_elements`, or the indices, cast."""
    chosen = node["indices"] if node.op == "gather_elements" else node["input"]
    scatter = chosen.node["input"].node if chosen.node is not None and chosen.node.op == "slice" else None
    if scatter is None or scatter.op != "scatter_elements":
        return
    axis = scatter.attributes["axis"]
    operands = (each["input"] for each in _before(scatter["indices"], _NEAR) if each.op == "reshape")
    yield from _sorted(chosen.shape, axis, operands)


def _top_k_by_network(node: Node) -> Iterator[_Guess]:
    rows = node["input"].node
    chosen = rows["input"].node if rows is not None and rows.op == "reshape" else None
    if chosen is not None and chosen.op == "cast":
        chosen = chosen["input"].node
    if rows is None or chosen is None or chosen.op != "slice" or not _is_made_by(chosen["input"], "where"):
        return
    back = node.attributes["permutation"]
    order = tuple(sorted(range(len(back)), key=back.__getitem__))
    moved = (each["input"].node for each in _before(rows["input"], _NETWORK) if each.op == "reshape")
    operands = (
        each["input"]
        for each in moved
        if each is not None and each.op == "transpose" and each.attributes["permutation"] == order
    )
    yield from _sorted(node.output.shape, order[-1], operands)


def _sorted(shape: Shape, axis: int, operands: Iterator[MLOperand]) -> Iterator[_Guess]:
    """The largest and the smallest elements of those of `operands` that have `shape` but for the `axis`."""
    for x in dict.fromkeys(operands):
        fits = (
            x.rank == len(shape) and x.shape[axis] >= shape[axis] and _without(x.shape, axis) == _without(shape, axis)
        )
        if fits and x.constant is None and x.data_type == "float32":
            for largest in (True, False):
                make = partial(top_k.largest_or_smallest, k=shape[axis], axis=axis, largest=largest)
                yield _Guess(("top_k", x, shape[axis], axis, largest), make, {"x": x})


def _without(shape: Shape, axis: int) -> Shape:
    return (*shape[:axis], *shape[axis + 1 :])


def _quantization(node: Node) -> Iterator[_Guess]:
    """The quantized numbers, their scale or their zero point."""
    scale = node["scale"] if node.op == "quantize_linear" else node.output
    if scale.constant is not None or scale.descriptor.element_count != 1:
        return
    for each in _before(scale, _NEAR):
        if each.op not in ("reduce_max", REDUCTIONS["reduce_max"]) or each.output.shape:
            continue
        x = each["input"]
        if x.data_type == "float32":
            yield _Guess(("dynamic_quantize_linear", x), quantization.dynamically_quantized, {"x": x})


def _integer_product(node: Node) -> Iterator[_Guess]:
    product = node["input"].node
    if node.output.data_type != "int32" or product is None or product.op != "matmul":
        return
    left, right = (_factor(product[name]) for name in ("a", "b"))
    if left is not None and right is not None and min(left[0].rank, right[0].rank) > 1:
        (x, x_zero), (y, y_zero) = left, right
        operands = {"x": x, "y": y, "x_zero": x_zero, "y_zero": y_zero}
        yield _Guess(("matmul_integer", x, y, x_zero, y_zero), integer_products.integer_product, operands)


def _product_of_digits(node: Node) -> Iterator[_Guess]:
    """The sum of the products with the digits of known integers, where one product of floats would not be exact."""
    parts, total = [], node.output
    while total.node is not None and total.node.op == "add":
        parts.append(total.node["b"])
        total = total.node["a"]
    left, integers = None, np.zeros((), np.int64)
    for part in (*parts, total):
        scaled = part.node if part.node is not None and part.node.op == "mul" else None
        weight = None if scaled is None else scaled["b"].constant
        cast = part.node if scaled is None else scaled["a"].node
        product = cast["input"].node if cast is not None and cast.op == "cast" else None
        if product is None or product.op != "matmul" or (scaled is not None and weight is None):
            return
        digit = _integers(product["b"])
        if digit is None or digit.constant is None or left not in (None, product["a"]):
            return
        left = product["a"]
        integers = integers + digit.constant.astype(np.int64) * (1 if weight is None else int(weight.item()))
    factor = None if left is None else _factor(left)
    dtype = next((t for t in (np.int8, np.uint8) if np.array_equal(integers.astype(t), integers)), None)
    if factor is not None and dtype is not None:
        x, x_zero = factor
        make = partial(_known_product, y=integers.astype(dtype))
        yield _Guess(("product of digits", node), make, {"x": x, "x_zero": x_zero})


def _known_product(b: Builder, x: MLOperand, x_zero: MLOperand | None, y: np.ndarray[Any, Any]) -> MLOperand:
    return integer_products.integer_product(b, x, b.constant(y), x_zero)


def _factor(operand: MLOperand) -> tuple[MLOperand, MLOperand | None] | None:
    """The integers that `operand` is the difference of, as floats, and their zero point."""
    node, zero = operand.node, None
    if node is not None and node.op == "sub":
        zero, node = _integers(node["b"]), node["a"].node
        if zero is None or zero.descriptor.element_count != 1:
            return None
    integers = None if node is None else _integers(node.output)
    return None if integers is None else (integers, zero)


def _integers(operand: MLOperand) -> MLOperand | None:
    node = operand.node
    if node is None or node.op != "cast" or node["input"].data_type not in ("int8", "uint8"):
        return None
    return node["input"]


def _scatter(node: Node) -> Iterator[_Guess]:
    x, combined, reduction = node["a"], node["b"].node, node.op
    slices = combined is not None and combined.op == "reshape"
    if combined is not None and slices:
        combined = combined["input"].node
    if combined is None or combined.op not in ("matmul", "reduce_sum", "reduce_product", "reduce_max", "reduce_min"):
        return
    if combined.op == "matmul":
        updates = combined["b"]
    else:
        chosen = combined["input"].node
        spread = chosen["true_value"].node if chosen is not None and chosen.op == "where" else None
        if spread is None or spread.op != "reshape":
            return
        updates = spread["input"]
    near = list(_before(node["b"], _NEAR))
    if not any(each.op == "equal" for each in near):
        return
    if slices:
        if updates.node is None or updates.node.op != "reshape":
            return
        updates = updates.node["input"]
        for each in near:
            if each.op == "slice" and each["input"].data_type in ("int32", "int64"):
                indices = each["input"]
                if (
                    updates.shape != (*indices.shape[:-1], *x.shape[indices.shape[-1] :])
                    or updates.data_type != x.data_type
                ):
                    continue
                make = partial(scatter_reduce.scattered_slices, reduction=reduction, ignoring=True)
                operands = {"x": x, "indices": indices, "updates": updates}
                yield _Guess(("scatter_reduce_nd", x, indices, updates, reduction), make, operands)
        return
    axis = 0 if combined.op == "matmul" else int(combined.attributes["axes"][0]) - 1
    for each in near:
        if each.op == "where" and each.output.data_type in ("int32", "int64"):
            indices = each["false_value"]
            fits = indices.rank == x.rank > axis >= 0 and updates.data_type == x.data_type
            if not fits or updates.shape != indices.shape or _without(indices.shape, axis) != _without(x.shape, axis):
                continue
            make = partial(scatter_reduce.scattered_elements, axis=axis, reduction=reduction, ignoring=True)
            operands = {"x": x, "indices": indices, "updates": updates}
            yield _Guess(("scatter_reduce_elements", x, indices, updates, axis, reduction), make, operands)


def _log_softmax(node: Node) -> Iterator[_Guess]:
    total, shifted = node["b"].node, node["a"].node
    if total is None or total.op != "reduce_log_sum_exp" or total["input"] is not node["a"] or shifted is None:
        return
    axes = total.attributes["axes"]
    if shifted.op == "sub" and len(axes) == 1 and node.output.data_type == "float32":
        x = shifted["a"]
        yield _Guess(("log_softmax", x, axes[0]), partial(applied, name="log_softmax", axis=axes[0]), {"x": x})


def _is_made_by(operand: MLOperand, op: str) -> bool:
    return operand.node is not None and operand.node.op == op


def _cast(node: Node) -> Iterator[_Guess]:
    yield from _integer_product(node)
    if node.output.data_type == "int64":
        yield from _top_k_by_rank(node)
    elif node.output.data_type == "uint8" and not node.output.shape:
        yield from _quantization(node)


def _sum(node: Node) -> Iterator[_Guess]:
    if node.output.data_type == "int32":
        yield from _product_of_digits(node)
    yield from _scatter(node)


_GUESSES: Final[Mapping[str, Callable[[Node], Iterator[_Guess]]]] = {
    "cast": _cast,
    "sub": _log_softmax,
    "gather_elements": _top_k_by_rank,
    "transpose": _top_k_by_network,
    "quantize_linear": _quantization,
    "where": _quantization,
    **dict.fromkeys(("mul", "max", "min"), _scatter),
    "add": _sum,
}
"""By the last operator of an expansion, what it may be the expansion of."""
