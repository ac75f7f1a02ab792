"""Attention of the ONNX standard and of ONNX Runtime, with the masks that each of them defines."""

from __future__ import annotations

import math

import numpy as np

from webnn.errors import DataError
from webnn.formats.onnx.importing.data_types import data_type_for
from webnn.formats.onnx.importing.node import OnnxNode
from webnn.formats.onnx.importing.operator_table import MICROSOFT, Imported, imports
from webnn.formats.onnx.importing.problems import UnsupportedNodeError
from webnn.formats.onnx.patterns.folded_movement import sliced
from webnn.formats.onnx.patterns.scaled_dot_product import (
    AttentionMask,
    merge_heads,
    scaled_dot_product_attention,
    split_heads,
    with_past,
)
from webnn.graph.operand import MLOperand

__all__: list[str] = []


# The standard's operator.


@imports("Attention", since=23)
def attention(node: OnnxNode) -> Imported:
    """Inputs of three or four dimensions, grouped heads, masks, and past keys and values."""
    flat = node.rank(0) == 3
    query = split_heads(node, node.operand(0), node.get_int("q_num_heads", 0))
    key, value = (split_heads(node, node.operand(i), node.get_int("kv_num_heads", 0)) for i in (1, 2))
    key, value = with_past(node, 4, key), with_past(node, 5, value)
    mask, keys = AttentionMask(node), key.shape[2]
    if node.has(3):
        _add_given_mask(node, mask, query, keys)
    _add_causal_and_window(node, mask, query, keys)
    result = scaled_dot_product_attention(
        node,
        query,
        key,
        value,
        mask,
        scale=node.get_float("scale", 0.0),
        softcap=node.get_float("softcap", 0.0),
        softmax_in_float32=bool(node.get_int("softmax_precision", 0)) and _precision(node) == "float32",
        fully_masked_rows=True,
    )
    mode = node.get_int("qk_matmul_output_mode", 0)
    if not 0 <= mode <= 3:
        raise DataError(f"qk_matmul_output_mode must be 0 to 3, got {mode}")
    output = merge_heads(node, result.output) if flat else result.output
    return [output, key, value, result.stages[mode]]


def _precision(node: OnnxNode) -> str:
    return data_type_for(node.get_int("softmax_precision"))


def _add_given_mask(node: OnnxNode, mask: AttentionMask, query: MLOperand, keys: int) -> None:
    """Add the mask input, boolean (held by uint8) or additive. It may cover fewer keys than there are."""
    known = node.known(3)
    if known is not None:
        missing = [(0, 0)] * (known.ndim - 1) + [(0, keys - known.shape[-1])]
        if known.dtype == np.bool_:
            mask.allow(np.pad(known, missing), query)
        else:
            mask.add_bias(np.pad(known.astype(np.float32), missing, constant_values=-np.inf))
        return
    given, is_bool = node.operand(3), node.data_type(3) == "uint8"
    missing_keys = keys - given.shape[-1]
    if missing_keys:
        before, after = [0] * given.rank, [0] * (given.rank - 1) + [missing_keys]
        given = node.builder.pad(given, before, after, value=0 if is_bool else -math.inf)
    if is_bool:
        mask.allow(given, query)
    else:
        mask.add_bias(given)


def _add_causal_and_window(node: OnnxNode, mask: AttentionMask, query: MLOperand, keys: int) -> None:
    """Hide later keys if attention is causal, keys outside the window, and keys that are padding."""
    causal = bool(node.get_int("is_causal", 0))
    left, right = node.get_int("left_window_size", -1), node.get_int("right_window_size", -1)
    right = 0 if causal else right
    batch, queries = query.shape[0], query.shape[2]
    i, j = np.arange(queries)[:, None], np.arange(keys)[None]
    if not node.has(6):
        at = i + (node.shape(4)[2] if node.has(4) else 0)
        if right >= 0:
            mask.allow(j <= at + right, query)
        if left >= 0:
            mask.allow(j >= at - left, query)
        return
    lengths = node.known(6)
    if lengths is not None:
        valid = lengths.reshape(-1, 1, 1, 1).astype(np.int64)
        at = i + valid - queries
        mask.allow(j < valid, query)
        if right >= 0:
            mask.allow(j <= at + right, query)
        if left >= 0:
            mask.allow(j >= at - left, query)
        return
    b = node.builder
    valid_operand = b.reshape(b.cast(node.operand(6), "int32"), [batch, 1, 1, 1])
    places = node.constant(j.astype(np.int32))
    mask.allow(b.lesser(places, valid_operand), query)
    if right >= 0:
        last = b.add(valid_operand, node.constant((i - queries + right).astype(np.int32)))
        mask.allow(b.lesser_or_equal(places, last), query)
    if left >= 0:
        first = b.add(valid_operand, node.constant((i - queries - left).astype(np.int32)))
        mask.allow(b.greater_or_equal(places, first), query)


# ONNX Runtime's operators.


