"""How much work a graph is for onnxruntime, which decides whether it gets more than one thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.direct import direct_builder
from webnn.backends.onnxruntime.threads import SMALL_WORK, is_small, work
from webnn.graph.builder import MLGraphBuilder
from webnn.graph.composites.top_k import largest_or_smallest
from webnn.graph.operand import MLOperand

Builder = MLGraphBuilder[Any]


def work_of(build: Callable[[Builder, MLOperand], MLOperand], *shape: int) -> int:
    b = direct_builder(composites=("top_k",))
    return work(b.build({"y": build(b, b.input("x", shape, "float32"))}))


def test_products_count_their_multiply_adds() -> None:
    assert work_of(lambda b, x: b.matmul(x, b.constant(np.ones((8, 4), np.float32))), 3, 8) == 3 * 8 * 4


@pytest.mark.parametrize("op", ["gelu", "tanh", "sigmoid", "cos", "softplus"])
def test_costly_functions_of_many_elements_get_threads_and_cheap_ones_of_as_many_do_not(op: str) -> None:
    assert work_of(lambda b, x: getattr(b, op)(x), 256, 256) > SMALL_WORK
    assert work_of(lambda b, x: b.relu(x), 256, 256) < SMALL_WORK
    assert work_of(lambda b, x: b.relu(x), 1024, 256) > SMALL_WORK


def test_many_small_operators_are_little_work() -> None:
    def chain(b: Builder, x: MLOperand) -> MLOperand:
        for _ in range(500):
            x = b.tanh(x)
        return x

    assert work_of(chain, 1, 256) < SMALL_WORK


def test_rows_are_sorted_side_by_side_and_a_single_one_is_not() -> None:
    def top(b: Builder, x: MLOperand) -> MLOperand:
        return largest_or_smallest(b, x, k=10, axis=1, largest=True)[0]

    assert work_of(top, 8, 2000) > SMALL_WORK
    assert work_of(top, 1, 16000) < SMALL_WORK


@pytest.mark.parametrize(("rows", "small"), [(1, True), (64, True), (200, False), (4000, False)])
def test_a_graph_is_small_if_its_work_is(rows: int, small: bool) -> None:
    b = direct_builder()
    x = b.input("x", (rows, 256), "float32")
    graph = b.build({"y": b.relu(b.relu(x))})
    assert is_small(graph) is small
    assert (work(graph) < SMALL_WORK) is small
