"""Which graphs can compute several requests at once, why the others cannot, and the graph that does."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pytest

from tests.direct import direct_builder, run_graph
from webnn.backends.arrays.backend import ArraysBackend
from webnn.errors import ValidationError
from webnn.graph.batching import REPEATED_BYTES, RULES, stacked, why_not_separable
from webnn.graph.builder import MLGraphBuilder
from webnn.graph.ir import Graph
from webnn.graph.operand import MLOperand

Builder = MLGraphBuilder[Graph]
RNG: Final = np.random.default_rng(3)


def numbers(*shape: int) -> np.ndarray[Any, Any]:
    return RNG.standard_normal(shape).astype(np.float32)


def graph_of(build: Callable[[Builder, MLOperand], MLOperand], shape: tuple[int, ...], dtype: Any = "float32") -> Graph:
    builder = direct_builder()
    return builder.build({"y": build(builder, builder.input("x", shape, dtype))})


def attention(b: Builder, x: MLOperand) -> MLOperand:
    """One block of a transformer that merges the rows of all requests for its products, as exporters write it."""

    def linear(x: MLOperand) -> MLOperand:
        return b.gemm(x, b.constant(numbers(8, 8)), c=b.constant(numbers(8)), b_transpose=True)

    def by_head(x: MLOperand) -> MLOperand:
        return b.transpose(b.reshape(x, [1, 5, 2, 4]), permutation=[0, 2, 1, 3])

    rows = b.add(b.reshape(x, [5, 8]), b.constant(numbers(5, 8)))
    query, key, value = (by_head(linear(rows)) for _ in range(3))
    scores = b.softmax(b.matmul(query, b.transpose(key, permutation=[0, 1, 3, 2])), 3)
    seen = b.reshape(b.transpose(b.matmul(scores, value), permutation=[0, 2, 1, 3]), [5, 8])
    return b.reshape(b.layer_normalization(b.add(rows, linear(seen)), axes=[1]), [1, 5, 8])


def class_token(b: Builder, x: MLOperand) -> MLOperand:
    """A constant row before the rows of each request."""
    return b.concat([b.constant(numbers(1, 1, 8)), x], 1)


def image(b: Builder, x: MLOperand) -> MLOperand:
    y = b.conv2d(x, b.constant(numbers(6, 3, 3, 3)), bias=b.constant(numbers(6)), padding=[1, 1, 1, 1])
    y = b.batch_normalization(y, b.constant(numbers(6)), b.constant(numbers(6) ** 2 + 1))
    y = b.max_pool2d(b.relu(y), window_dimensions=[2, 2], strides=[2, 2])
    y = b.resample2d(y, scales=[2.0, 2.0])
    return b.reshape(b.reduce_mean(y, axes=[2, 3]), [1, 6])


SEPARABLE: Final[dict[str, tuple[Callable[[Builder, MLOperand], MLOperand], tuple[int, ...]]]] = {
    "an MLP": (lambda b, x: b.relu(b.matmul(x, b.constant(numbers(8, 4)))), (1, 8)),
    "an MLP on three rows": (lambda b, x: b.gemm(x, b.constant(numbers(8, 4)), c=b.constant(numbers(3, 4))), (3, 8)),
    "attention": (attention, (1, 5, 8)),
    "a class token": (class_token, (1, 4, 8)),
    "an image": (image, (1, 3, 4, 4)),
    "a cell": (
        lambda b, x: b.gru_cell(
            x, b.constant(numbers(12, 8)), b.constant(numbers(12, 4)), b.constant(numbers(1, 4)), 4
        ),
        (1, 8),
    ),
    "scaled by row": (lambda b, x: b.mul(x, b.reduce_max(x, axes=[1], keep_dimensions=True)), (2, 8)),
}


@pytest.mark.parametrize("name", SEPARABLE)
def test_a_separable_graph_gives_for_stacked_requests_what_it_gives_for_each(name: str) -> None:
    build, shape = SEPARABLE[name]
    graph = graph_of(build, shape)
    assert why_not_separable(graph) is None
    requests = [numbers(*shape) for _ in range(4)]
    together = run_graph(stacked(graph, 4), {"x": np.concatenate(requests)}, ArraysBackend())["y"]
    expected = np.concatenate([run_graph(graph, {"x": x}, ArraysBackend())["y"] for x in requests])
    np.testing.assert_allclose(together, expected, rtol=1e-5, atol=1e-5)


def test_an_embedding_looks_up_the_tokens_of_each_request() -> None:
    graph = graph_of(lambda b, x: b.gather(b.constant(numbers(10, 4)), x), (1, 3), "int32")
    assert why_not_separable(graph) is None
    assert stacked(graph, 5).output_descriptors["y"].shape == (5, 3, 4)


REASONS: Final[dict[str, tuple[Callable[[Builder, MLOperand], MLOperand], tuple[int, ...]]]] = {
    r"^\[mixing\] softmax works along dimension 0": (lambda b, x: b.softmax(x, 0, label="mixing"), (1, 8)),
    r"^reduce_sum works along dimension 0": (lambda b, x: b.reduce_sum(x), (1, 8)),
    r"^transpose moves dimension 0: its permutation is \[1, 0\]": (lambda b, x: b.transpose(x), (1, 8)),
    r"^concat works along dimension 0": (lambda b, x: b.concat([x, x], 0), (1, 8)),
    r"^expand broadcasts \[1, 8\] along dimension 0 to \[5, 8\]": (lambda b, x: b.expand(x, [5, 8]), (1, 8)),
    r"^matmul has a b that depends on the inputs": (
        lambda b, x: b.matmul(b.transpose(b.constant(numbers(8, 2))), x),
        (8, 3),
    ),
    r"^gemm sums over dimension 0 of a": (
        lambda b, x: b.gemm(x, b.constant(numbers(2, 3)), a_transpose=True),
        (2, 8),
    ),
    r"^conv2d has a filter that depends on the inputs": (lambda b, x: b.conv2d(x, x), (1, 3, 4, 4)),
    r"^add broadcasts \[1, 8\] along dimension 0 to \[5, 8\]": (
        lambda b, x: b.add(x, b.constant(numbers(5, 8))),
        (1, 8),
    ),
    r"^slice takes a part of dimension 0": (lambda b, x: b.slice(x, [1, 0], [1, 8]), (2, 8)),
    r"^pad pads dimension 0": (lambda b, x: b.pad(x, [1, 0], [0, 0]), (2, 8)),
    r"^tile repeats dimension 0": (lambda b, x: b.tile(x, [2, 1]), (2, 8)),
    r"^triangular masks dimension 0": (lambda b, x: b.triangular(x), (2, 8)),
    r"^reshape makes a scalar": (lambda b, x: b.reshape(x, []), (1, 1)),
    r"^input 'x' is a scalar": (lambda b, x: b.relu(x), ()),
    r"^gather has indices \[1\] that depend on the inputs, and an input \[1, 8\]": (
        lambda b, x: b.gather(x, b.cast(b.reduce_max(x, axes=[1]), "int32"), axis=1),
        (1, 8),
    ),
    r"^scatter_nd has indices that count from the start of dimension 0": (
        lambda b, x: b.scatter_nd(x, b.constant(np.zeros((1, 1), np.int32)), b.constant(numbers(1, 8))),
        (2, 8),
    ),
    r"^lstm has its batch in dimension 1": (
        lambda b, x: b.lstm(x, b.constant(numbers(1, 8, 3)), b.constant(numbers(1, 8, 2)), 2, 2)[0],
        (2, 1, 3),
    ),
}


@pytest.mark.parametrize("reason", REASONS)
def test_the_reason_names_the_operator(reason: str) -> None:
    build, shape = REASONS[reason]
    graph = graph_of(build, shape)
    assert re.search(reason, why_not_separable(graph) or "separable")
    with pytest.raises(ValidationError, match="the graph is not separable: " + reason.removeprefix("^")):
        stacked(graph, 2)


def test_an_output_that_is_constant_is_not_separable() -> None:
    builder = direct_builder()
    x = builder.input("x", [1, 2], "float32")
    graph = builder.build({"y": builder.relu(x), "z": builder.relu(builder.constant(numbers(1, 2)))})
    assert why_not_separable(graph) == "output 'z' does not depend on an input"


def test_a_large_constant_is_not_repeated() -> None:
    rows = REPEATED_BYTES // 4 // 2 + 1
    graph = graph_of(lambda b, x: b.add(x, b.constant(numbers(rows, 2))), (rows, 2))
    assert f"at most {REPEATED_BYTES} bytes are repeated" in (why_not_separable(graph) or "")


def test_an_operator_without_a_rule_is_not_separable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(RULES, "relu")
    graph = graph_of(lambda b, x: b.relu(x), (1, 2))
    assert why_not_separable(graph) == "relu is not known to compute each request by itself"


def test_the_constants_are_the_same_arrays() -> None:
    graph = graph_of(*SEPARABLE["an MLP"])
    assert stacked(graph, 8).constants == graph.constants


def test_a_tensor_that_would_be_too_large_is_refused() -> None:
    graph = graph_of(lambda b, x: b.relu(x), (2**18, 2**10))
    with pytest.raises(ValidationError, match="takes 4294967296 bytes"):
        stacked(graph, 4)