def _add_padding(node: OnnxNode, mask: AttentionMask, index: int, query: MLOperand, keys: int) -> None:
    """Add an integer mask: a flag for each key, or the number of valid keys of each sequence."""
    b, shape = node.builder, node.shape(index)
    batch, queries = query.shape[0], query.shape[2]
    otherwise = node.get_float("mask_filter_value", -10000.0)
    if len(shape) == 1:
        if shape[0] not in (batch, 2 * batch):
            raise UnsupportedNodeError(
                f"its mask {list(shape)} describes packed sequences", "a mask [batch] or [batch, keys]"
            )
        places = node.constant(np.arange(keys, dtype=np.int32).reshape(1, 1, 1, keys))
        bounds = b.reshape(node.operand(index), [shape[0] // batch, batch, 1, 1, 1])
        parts = b.split(bounds, shape[0] // batch) if shape[0] > batch else [bounds]
        end, *start = (b.reshape(part, [batch, 1, 1, 1]) for part in parts)
        inside = b.lesser(places, end)
        if start:
            inside = b.logical_and(inside, b.greater_or_equal(places, start[0]))
        mask.allow(inside, query, otherwise)
        return
    if len(shape) == 4:
        given = b.slice(node.operand(index), [0, 0, keys - queries, 0], [batch, shape[1], queries, keys])
    else:
        given = b.reshape(node.operand(index), [shape[0], 1, *([1] if len(shape) == 2 else []), *shape[1:]])
    mask.allow(b.greater(given, node.scalar(given, 0)), query, otherwise)


def _add_causal(node: OnnxNode, mask: AttentionMask, query: MLOperand, keys: int, past: int) -> None:
    """Hide later keys, but none from the last query, as in ONNX Runtime: it matters where there are more keys."""
    if node.get_int("unidirectional", 0):
        last = np.arange(query.shape[2])[:, None] + past
        last[-1] = keys
        mask.allow(np.arange(keys)[None] <= last, query)


@imports("Attention", domain=MICROSOFT)
def attention_of_onnxruntime(node: OnnxNode) -> Imported:
    """Projects the input to queries, keys and values first, which may differ in size."""
    for name in ("do_rotary", "past_present_share_buffer"):
        if node.get_int(name, 0):
            raise UnsupportedNodeError(f"it sets {name}", "RotaryEmbedding, and a past that grows")
    b, heads = node.builder, node.get_int("num_heads")
    projected = b.matmul(node.operand(0), node.operand(1))
    if node.has(2):
        projected = b.add(projected, node.operand(2))
    sizes = node.find_ints("qkv_hidden_sizes") or [projected.shape[2] // 3] * 3
    query, key, value = (split_heads(node, part, heads) for part in b.split(projected, sizes, axis=2))
    if node.has(4) and 0 not in node.shape(4):
        past = [b.reshape(part, part.shape[1:]) for part in b.split(node.operand(4), 2)]
        key, value = (b.concat([before, now], 2) for before, now in zip(past, (key, value), strict=True))
    mask = AttentionMask(node)
    if node.has(3):
        _add_padding(node, mask, 3, query, key.shape[2])
    _add_causal(node, mask, query, key.shape[2], key.shape[2] - query.shape[2])
    if node.has(5):
        mask.add_bias(node.operand(5))
    result = scaled_dot_product_attention(node, query, key, value, mask, scale=node.get_float("scale", 0.0))
    present = None
    if node.reads(1):
        present = b.concat([b.reshape(x, [1, *x.shape]) for x in (key, value)], 0)
    return [merge_heads(node, result.output), present]


@imports("MultiHeadAttention", domain=MICROSOFT)
def multi_head_attention(node: OnnxNode) -> Imported:
    """Separate or packed queries, keys and values, with a bias, masks, and past keys and values."""
    if node.has(8) or node.has(9):
        raise UnsupportedNodeError("its past and its present share one buffer", "a past that grows")
    if node.reads(3):
        raise UnsupportedNodeError("its output of attention scores is read", "Attention of opset 23")
    query, key, value = _queries_keys_values(node)
    key, value = with_past(node, 6, key), with_past(node, 7, value)
    mask = AttentionMask(node)
    if node.has(4):
        _add_padding(node, mask, 4, query, key.shape[2])
    _add_causal(node, mask, query, key.shape[2], node.shape(6)[2] if node.has(6) else 0)
    if node.has(5):
        mask.add_bias(node.operand(5))
    result = scaled_dot_product_attention(node, query, key, value, mask, scale=node.get_float("scale", 0.0))
    return [merge_heads(node, result.output), key, value]


def _queries_keys_values(node: OnnxNode) -> tuple[MLOperand, MLOperand, MLOperand]:
    """Queries, keys and values, with their bias and split into heads, from packed or separate inputs."""
    b, heads = node.builder, node.get_int("num_heads")
    query = node.operand(0)
    if query.rank == 5:
        parts = _unpacked(node, query)
    elif node.has(1) and node.rank(1) == 5:
        parts = [query, *_unpacked(node, node.operand(1))]
    elif node.has(1) and node.has(2):
        parts = [query, node.operand(1), node.operand(2)]
    else:
        raise DataError(f"the query {list(query.shape)} is not packed, so key and value are expected as inputs 1 and 2")
    bias = node.optional(3)
    if bias is not None:
        start = 0
        for i, x in enumerate(parts):
            size = x.shape[2] if x.rank == 3 else x.shape[1] * x.shape[3]
            if x.rank == 3:  # keys and values of four dimensions have their bias already
                parts[i] = b.add(x, sliced(node, bias, 0, start, size))
            start += size
    query, key, value = (split_heads(node, x, heads) for x in parts)
    return query, key, value


def _unpacked(node: OnnxNode, packed: MLOperand) -> list[MLOperand]:
    """The parts of `[batch, length, heads, parts, size]`, each `[batch, length, heads * size]`."""
    batch, length, heads, parts, size = packed.shape
    return [
        node.builder.reshape(part, [batch, length, heads * size]) for part in node.builder.split(packed, parts, axis=3)
    ]
