"""Scaled dot-product attention, however it is spelled out, as one operator.

Serves onnxruntime's `MultiHeadAttention`, which goes through the keys in blocks and keeps no scores, and `Attention`,
which splits the heads itself and has masks and keys that several heads share. Written as operators, the scores of 8
heads over 4096 positions take 512 MB, and keys that 4 heads share are copied 4 times.

Found are scores of three or four dimensions, with factors on the queries, the keys or the products, a bound by a
hyperbolic tangent, masks that are added or chosen by a condition, and keys that are repeated for the heads that share
them.

A decoder's cache has a fixed size, and its mask hides the part that is still empty. So each run counts the keys that
the mask shows, and reads no others while these are few.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import Final

from webnn.backends.onnxruntime.attention_masks import Masks, Term, split_at
from webnn.backends.onnxruntime.contrib import FLASH_SCORES
from webnn.backends.processors import usable_cores
from webnn.graph.broadcasting import Shape
from webnn.graph.composites.attention import attended
from webnn.graph.composites.open_cases import REDUCTIONS
from webnn.graph.ir import Graph, Node
from webnn.graph.operand import MLOperand
from webnn.graph.quick_dataclass import dataclass
from webnn.graph.rewriting import Replacement, Rule, number_in, readers, rewritten

__all__ = ["attention"]

_HIDDEN: Final = -1e9
"""A score put in the place of others that is at most this large hides the key, whatever the other scores are."""
_FEW_QUERIES: Final = 16
"""Fewer rows, with keys that are not shared, take a twentieth less time in products."""
_LAYERS: Final = 4
"""Attention of one row, such as that of a decoder, saves a microsecond each time, which has to pay for the mask."""
_LEAST: Final = 2.0**-20
"""The range of factors that one row is multiplied by before, up to 1: no number leaves that of precise floats."""
_TINY: Final = 2.0**-126  # the smallest normal float32
"""The kernel refuses a factor that is negative or, in float32, 0."""
_LARGE_KEYS: Final = 512 * 1024
"""Bytes of keys of one row from which on it pays to find out, in each run, how many of them the mask shows."""
_LONE_SCORES: Final = 1 << 16
"""The kernel computes a head on one core; from so many scores on, fewer heads than cores take longer than operators."""


def attention(graph: Graph) -> Graph:
    """`graph` with an `attention` for each product of the softmax of scaled products of float32."""
    products = [node for node in graph.nodes if node.op == "matmul" and node.output.data_type == "float32"]
    if not any(node.op == "softmax" for node in graph.nodes) or any(map(_ends_before_opset_23, graph.nodes)):
        return graph
    found, outputs = readers(graph), set(graph.outputs.values())

    def is_read_once(operand: MLOperand) -> bool:
        return operand not in outputs and sum(o is operand for n in found.get(operand, ()) for o in n.inputs()) == 1

    matches = {node: match for node in products if (match := _match(node, is_read_once)) is not None}
    few = {node for node, match in matches.items() if _has_few_queries(match)}
    rows = {node for node in few if _is_row(matches[node])}
    products = [node for node in matches if node not in few or (node in rows and len(rows) >= _LAYERS)]
    if not products:
        return graph
    masks, chosen = Masks(), frozenset(node.output for node in products)

    def rule(node: Node) -> Sequence[MLOperand] | None:
        return _BEHIND[node.op](node) if node.op in _BEHIND else _attention(node, masks)

    behind = [node for node in graph.nodes if node.op in _BEHIND and chosen.intersection(_before(node))]
    return rewritten(graph, [*products, *behind], rule)


def _ends_before_opset_23(node: Node) -> bool:
    """Whether onnxruntime's kernel for `node` is for earlier operator sets only, or rounds differently in others."""
    return node.op == "l2_pool2d" or (node.op == "quantize_linear" and node["scale"].descriptor.element_count > 1)


def _before(node: Node) -> list[MLOperand]:
    """What `node` moves, and what that moves."""
    result = [node["input"]]
    while (before := result[-1].node) is not None and before.op in _BEHIND:
        result.append(before["input"])
    return result


# The pattern.


