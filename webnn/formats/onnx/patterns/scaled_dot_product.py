"""Scaled dot-product attention, over operands of the form `[batch, heads, length, size]`.

The parts of a mask that are known are added up during the import; the others are added to the scores in the graph.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import field
from typing import Any

import numpy as np

from webnn.errors import DataError
from webnn.formats.onnx.importing.node import OnnxNode
from webnn.formats.onnx.patterns.precision import in_float32
from webnn.graph.operand import MLOperand
from webnn.graph.quick_dataclass import dataclass

__all__ = ["AttentionMask", "merge_heads", "scaled_dot_product_attention", "split_heads", "with_past"]


@dataclass
class AttentionMask:
    """The biases that are added to the scores: one known part, and operands."""

    node: OnnxNode
    known: np.ndarray[Any, Any] | None = None
    operands: list[MLOperand] = field(default_factory=list)

    def add_bias(self, bias: np.ndarray[Any, Any] | MLOperand) -> None:
        """Add `bias`, which broadcasts to `[batch, heads, queries, keys]`."""
        if isinstance(bias, MLOperand):
            self.operands.append(bias)
        else:
            self.known = bias if self.known is None else self.known + bias

    def allow(self, allowed: np.ndarray[Any, Any] | MLOperand, like: MLOperand, otherwise: float = -math.inf) -> None:
        """Add `otherwise` where `allowed` is 0."""
        if isinstance(allowed, MLOperand):
            zero, hidden = self.node.scalar(like, 0), self.node.scalar(like, otherwise)
            self.add_bias(self.node.builder.where(_as_condition(self.node, allowed), zero, hidden))
        elif not allowed.all():
            self.add_bias(np.where(allowed, 0.0, otherwise).astype(np.float32))

    def applied_to(self, scores: MLOperand) -> MLOperand:
        """The masked scores."""
        for bias in self._all(scores):
            scores = self.node.builder.add(scores, bias)
        return scores

    def _all(self, like: MLOperand) -> list[MLOperand]:
        known = [] if self.known is None else [self.node.constant(self.known.astype(like.descriptor.dtype))]
        return [*known, *self.operands]

    def without_fully_masked_rows(self, shares: MLOperand) -> MLOperand:
        """The shares, with 0 in rows of queries that may see no key."""
        if not self.operands and (self.known is None or not np.isneginf(self.known).all(-1).any()):
            return shares
        b, total = self.node.builder, None
        for bias in self._all(shares):
            total = bias if total is None else b.add(total, bias)
        assert total is not None
        best = b.reduce_max(total, axes=[total.rank - 1], keep_dimensions=True)
        return b.where(b.equal(best, self.node.scalar(best, -math.inf)), self.node.scalar(shares, 0), shares)


def _as_condition(node: OnnxNode, mask: MLOperand) -> MLOperand:
    return mask if mask.data_type == "uint8" else node.builder.cast(mask, "uint8")


def split_heads(node: OnnxNode, x: MLOperand, heads: int) -> MLOperand:
    """`[batch, length, heads * size]` as `[batch, heads, length, size]`; four dimensions stay."""
    if x.rank == 4:
        return x
    if x.rank != 3 or heads < 1 or x.shape[2] % heads:
        raise DataError(f"{list(x.shape)} cannot be divided into {heads} heads")
    b = node.builder
    return b.transpose(b.reshape(x, [*x.shape[:2], heads, x.shape[2] // heads]), permutation=[0, 2, 1, 3])


def merge_heads(node: OnnxNode, x: MLOperand) -> MLOperand:
    """`[batch, heads, length, size]` as `[batch, length, heads * size]`."""
    batch, heads, length, size = x.shape
    return node.builder.reshape(node.builder.transpose(x, permutation=[0, 2, 1, 3]), [batch, length, heads * size])


def with_past(node: OnnxNode, past: int, x: MLOperand) -> MLOperand:
    """`x` behind the past keys or values, if input `past` is given and not empty."""
    if not node.has(past) or 0 in node.shape(past):
        return x
    return node.builder.concat([node.operand(past), x], 2)


@dataclass(frozen=True, slots=True)
class AttentionResult:
    """The output of attention, and its intermediate results."""

    output: MLOperand
    stages: Sequence[MLOperand]
    """The scores, those after softcap, those with the mask, and the softmax of these."""


def scaled_dot_product_attention(
    node: OnnxNode,
    query: MLOperand,
    key: MLOperand,
    value: MLOperand,
    mask: AttentionMask,
    *,
    scale: float = 0.0,
    softcap: float = 0.0,
    sink: MLOperand | None = None,
    softmax_in_float32: bool = False,
    fully_masked_rows: bool = False,
) -> AttentionResult:
    """The values, weighted by the softmax of the products of queries and keys.

    Args:
        node: the node to import.
        query: `[batch, heads, queries, size]`.
        key: `[batch, key heads, keys, size]`; consecutive query heads may share one.
        value: `[batch, key heads, keys, value size]`.
        mask: the biases of the scores.
        scale: the factor of the products. Default: 1 / sqrt(size).
        softcap: the bound of the scores, by a hyperbolic tangent; 0: none.
        sink: a score without a value, which only takes its share; it broadcasts to `[batch, heads, queries, 1]`.
        softmax_in_float32: whether the softmax is in float32.
        fully_masked_rows: whether the mask may hide all keys from a query, whose output is 0 then.
    """
    b = node.builder
    batch, heads, queries, size = query.shape
    groups, keys = key.shape[1:3]
    if groups < 1 or heads % groups:
        raise DataError(f"{heads} query heads cannot share {groups} key heads evenly")
    query = b.linear(query, alpha=scale or 1 / math.sqrt(size))
    # Query heads that share a key head become rows of one matrix, so that no key is copied.
    rows = heads // groups * queries
    stacked = query if heads == groups else b.reshape(query, [batch, groups, rows, size])
    scores = b.matmul(stacked, b.transpose(key, permutation=[0, 1, 3, 2]))
    scores = scores if heads == groups else b.reshape(scores, [batch, heads, queries, keys])
    capped = scores if not softcap else b.linear(b.tanh(b.linear(scores, alpha=1 / softcap)), alpha=softcap)
    masked = mask.applied_to(capped)
    exponents = in_float32(node, masked) if softmax_in_float32 else masked
    if sink is None:
        shares = b.softmax(exponents, 3)
    else:
        column = b.expand(sink, [batch, heads, queries, 1])
        shares = b.slice(b.softmax(b.concat([exponents, column], 3), 3), [0, 0, 0, 0], masked.shape)
    shares = shares if shares.data_type == query.data_type else b.cast(shares, query.data_type)
    if fully_masked_rows:
        shares = mask.without_fully_masked_rows(shares)
    weights = shares if heads == groups else b.reshape(shares, [batch, groups, rows, keys])
    output = b.matmul(weights, value)
    output = output if heads == groups else b.reshape(output, [batch, heads, queries, value.shape[3]])
    return AttentionResult(output, (scores, capped, masked, shares))
