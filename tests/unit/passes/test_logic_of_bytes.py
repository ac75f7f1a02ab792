"""Logic of truth values that a graph is given, or has made."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.direct import direct_builder, run_graph
from webnn.backends.onnxruntime.backend import OnnxRuntimeBackend
from webnn.backends.onnxruntime.passes.logic_of_bytes import logic_of_bytes
from webnn.graph.ir import Graph

MANY = [8, 512]
A = np.random.default_rng(0).choice(np.array([0, 1, 2, 16, 255], np.uint8), MANY)
B = np.random.default_rng(1).choice(np.array([0, 1, 2, 16, 255], np.uint8), MANY)
BACKEND = OnnxRuntimeBackend()


def ops(graph: Graph) -> list[str]:
    return [node.op for node in logic_of_bytes(graph).nodes]


def test_every_number_but_0_is_true() -> None:
    builder = direct_builder()
    a, b = (builder.input(name, MANY, "uint8") for name in "ab")
    row = builder.slice(b, [0, 0], [1, MANY[1]])
    made: dict[str, Any] = {
        "and": builder.logical_and(a, b),
        "or": builder.logical_or(a, b),
        "not": builder.logical_not(a),
        "row": builder.logical_or(a, row),
        "chain": builder.logical_not(builder.logical_and(builder.logical_or(a, b), row)),
    }
    graph = builder.build(made)
    assert ops(graph) == [
        *("min", "not_equal", "max", "not_equal", "equal"),
        *("slice", "max", "not_equal", "max", "min", "equal"),
    ]
    found = run_graph(logic_of_bytes(graph), {"a": A, "b": B}, BACKEND)
    x, y = A != 0, B != 0
    wanted = {"and": x & y, "or": x | y, "not": ~x, "row": x | y[:1], "chain": ~((x | y) & y[:1])}
    for name, each in wanted.items():
        assert found[name].dtype == np.uint8
        np.testing.assert_array_equal(found[name], each)


@pytest.mark.parametrize("op", ["logical_and", "logical_or"])
def test_logic_of_comparisons_is_left_alone(op: str) -> None:
    builder = direct_builder()
    x, mask = builder.input("x", MANY, "float32"), builder.input("mask", MANY, "uint8")
    above = builder.greater(x, builder.constant("float32", 0))
    below = builder.logical_not(above)
    graph = builder.build({"y": getattr(builder, op)(above, mask), "z": getattr(builder, op)(mask, below)})
    assert logic_of_bytes(graph) is graph


def test_few_truth_values_are_left_alone() -> None:
    builder = direct_builder()
    graph = builder.build({"y": builder.logical_not(builder.input("x", [64], "uint8"))})
    assert logic_of_bytes(graph) is graph


def test_a_condition_may_be_made_of_bytes() -> None:
    builder = direct_builder()
    a, b = (builder.input(name, MANY, "uint8") for name in "ab")
    x = builder.input("x", MANY, "float32")
    chosen = builder.where(builder.logical_and(a, builder.logical_not(b)), x, builder.constant("float32", -1))
    numbers = np.arange(A.size, dtype=np.float32).reshape(MANY)
    found = run_graph(builder.build({"y": chosen}), {"a": A, "b": B, "x": numbers}, BACKEND)["y"]
    np.testing.assert_array_equal(found, np.where((A != 0) & (B == 0), numbers, np.float32(-1)))