@dataclass
class _Scores:
    """What leads from the product of queries and keys to the softmax."""

    product: Node
    scale: float = 1.0
    softcap: float = 0.0
    terms: list[Term] = field(default_factory=list)
    batch: int = 1
    heads: int = 1


@dataclass
class _Match:
    scores: _Scores
    query: _Heads
    key: _Heads
    value: _Heads
    zeros: bool
    """Whether a query from which all keys are hidden gets zeros."""


@dataclass
class _Heads:
    """Keys or values, `[batch, heads, length, size]`, and the same before the heads were split, if they were."""

    four: MLOperand | None
    rows: MLOperand | None
    heads: int
    """As many as there are; several heads of the query may share one."""
    length: int
    size: int


Sole = Callable[[MLOperand], bool]


def _match(product: Node, sole: Sole) -> _Match | None:
    """Attention that ends in `product`; None if it is none, or something else reads a value on the way."""
    shares, zeroing = product["a"], None
    while (node := shares.node) is not None and node.op in ("reshape", "where") and sole(shares):
        if node.op == "where":
            if zeroing is not None or number_in(node["true_value"]) != 0:
                return None
            zeroing, shares = node["condition"], node["false_value"]
        else:
            shares = node["input"]
    softmax = shares.node
    if softmax is None or softmax.op != "softmax" or shares.rank not in (3, 4) or not sole(shares):
        return None
    if softmax.attributes["axis"] != shares.rank - 1 or shares.shape[-1] != product["a"].shape[-1]:
        return None
    scores = _scores(softmax["input"], sole)
    if scores is None or scores.product["a"].rank != product["a"].rank:
        return None
    if scores.product.output.shape != product["a"].shape:
        return None  # heads are stacked in another way behind the softmax
    if zeroing is not None and not _asks_for_nothing(zeroing, scores):
        return None
    if product.output.shape[:-1] != product["a"].shape[:-1]:
        return None  # the values are of a larger batch
    query, factor = _query(scores)
    key, key_factor = _key(scores.product["b"], scores)
    value = _heads(product["b"], scores)
    if query is None or key is None or value is None or (key.heads, key.length) != (value.heads, value.length):
        return None
    stacked = math.prod(scores.product.output.shape[:-2])
    if stacked not in (scores.batch * scores.heads, scores.batch * key.heads):
        return None
    if (
        scores.heads % key.heads
        or key.size != query.size
        or not all(_fits(term, query, scores) for term in scores.terms)
    ):
        return None
    if len(scores.terms) > 1 and any(term.hidden is not None and math.isfinite(term.hidden) for term in scores.terms):
        return None  # which keys count where all are hidden depends on the order of the masks
    # With few heads, only the kernel that keeps no scores has work for all cores. (The system's files tell how many.)
    lone = query.length * key.length >= _LONE_SCORES and scores.batch * scores.heads < usable_cores()
    if lone and not _is_flash(scores, key, query.length):
        return None
    scores.scale *= factor * key_factor
    if not _TINY <= scores.scale <= 1 / _TINY:
        return None
    return _Match(scores, query, key, value, zeroing is not None)


def _has_few_queries(match: _Match) -> bool:
    return match.query.length < _FEW_QUERIES and match.key.heads == match.scores.heads


def _is_row(match: _Match) -> bool:
    """Whether the kernel has a row to multiply with each matrix of keys, and work for all cores."""
    scores = match.scores
    return match.query.length == 1 and _LEAST <= scores.scale <= 1 and scores.batch * scores.heads >= usable_cores()


def _fits(term: Term, query: _Heads, scores: _Scores) -> bool:
    """Whether a mask was added to scores of the usual shape, and not to those of stacked heads."""
    *ahead, queries, _ = term.at
    if queries != query.length:
        return False
    if len(ahead) == 1:
        return ahead[0] == scores.batch * scores.heads
    return split_at(tuple(ahead), scores.batch, scores.heads) is not None


def _is_flash(scores: _Scores, key: _Heads, queries: int) -> bool:
    """Whether it is a case for the kernel that keeps no scores."""
    plain = not scores.terms and not scores.softcap and key.heads == scores.heads
    return plain and queries * key.length >= FLASH_SCORES


