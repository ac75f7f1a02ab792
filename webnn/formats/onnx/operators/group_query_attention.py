"""Rotary embeddings, and GroupQueryAttention: query heads share key heads, and a buffer holds the past."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from webnn.errors import DataError
from webnn.formats.onnx.importing.node import OnnxNode
from webnn.formats.onnx.importing.operator_table import MICROSOFT, Imported, imports
from webnn.formats.onnx.importing.problems import UnsupportedNodeError
from webnn.formats.onnx.patterns.folded_movement import reshaped
from webnn.formats.onnx.patterns.layer_normalization import root_mean_square_normalized
from webnn.formats.onnx.patterns.scaled_dot_product import (
    AttentionMask,
    merge_heads,
    scaled_dot_product_attention,
    split_heads,
)
from webnn.graph.operand import MLOperand

__all__: list[str] = []


def _rotated(
    node: OnnxNode, x: MLOperand, cos: MLOperand, sin: MLOperand, *, interleaved: bool, rotated: int = 0
) -> MLOperand:
    """`x`, `[batch, heads, length, size]`, with pairs of its features rotated by an angle.

    `cos` and `sin` broadcast to `[batch, 1, length, pairs]`. Only the first `rotated` features are rotated, if given.
    """
    b, size = node.builder, x.shape[3]
    rotated = rotated or 2 * cos.shape[-1]
    if rotated > size or rotated != 2 * cos.shape[-1]:
        raise DataError(
            f"the caches have {cos.shape[-1]} angles, to rotate {rotated} of {size} features takes {rotated // 2}"
        )
    rest = None
    if rotated < size:
        x, rest = b.split(x, [rotated, size - rotated], axis=3)
    pairs = [*x.shape[:3], rotated // 2]
    if interleaved:
        first, second = (b.reshape(part, pairs) for part in b.split(b.reshape(x, [*pairs, 2]), 2, axis=4))
    else:
        first, second = b.split(x, 2, axis=3)
    real = b.sub(b.mul(first, cos), b.mul(second, sin))
    imaginary = b.add(b.mul(first, sin), b.mul(second, cos))
    if interleaved:
        both = b.concat([b.reshape(part, [*pairs, 1]) for part in (real, imaginary)], 4)
        y = b.reshape(both, x.shape)
    else:
        y = b.concat([real, imaginary], 3)
    return y if rest is None else b.concat([y, rest], 3)


def _at(node: OnnxNode, cache: MLOperand, positions: MLOperand) -> MLOperand:
    """The rows of `cache` at `positions`, `[batch, length]`, with an axis for heads."""
    rows = node.builder.gather(cache, positions)
    return node.builder.reshape(rows, [rows.shape[0], 1, *rows.shape[1:]])


@imports("RotaryEmbedding", since=23)
def rotary_embedding(node: OnnxNode) -> Imported:
    """The angles are looked up by position, or given for each position."""
    x = split_heads(node, node.operand(0), node.get_int("num_heads", 0))
    positions = node.optional(3)
    caches = [node.operand(i) for i in (1, 2)]
    if positions is not None:
        cos, sin = (_at(node, cache, positions) for cache in caches)
    else:
        cos, sin = (reshaped(node, cache, [cache.shape[0], 1, *cache.shape[1:]]) for cache in caches)
    interleaved = bool(node.get_int("interleaved", 0))
    y = _rotated(node, x, cos, sin, interleaved=interleaved, rotated=node.get_int("rotary_embedding_dim", 0))
    return merge_heads(node, y) if node.rank(0) == 3 else y


@imports("RotaryEmbedding", domain=MICROSOFT)
def rotary_embedding_of_onnxruntime(node: OnnxNode) -> Imported:
    """Positions are given for each token, or one number for the first token of all sequences."""
    if node.get_int("is_packed_batching", 0):
        raise UnsupportedNodeError("its sequences are packed", "a batch of sequences of equal length")
    b, x, cache = node.builder, node.operand(0), node.operand(2)
    rotated = node.get_int("rotary_embedding_dim", 0)
    if x.rank == 3:
        heads = node.get_int("num_heads", 0) if rotated else x.shape[2] // (2 * cache.shape[1])
        x = split_heads(node, x, heads)
    batch, length = x.shape[0], x.shape[2]
    positions = node.operand(1)
    if positions.rank < 2:
        first = reshaped(node, positions, [1, 1])
        steps = np.arange(length, dtype=positions.descriptor.dtype).reshape(1, length)
        positions = b.expand(b.add(first, node.constant(steps)), [batch, length])
    cos, sin = (_at(node, node.operand(i), positions) for i in (2, 3))
    y = _rotated(node, x, cos, sin, interleaved=bool(node.get_int("interleaved", 0)), rotated=rotated)
    scale = node.get_float("scale", 1.0)
    y = y if scale == 1 else b.linear(y, alpha=scale)
    return merge_heads(node, y) if node.rank(0) == 3 else y


_Offsets: TypeAlias = "np.ndarray[Any, Any] | MLOperand"
"""For each sequence, the position of its first query: known, or an int32 operand; `[batch, 1]`."""

_NOT_ATTRIBUTES = ("sliding_window_cache", "qk_output")
_NOT_INPUTS = {12: "a quantized past (k_scale)", 13: "a quantized past (v_scale)", 16: "query_seqlens"}


@imports("GroupQueryAttention", domain=MICROSOFT)
def group_query_attention(node: OnnxNode) -> Imported:
    """New keys and values are written into the buffer of the past at the position of each sequence.

    The buffer is as long as the past, or as the total length if that is known now and larger.
    """
    _check_expressible(node)
    b, heads, groups = node.builder, node.get_int("num_heads"), node.get_int("kv_num_heads")
    query, key, value = _parts(node, heads, groups)
    if node.has(14) and node.has(15):
        base = node.get_float("qk_norm_epsilon", 1e-6)
        epsilons = [node.get_float(f"{name}_norm_epsilon", base) for name in "qk"]
        query, key = (
            root_mean_square_normalized(node, x, node.operand(i), 3, epsilon)[0]
            for x, i, epsilon in zip((query, key), (14, 15), epsilons, strict=True)
        )
    offsets = _offsets(node, query.shape[2])
    positions = _positions(node, offsets, query)
    if node.get_int("do_rotary", 0):
        given = node.optional(9)
        cos, sin = (_at(node, node.operand(i), positions if given is None else given) for i in (7, 8))
        interleaved = bool(node.get_int("rotary_interleaved", 0))
        query, key = (_rotated(node, x, cos, sin, interleaved=interleaved) for x in (query, key))
    keys, values = (_present(node, i, x, offsets, positions) for i, x in ((3, key), (4, value)))
    mask = _mask(node, query, keys.shape[2], offsets)
    sink = None
    if node.has(11):
        sink = b.reshape(node.operand(11), [1, heads, 1, 1])
    elif node.get_int("smooth_softmax", -1) == 1:
        sink = b.constant(np.zeros((1, 1, 1, 1), query.descriptor.dtype))
    result = scaled_dot_product_attention(
        node,
        query,
        keys,
        values,
        mask,
        scale=node.get_float("scale", 0.0),
        softcap=node.get_float("softcap", 0.0),
        sink=sink,
    )
    return [merge_heads(node, result.output), keys, values]


def _check_expressible(node: OnnxNode) -> None:
    reasons = [f"{name} {node.get_int(name)}" for name in _NOT_ATTRIBUTES if node.get_int(name, 0)]
    reasons += [what for index, what in _NOT_INPUTS.items() if node.has(index)]
    if reasons:
        raise UnsupportedNodeError(f"it uses {', '.join(reasons)}", "the same node without them")


def _parts(node: OnnxNode, heads: int, groups: int) -> list[MLOperand]:
    """Queries, keys and values, from separate or packed inputs, split into heads."""
    parts = [node.operand(0)]
    if node.has(1) and node.has(2):
        parts += [node.operand(1), node.operand(2)]
    else:
        size = parts[0].shape[2] // (heads + 2 * groups)
        parts = node.builder.split(parts[0], [heads * size, groups * size, groups * size], axis=2)
    return [split_heads(node, x, count) for x, count in zip(parts, (heads, groups, groups), strict=True)]


def _last(node: OnnxNode) -> _Offsets:
    """For each sequence, the position of its last key."""
    known, shape = node.known(5), (node.shape(0)[0], 1)
    if known is not None:
        return known.reshape(shape).astype(np.int32)
    return node.builder.reshape(node.builder.cast(node.operand(5), "int32"), shape)


def _offsets(node: OnnxNode, queries: int) -> _Offsets:
    """The position of the first query: 0 in the first run, which gets the whole prompt."""
    b, last, total = node.builder, _last(node), node.known(6)
    if total is not None and int(total.reshape(-1)[0]) == queries:
        return np.zeros((node.shape(0)[0], 1), np.int32)
    if not isinstance(last, MLOperand):
        if total is not None or queries == 1:
            return last + (1 - queries)
        last = node.constant(last)
    offsets = b.add(last, node.scalar(last, 1 - queries))
    if queries == 1 or total is not None:
        return offsets
    is_first = b.equal(b.reshape(node.operand(6), [1, 1]), node.scalar(node.operand(6), queries))
    return b.where(is_first, node.scalar(offsets, 0), offsets)


def _positions(node: OnnxNode, offsets: _Offsets, query: MLOperand) -> MLOperand:
    """The position of each query, `[batch, queries]`."""
    steps = np.arange(query.shape[2], dtype=np.int32).reshape(1, -1)
    if isinstance(offsets, MLOperand):
        return node.builder.add(offsets, node.constant(steps))
    return node.constant(offsets + steps)


def _present(node: OnnxNode, past: int, x: MLOperand, offsets: _Offsets, positions: MLOperand) -> MLOperand:
    """The buffer with `x` written into it."""
    if not node.has(past) or 0 in node.shape(past):
        return x
    b, buffer = node.builder, node.operand(past)
    total = node.known(6)
    batch, groups, queries, _ = x.shape
    length = max(buffer.shape[2], int(total.reshape(-1)[0]) if total is not None else 0)
    if not isinstance(offsets, MLOperand) and (offsets == offsets[0]).all():
        start = int(offsets[0, 0])
        parts = [b.slice(buffer, [0, 0, 0, 0], [batch, groups, start, x.shape[3]])] if start else []
        parts = [buffer] if start == buffer.shape[2] else parts
        parts.append(x)
        if start + queries < buffer.shape[2]:
            rest = buffer.shape[2] - start - queries
            parts.append(b.slice(buffer, [0, 0, start + queries, 0], [batch, groups, rest, x.shape[3]]))
        return b.concat(parts, 2) if len(parts) > 1 else x
    if length > buffer.shape[2]:
        buffer = b.pad(buffer, [0, 0, 0, 0], [0, 0, length - buffer.shape[2], 0])
    shape = (batch, groups, queries, 1)
    which, head = np.indices(shape, np.int32)[:2]
    row = b.expand(b.reshape(positions, [batch, 1, queries, 1]), shape)
    return b.scatter_nd(buffer, b.concat([node.constant(which), node.constant(head), row], 3), x)


def _mask(node: OnnxNode, query: MLOperand, keys: int, offsets: _Offsets) -> AttentionMask:
    """A query sees the keys up to its own position, and no further back than its window."""
    b, mask = node.builder, AttentionMask(node)
    queries = query.shape[2]
    window = node.get_int("local_window_size", -1)
    i, j = np.arange(queries, dtype=np.int32)[:, None], np.arange(keys, dtype=np.int32)
    if not node.get_int("causal", 1):  # all valid keys; the input is their number minus 1
        i, offsets = np.zeros_like(i), _last(node)
    if isinstance(offsets, MLOperand):
        at = b.add(b.reshape(offsets, [*offsets.shape, 1, 1]), node.constant(i))
        mask.allow(b.lesser_or_equal(node.constant(j), at), query)
        if window > 0:
            mask.allow(b.greater(node.constant(j + window), at), query)
    else:
        known = offsets[:, :, None, None] + i
        mask.allow(j <= known, query)
        if window > 0:
            mask.allow(j + window > known, query)
    if node.has(10):
        bias = node.operand(10)
        missing = keys - bias.shape[3]
        mask.add_bias(bias if not missing else b.pad(bias, [0] * 4, [0, 0, 0, missing]))
    return mask
