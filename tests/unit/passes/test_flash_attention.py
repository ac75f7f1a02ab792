"""Attention over many positions, as onnxruntime's operator that does not keep the scores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.direct import direct_builder, run_graph
from webnn.backends.onnxruntime.backend import OnnxRuntimeBackend
from webnn.backends.onnxruntime.passes.flash_attention import flash_attention
from webnn.graph.builder import MLGraphBuilder
from webnn.graph.composites.composite import expanded
from webnn.graph.ir import Graph
from webnn.graph.operand import MLOperand

Builder = MLGraphBuilder[Graph]
Scaling = Callable[[Builder, MLOperand, MLOperand], tuple[MLOperand, MLOperand, Callable[[MLOperand], MLOperand]]]

LENGTH, HEADS, SIZE = 512, 2, 8
SHAPE = [1, LENGTH, HEADS * SIZE]


def the_scores(b: Builder, q: MLOperand, k: MLOperand) -> Any:
    return q, k, lambda scores: b.div(scores, b.constant("float32", SIZE**0.5))


def the_queries(b: Builder, q: MLOperand, k: MLOperand) -> Any:
    return b.linear(q, alpha=SIZE**-0.5), k, lambda scores: scores


def both_operands(b: Builder, q: MLOperand, k: MLOperand) -> Any:
    root = b.constant("float32", SIZE**-0.25)
    return b.mul(q, root), b.mul(root, k), lambda scores: scores


def attention(scaled: Scaling = the_scores, *, rows: bool = True, merged: bool = True, **changes: Any) -> Graph:
    """Attention over `[1, length, heads * size]`, or over `[1, heads, length, size]`, as programs write it."""
    b = direct_builder()
    shape = SHAPE if rows else [1, HEADS, LENGTH, SIZE]
    inputs = [b.input(name, shape, "float32") for name in ("q", "k", "v")]
    if rows:
        split = [b.reshape(x, [1, LENGTH, HEADS, SIZE]) for x in inputs]
        inputs = [b.transpose(x, permutation=[0, 2, 1, 3]) for x in split]
    q, k, then = scaled(b, inputs[0], inputs[1])
    scores = then(b.matmul(q, b.transpose(k, permutation=[0, 1, 3, 2])))
    if changes.get("mask"):
        scores = b.add(scores, b.input("mask", [1, 1, LENGTH, LENGTH], "float32"))
    shares = b.softmax(scores, changes.get("axis", 3))
    y = b.matmul(shares, inputs[2])
    if merged:
        y = b.reshape(b.transpose(y, permutation=[0, 2, 1, 3]), SHAPE)
    outputs = {"y": y, **({"shares": shares} if changes.get("read_shares") else {})}
    return b.build(outputs)


def ops(graph: Graph) -> list[str]:
    return [node.op for node in graph.nodes]


@pytest.mark.parametrize("scaled", [the_scores, the_queries, both_operands])
@pytest.mark.parametrize("rows", [True, False])
@pytest.mark.parametrize("merged", [True, False])
def test_attention_is_one_operator_with_the_same_result(scaled: Scaling, rows: bool, merged: bool) -> None:
    graph = attention(scaled, rows=rows, merged=merged)
    prepared = flash_attention(graph)
    assert "multi_head_attention" in ops(prepared)
    assert "softmax" not in ops(prepared)
    if rows and merged:
        assert ops(prepared) == ["multi_head_attention"]
    generator = np.random.default_rng(0)
    feeds = {n: generator.standard_normal(o.shape, np.float32) for n, o in graph.inputs.items()}
    backend = OnnxRuntimeBackend()
    found, spelled_out = (run_graph(each, feeds, backend)["y"] for each in (graph, expanded(prepared)))
    np.testing.assert_allclose(found, spelled_out, rtol=2e-5, atol=2e-6)
    np.testing.assert_allclose(found, exact(feeds, rows, merged), rtol=2e-5, atol=2e-6)


def exact(feeds: dict[str, np.ndarray[Any, Any]], rows: bool, merged: bool) -> np.ndarray[Any, Any]:
    """The result in float64."""
    q, k, v = (x.astype(np.float64) for x in feeds.values())
    if rows:
        q, k, v = (x.reshape(1, LENGTH, HEADS, SIZE).transpose(0, 2, 1, 3) for x in (q, k, v))
    scores = q @ k.transpose(0, 1, 3, 2) / SIZE**0.5
    shares = np.exp(scores - scores.max(-1, keepdims=True))
    y = shares / shares.sum(-1, keepdims=True) @ v
    return np.asarray(y.transpose(0, 2, 1, 3).reshape(SHAPE) if merged else y)


@pytest.mark.parametrize("changes", [{"mask": True}, {"axis": 2}, {"read_shares": True}])
def test_what_onnxruntime_computes_with_scores_anyway_is_left_as_it_is(changes: dict[str, Any]) -> None:
    graph = attention(**changes)
    assert flash_attention(graph) is graph


def test_few_positions_are_left_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webnn.backends.onnxruntime.passes.flash_attention._SCORES", LENGTH * LENGTH + 1)
    graph = attention()
    assert flash_attention(graph) is graph


def test_heads_that_share_a_key_are_left_as_they_are() -> None:
    b = direct_builder()
    q = b.input("q", [1, HEADS, LENGTH, SIZE], "float32")
    k = b.input("k", [1, 1, LENGTH, SIZE], "float32")
    shares = b.softmax(b.matmul(q, b.transpose(k, permutation=[0, 1, 3, 2])), 3)
    graph = b.build({"y": b.matmul(shares, k)})
    assert flash_attention(graph) is graph


def test_keys_whose_heads_are_split_and_transposed_at_once_are_found() -> None:
    b = direct_builder()
    q, k, v = (b.reshape(b.input(name, SHAPE, "float32"), [1, LENGTH, HEADS, SIZE]) for name in "qkv")
    query, value = (b.transpose(x, permutation=[0, 2, 1, 3]) for x in (q, v))
    shares = b.softmax(b.matmul(query, b.transpose(k, permutation=[0, 2, 3, 1])), 3)
    y = b.reshape(b.transpose(b.matmul(shares, value), permutation=[0, 2, 1, 3]), SHAPE)
    assert ops(flash_attention(b.build({"y": y}))) == ["multi_head_attention"]


@pytest.mark.parametrize("side", ["query", "key"])
def test_a_factor_that_adds_a_dimension_is_no_mere_scale(side: str) -> None:
    b = direct_builder()
    one = b.constant(np.full((1, 1, 1, 1), 0.5, np.float32))
    x = b.input("x", [LENGTH, SIZE], "float32")
    four = b.mul(x, one)
    other = b.input("y", [1, 1, LENGTH, SIZE], "float32")
    query, key = (four, other) if side == "query" else (other, four)
    shares = b.softmax(b.matmul(query, b.transpose(key, permutation=[0, 1, 3, 2])), 3)
    graph = b.build({"z": b.matmul(shares, other)})
    generator = np.random.default_rng(0)
    feeds = {n: generator.standard_normal(o.shape, np.float32) for n, o in graph.inputs.items()}
    backend = OnnxRuntimeBackend()
    found, spelled_out = (run_graph(each, feeds, backend)["z"] for each in (graph, expanded(flash_attention(graph))))
    np.testing.assert_allclose(found, spelled_out, rtol=2e-5, atol=2e-6)