def _scores(x: MLOperand, sole: Sole) -> _Scores | None:
    scale, softcap, terms, shapes = 1.0, 0.0, list[Term](), [x.shape]
    while sole(x) and x.node is not None:
        node = x.node
        if node.op == "matmul":
            if x.rank not in (3, 4):
                return None
            fours = [shape for shape in shapes if len(shape) == 4]
            batch, heads = fours[0][:2] if fours else (1, x.shape[0])
            return _Scores(node, scale, softcap, terms, batch, heads)
        if (multiple := _multiple(x)) is not None and multiple[0].shape == x.shape:
            x, scale = multiple[0], scale * multiple[1]
        elif node.op == "reshape" and node["input"].shape[-1:] == x.shape[-1:]:
            x = node["input"]
            shapes.append(x.shape)
        elif node.op == "tanh" and not softcap and scale > 0:
            x, softcap = node["input"], scale  # c * tanh(s / c): the factor inside is that of s, divided by c
        elif node.op == "add" and scale == 1.0 and not softcap:
            a, b = node["a"], node["b"]
            side, other = (a, b) if a.shape == x.shape and _leads_to_product(a) else (b, a)
            if side.shape != x.shape or other.rank > x.rank:
                return None
            terms.append(Term(other, x.shape))
            x = side
        elif node.op == "where" and scale == 1.0 and not softcap and node["condition"].rank <= x.rank:
            hides = node["true_value"].shape != x.shape
            kept, filler = (
                node[name] for name in (("false_value", "true_value") if hides else ("true_value", "false_value"))
            )
            number = number_in(filler)
            if number is None or number > _HIDDEN or kept.shape != x.shape:
                return None
            terms.append(Term(node["condition"], x.shape, number, hides))
            x = kept
        else:
            return None
    return None


def _leads_to_product(x: MLOperand) -> bool:
    for _ in range(8):
        node = x.node
        if node is None:
            return False
        if node.op == "matmul":
            return True
        if node.op in ("reshape", "tanh", "linear"):
            x = node["input"]
        elif node.op in ("mul", "div", "add", "where"):
            names = ("true_value", "false_value") if node.op == "where" else ("a", "b")
            x = next((node[name] for name in names if node[name].shape == x.shape and node[name].node is not None), x)
            if x.node is node:
                return False
        else:
            return False
    return False


def _asks_for_nothing(condition: MLOperand, scores: _Scores) -> bool:
    """Whether `condition` is that the masks hide all keys from a query."""
    equal = condition.node
    if equal is None or equal.op != "equal" or number_in(equal["b"]) != -math.inf or equal["a"].node is None:
        return False
    best = equal["a"].node
    if best.op not in ("reduce_max", REDUCTIONS["reduce_max"]) or best.attributes["axes"] != (best["input"].rank - 1,):
        return False
    leaves, ahead = set[MLOperand](), [best["input"]]
    terms = {term.operand for term in scores.terms if term.hidden is None}
    while ahead:
        x = ahead.pop()
        if x in terms:
            leaves.add(x)
        elif x.node is not None and x.node.op == "add":
            ahead += [x.node["a"], x.node["b"]]
        else:
            return False
    return len(terms) == len(scores.terms) and leaves == terms


