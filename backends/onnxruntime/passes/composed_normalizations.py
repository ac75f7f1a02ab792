"""Layer normalization and normalization by the root mean square, however they are written out, as one operator.

Serves onnxruntime's `LayerNormalization` and `SimplifiedLayerNormalization`, which read the values twice, where the
operators read or write them nine times and more: by the root mean square, 512 rows of 1024 take 0.11 ms on one thread,
and not 0.32. Onnxruntime has a fusion for one of the forms of the latter. It belongs to the level of optimisation that
large models without convolutions do not get.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

import numpy as np

from webnn.forking import import_lock
from webnn.graph.ir import Graph, Node
from webnn.graph.operand import MLOperand
from webnn.graph.quick_dataclass import dataclass
from webnn.graph.rewriting import Replacement, number_in, readers, rewritten

__all__ = ["composed_normalizations"]

_TOLERANCE: Final = 1e-6
"""Relative, of the factor 1 / n by which a sum becomes a mean: programs round it."""

_Readers = Mapping[MLOperand, Sequence[Node]]


@dataclass(frozen=True, slots=True)
class _Match:
    """`x` over the root of `epsilon` plus the mean of the squares in its last `axes` dimensions."""

    x: MLOperand
    axes: int
    epsilon: float
    inside: tuple[MLOperand, ...]
    """The results on the way, which the replacement does not have."""


def composed_normalizations(graph: Graph) -> Graph:
    """`graph` with a `layer_normalization` or a `rms_normalization` for each such composition of float32."""
    searched = None
    for centred in (True, False):
        if graph is not searched:
            matches = {node: match for node in graph.nodes if (match := _match(node)) is not None}
            read_by, searched = readers(graph) if matches else {}, graph
        ends = [_end(node, match, read_by, centred=centred) for node, match in matches.items()]
        graph = rewritten(graph, [end for end in ends if end is not None], partial(_normalized, centred=centred))
    return graph


def _end(node: Node, match: _Match, read_by: _Readers, *, centred: bool) -> Node | None:
    """The last node of the normalization whose quotient `node` computes; None if something else reads its results."""
    if any(len(read_by.get(operand, ())) != 1 for operand in match.inside):
        return None
    if centred:
        mean = _mean(match)
        inner = {id(reader) for operand in match.inside for reader in read_by[operand]} | {id(node)}
        inner |= {id(operand.node) for operand in match.inside}
        if mean is None or len(read_by.get(mean, ())) != 1 or not read_by.get(match.x):
            return None
        if any(id(reader) not in inner for reader in read_by[match.x]):
            return None
    scaled = _behind(node, "mul", match, read_by) or node
    return (_behind(scaled, "add", match, read_by) or scaled) if centred else scaled


def _normalized(node: Node, *, centred: bool) -> Sequence[MLOperand] | None:
    scale = bias = None
    last = node
    if centred and node.op == "add" and (parts := _parts(node)) is not None:
        last, bias = parts
    match = _match(last)
    if match is None and last.op == "mul" and (parts := _parts(last)) is not None:
        last, scale = parts
        match = _match(last)
    if match is None:
        return None
    sizes, b = match.x.shape[-match.axes :], Replacement(node, composites=("rms_normalization",))
    scale, bias = (None if each is None else _flat(b, each, sizes) for each in (scale, bias))
    if not centred:
        scale = b.full(1, sizes, "float32") if scale is None else scale
        with import_lock:  # here, since most models have no such normalization
            from webnn.graph.composites.rms_normalization import normalized_by_rms  # noqa: PLC0415

        return [normalized_by_rms(b, match.x, scale, epsilon=match.epsilon)]
    before = match.x.node
    assert before is not None
    axes = list(range(match.x.rank - match.axes, match.x.rank))
    return [b.layer_normalization(before["a"], scale=scale, bias=bias, axes=axes, epsilon=match.epsilon)]


def _parts(node: Node) -> tuple[Node, MLOperand] | None:
    """The normalization that `node` scales or shifts, and by what."""
    for operand, other in ((node["a"], node["b"]), (node["b"], node["a"])):
        inner = operand.node
        if inner is None or operand.shape != node.output.shape:
            continue
        match = _match(inner)
        if match is None and node.op == "add" and inner.op == "mul" and (scaled := _parts(inner)) is not None:
            match = _match(scaled[0])
        if match is not None and _fits(other, match):
            return inner, other
    return None


def _flat(b: Replacement, factor: MLOperand, sizes: tuple[int, ...]) -> MLOperand:
    if factor.shape == sizes:
        return factor
    return b.reshape(factor, sizes) if factor.constant is None else b.constant(factor.constant.reshape(sizes))


def _mean(match: _Match) -> MLOperand | None:
    """The mean that was subtracted from an operand to get the numbers that are normalized, if it was."""
    node = match.x.node
    if node is None or node.op != "sub" or node["a"].shape != match.x.shape:
        return None
    mean = node["b"].node
    if mean is None or mean.op != "reduce_mean" or mean["input"] is not node["a"]:
        return None
    axes = list(range(match.x.rank - match.axes, match.x.rank))
    return mean.output if mean.attributes["keep_dimensions"] and sorted(mean.attributes["axes"]) == axes else None


def _behind(node: Node, op: str, match: _Match, read_by: _Readers) -> Node | None:
    """The node that scales or shifts the result of `node`, if it alone reads it."""
    found = read_by.get(node.output, ())
    if len(found) != 1 or found[0].op != op or found[0].output.shape != node.output.shape:
        return None
    other = found[0]["b"] if found[0]["a"] is node.output else found[0]["a"]
    return found[0] if _fits(other, match) else None


def _fits(factor: MLOperand, match: _Match) -> bool:
    """Whether `factor` has a number for each place in the normalized dimensions, and the same for all others."""
    sizes = match.x.shape[-match.axes :]
    shape = (*[1] * (match.x.rank - factor.rank), *factor.shape)
    return shape == (*[1] * (match.x.rank - match.axes), *sizes)


def _match(node: Node) -> _Match | None:
    if node.op not in ("div", "mul") or node.output.data_type != "float32":
        return None
    if node.op == "div":
        return _over(node["a"], node["b"], inverse=False) if node["a"].constant is None else None
    return _over(node["a"], node["b"], inverse=True) or _over(node["b"], node["a"], inverse=True)


def _over(x: MLOperand, root: MLOperand, *, inverse: bool) -> _Match | None:
    """The normalization that `x` over `root` is, or `x` times it, if it is the `inverse` of a root."""
    inside, exponent = [root], -0.5 if inverse else 0.5
    node = root.node
    if inverse and node is not None and (node.op == "reciprocal" or (node.op == "div" and number_in(node["a"]) == 1)):
        root, exponent = node["input"] if node.op == "reciprocal" else node["b"], 0.5
        inside.append(root)
        node = root.node
    if node is None:
        return None
    if node.op == "pow" and number_in(node["b"]) == exponent:
        shifted = node["a"]
    elif node.op == "sqrt" and exponent == 0.5:
        shifted = node["input"]
    else:
        return None
    total, factor, epsilon = shifted, 1.0, 0.0
    while (step := _affine(total)) is not None and total.shape == step[0].shape:
        inside.append(total)
        total, slope, offset = step
        factor, epsilon = factor * slope, epsilon + factor * offset
    inside.append(total)
    reduction = total.node
    if reduction is None or reduction.op not in ("reduce_mean", "reduce_sum", "reduce_sum_square"):
        return None
    axes, rank = sorted(reduction.attributes["axes"]), x.rank
    if not reduction.attributes["keep_dimensions"] or axes != list(range(rank - len(axes), rank)) or not axes:
        return None
    squares = reduction["input"]
    count = math.prod(squares.shape[axis] for axis in axes)
    if not math.isclose(factor, 1.0 if reduction.op == "reduce_mean" else 1 / count, rel_tol=_TOLERANCE):
        return None
    if reduction.op == "reduce_sum_square":
        is_square = squares is x
    else:
        inside.append(squares)
        is_square = _is_square(squares, x)
    # Of one value the kernel makes no mean; beyond the range of float32 numbers an epsilon would become another.
    if not is_square or count == 1 or not math.isfinite(epsilon) or epsilon < 0:
        return None
    return _Match(x, len(axes), float(np.float32(epsilon)), tuple(inside))


def _affine(operand: MLOperand) -> tuple[MLOperand, float, float] | None:
    """The operand of which `operand` is a multiple plus a number, the factor and the number."""
    node = operand.node
    if node is None:
        return None
    if node.op == "linear":
        return node["input"], node.attributes["alpha"], node.attributes["beta"]
    if node.op == "div" and (number := number_in(node["b"])):
        return node["a"], 1 / number, 0.0
    if node.op not in ("add", "mul"):
        return None
    for x, other in ((node["a"], node["b"]), (node["b"], node["a"])):
        if (number := number_in(other)) is not None:
            return (x, 1.0, number) if node.op == "add" else (x, number, 0.0)
    return None


def _is_square(squares: MLOperand, x: MLOperand) -> bool:
    node = squares.node
    if node is None or node.op not in ("mul", "pow") or node["a"] is not x:
        return False
    return node["b"] is x if node.op == "mul" else number_in(node["b"]) == 2