def _query(scores: _Scores) -> tuple[_Heads | None, float]:
    """The queries, and the factor they were multiplied by."""
    product = scores.product
    x, factor = _unscaled(product["a"])
    if x.shape[:-1] != product.output.shape[:-1]:
        return None, factor  # the keys are of a larger batch
    batch, heads, size = scores.batch, scores.heads, x.shape[-1]
    shape = (batch, heads, math.prod(x.shape[:-1]) // (batch * heads), size)
    while x.rank == 4 and x.shape != shape and x.node is not None and x.node.op == "reshape":
        x, more = _unscaled(x.node["input"])
        factor *= more
    if x.rank == 4 and x.shape != shape:
        return None, factor
    return _heads(x, scores, shared=False), factor


def _key(x: MLOperand, scores: _Scores) -> tuple[_Heads | None, float]:
    """The keys that were transposed to `x`, `[..., size, keys]`, and the factor they were multiplied by."""
    x, factor = _unscaled(x)
    x = _unrepeated(x, scores)
    node = x.node
    if node is not None and node.op == "reshape" and node["input"].shape[-2:] == x.shape[-2:] and x.rank == 3:
        x, more = _unscaled(node["input"])
        x, factor = _unrepeated(x, scores), factor * more
        node = x.node
    if node is None or node.op != "transpose":
        return None, factor
    before, order = node["input"], node.attributes["permutation"]
    if order == (0, 2, 3, 1) or (order == (1, 2, 0) and scores.batch == 1):
        shape = (scores.batch, x.shape[-1], x.shape[-3], x.shape[-2])
        found = before.shape in (shape, shape[1:])
        return (_Heads(None, before, shape[2], shape[1], shape[3]) if found else None), factor
    if order not in ((0, 1, 3, 2), (0, 2, 1)):
        return None, factor
    before, more = _unscaled(before)
    return _heads(before, scores), factor * more


def _heads(x: MLOperand, scores: _Scores, *, shared: bool = True) -> _Heads | None:
    """`x`, `[..., length, size]`, with the heads that it has before they are repeated, if heads may share one."""
    if x.rank not in (3, 4):
        return None
    length, size = x.shape[-2:]
    x = _unrepeated(x, scores) if shared else x
    count = math.prod(x.shape[:-2])
    if count % scores.batch or (x.rank == 4 and x.shape[0] != scores.batch):
        return None
    heads, rows = count // scores.batch, x
    while rows.node is not None and rows.node.op == "reshape" and rows.node["input"].shape[-2:] == (length, size):
        rows = rows.node["input"]
        repeated = _repeated(rows, scores) if shared else None
        if repeated is not None and heads == scores.heads:
            return _heads(repeated, scores)
    node = rows.node
    before = None
    if node is not None and node.op == "transpose":
        order, shape = node.attributes["permutation"], node["input"].shape
        split: dict[Shape, Shape] = {(0, 2, 1, 3): (scores.batch, length, heads, size)}
        if scores.batch == 1:
            split[1, 0, 2] = (length, heads, size)
        if split.get(order) == shape:
            before = node["input"]
    return _Heads(x, before, heads, length, size)


def _unrepeated(x: MLOperand, scores: _Scores) -> MLOperand:
    """`x` before its heads were repeated, or `x` itself."""
    before = _repeated(x, scores)
    return x if before is None else before


def _repeated(x: MLOperand, scores: _Scores) -> MLOperand | None:
    """The operand whose heads are repeated to those of `x`, `[batch, heads, ...]`, by `expand` or `tile`; or None."""
    if x.rank != 4 or x.shape[0] != scores.batch or x.node is None:
        return None
    batch, heads, *rest = x.shape
    if x.node.op == "expand" and x.node["input"].shape == (batch, 1, *rest):
        return x.node["input"]
    if x.node.op != "reshape" or x.node["input"].rank != 5 or x.node["input"].node is None:
        return None
    five = x.node["input"]
    node = five.node
    assert node is not None
    if node.op not in ("expand", "tile") or node["input"].rank != 5:
        return None
    _, groups, share, *inner = five.shape
    narrow = node["input"]
    if narrow.shape != (batch, groups, 1, *rest) or inner != rest or groups * share != heads or narrow.node is None:
        return None
    if narrow.node.op != "reshape" or narrow.node["input"].shape != (batch, groups, *rest):
        return None
    return narrow.node["input"]


# The replacement.


def _attention(node: Node, masks: Masks) -> Sequence[MLOperand] | None:
    match = _match(node, lambda _: True)
    if match is None:
        return None
    b, scores = Replacement(node, composites=("attention",)), match.scores
    batch, heads, query, key = scores.batch, scores.heads, match.query, match.key
    mask = None
    if scores.terms:
        shape = (batch, heads, query.length, key.length)
        mask = masks.mask(b, scores.terms, shape, zeros=match.zeros)
        if mask is None:
            return None
    parts = (query, key, match.value)
    rows = _is_flash(scores, key, query.length) or all(part.rows is not None or part.length == 1 for part in parts)
    row, *others = [(_merged if rows else _four)(b, part, batch) for part in parts]
    scale = scores.scale
    if query.length == 1 and _LEAST <= scale < 1:
        # The kernel multiplies a row as it is by a matrix as it is. For a factor, it would reorder the matrix first.
        row, scale = b.mul(row, b.constant("float32", scale)), 1.0
    shown = None
    if mask is not None and _may_hide_many(mask, others):
        shown = masks.shown(b, mask)
    y = attended(
        b,
        row,
        *others,
        heads=heads,
        key_heads=key.heads,
        scale=scale,
        softcap=scores.softcap,
        mask=mask,
        shown=shown,
    )
    if not rows:
        return [y if y.shape == node.output.shape else b.reshape(y, node.output.shape)]
    width = match.value.size
    if node.output.rank == 3 and batch == 1:
        return [b.transpose(b.reshape(y, [query.length, heads, width]), permutation=[1, 0, 2])]
    four = b.transpose(b.reshape(y, [batch, query.length, heads, width]), permutation=[0, 2, 1, 3])
    return [four if four.shape == node.output.shape else b.reshape(four, node.output.shape)]


def _may_hide_many(mask: MLOperand, others: Sequence[MLOperand]) -> bool:
    """Whether it is the mask of a token whose keys are in a large cache, which may be mostly empty yet."""
    is_row = mask.constant is None and math.prod(mask.shape[:-1]) == 1
    return is_row and all(x.rank == 4 and x.descriptor.byte_length >= _LARGE_KEYS for x in others)


def _merged(b: Replacement, part: _Heads, batch: int) -> MLOperand:
    """`[batch, length, heads * size]`; as it was before its heads were split."""
    shape = (batch, part.length, part.heads * part.size)
    x = part.rows
    if x is None:
        four = _four(b, part, batch)
        x = four if part.length == 1 else b.transpose(four, permutation=[0, 2, 1, 3])
    if x.node is not None and x.node.op == "reshape" and x.node["input"].shape == shape:
        return x.node["input"]
    return x if x.shape == shape else b.reshape(x, shape)


def _four(b: Replacement, part: _Heads, batch: int) -> MLOperand:
    shape = (batch, part.heads, part.length, part.size)
    if part.four is not None:
        return part.four if part.four.shape == shape else b.reshape(part.four, shape)
    assert part.rows is not None
    return b.transpose(b.reshape(part.rows, [batch, part.length, part.heads, part.size]), permutation=[0, 2, 1, 3])


# What is behind it.


def _without_transposing_back(node: Node) -> Sequence[MLOperand] | None:
    before = node["input"].node
    if before is None or before.op != "transpose":
        return None
    first, second = before.attributes["permutation"], node.attributes["permutation"]
    return [before["input"]] if [first[i] for i in second] == list(range(len(first))) else None


def _reshaped_once(node: Node) -> Sequence[MLOperand] | None:
    before = node["input"].node
    if before is None or before.op != "reshape":
        return None
    x = before["input"]
    return [x if x.shape == node.output.shape else Replacement(node).reshape(x, node.output.shape)]


_BEHIND: Final[Mapping[str, Rule]] = {"transpose": _without_transposing_back, "reshape": _reshaped_once}
"""Takes out the movements that programs make behind attention to merge its heads, which are merged already."""


# Numbers.


def _unscaled(operand: MLOperand) -> tuple[MLOperand, float]:
    """The operand of the same shape that `operand` is a multiple of by constant factors, and their product."""
    factor = 1.0
    while (found := _multiple(operand)) is not None and found[0].shape == operand.shape:
        operand, factor = found[0], factor * found[1]
    return operand, factor


def _multiple(operand: MLOperand) -> tuple[MLOperand, float] | None:
    """The operand and the number that `operand` is the product of."""
    node = operand.node
    if node is None:
        return None
    if node.op == "linear" and node.attributes["beta"] == 0:
        return node["input"], node.attributes["alpha"]
    if node.op not in ("mul", "div"):
        return None
    if number := number_in(node["b"]):
        return node["a"], number if node.op == "mul" else 1 / number
    if node.op == "mul" and (number := number_in(node["a"])):
        return node["b"], number
    return None
