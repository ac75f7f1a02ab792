"""Element-wise operators on gathered rows, computed of the table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.direct import direct_builder, run_graph
from webnn.backends.arrays.backend import ArraysBackend
from webnn.backends.base import Backend
from webnn.backends.onnxruntime.passes.operators_after_gathers import operators_after_gathers
from webnn.graph.builder import MLGraphBuilder
from webnn.graph.ir import Graph
from webnn.graph.operand import MLOperand

Builder = MLGraphBuilder[Graph]
After = Callable[[Builder, MLOperand], MLOperand]

ROWS, WIDTH = 5, 3
TABLE = np.random.default_rng(0).standard_normal((ROWS, WIDTH)).astype("f")


def constant(builder: Builder, *shape: int) -> MLOperand:
    return builder.constant(np.linspace(-0.5, 2, int(np.prod(shape)), dtype=np.float32).reshape(shape))


def gathered(after: After, table: np.ndarray[Any, Any] = TABLE, axis: int = 0) -> Graph:
    builder = direct_builder()
    rows = builder.gather(builder.constant(table), builder.input("tokens", [2, 4], "int32"), axis=axis)
    return builder.build({"y": after(builder, rows)})


def embedding(b: Builder, rows: MLOperand) -> MLOperand:
    return b.gelu(b.sub(constant(b, 1, 1, WIDTH), b.mul(rows, constant(b, WIDTH))))


AFTER: dict[str, After] = {
    "a bias and an activation": embedding,
    "a number": lambda b, rows: b.mul(constant(b), rows),
    "a table of one axis": lambda b, rows: b.relu(b.add(rows, constant(b, 1, 1))),
}


@pytest.mark.parametrize("name", AFTER)
def test_what_comes_after_the_rows_is_computed_of_the_table(name: str, backend: Backend) -> None:
    graph = gathered(AFTER[name], TABLE[:, 0] if name == "a table of one axis" else TABLE)
    prepared = operators_after_gathers(graph)
    assert prepared.nodes[-1].op == "gather"
    assert len(prepared.nodes) == len(graph.nodes)
    tokens = np.array([[0, 4, 2, 2], [-1, 5, 3, 1]], "i")
    expected = run_graph(graph, {"tokens": tokens}, ArraysBackend())["y"]
    np.testing.assert_allclose(run_graph(prepared, {"tokens": tokens}, backend)["y"], expected, rtol=1e-5, atol=1e-6)


def test_the_operators_end_where_rows_are_told_apart_or_read_twice() -> None:
    def by_token(b: Builder, rows: MLOperand) -> MLOperand:
        return b.add(b.relu(rows), constant(b, 4, 1))

    def read_twice(b: Builder, rows: MLOperand) -> MLOperand:
        active = b.relu(rows)
        return b.mul(b.tanh(active), active)

    for after, rest in ((by_token, ["add"]), (read_twice, ["tanh", "mul"])):
        assert [node.op for node in operators_after_gathers(gathered(after)).nodes] == ["relu", "gather", *rest]


UNCHANGED: dict[str, Graph] = {
    "columns": gathered(lambda b, rows: b.relu(rows), axis=1),
    "more than a row": gathered(lambda b, rows: b.add(rows, constant(b, 2, 1, WIDTH))),
    "rows that become wider": gathered(lambda b, rows: b.add(rows, constant(b, WIDTH)), TABLE[:, :1]),
    "a large table": gathered(lambda b, rows: b.relu(rows), np.zeros((1 << 17, 3), np.float32)),
    "whole numbers": gathered(lambda b, rows: b.neg(rows), TABLE.astype("i")),
    "each element of a row with itself": gathered(lambda b, rows: b.mul(rows, rows)),
    "a reduction": gathered(lambda b, rows: b.reduce_sum(rows)),
}


@pytest.mark.parametrize("name", UNCHANGED)
def test_what_differs_from_row_to_row_stays_behind_the_gather(name: str) -> None:
    assert operators_after_gathers(UNCHANGED[name]) is UNCHANGED[name]


def test_an_operator_that_is_an_output_is_read_by_the_caller_too() -> None:
    builder = direct_builder()
    rows = builder.gather(builder.constant(TABLE), builder.input("tokens", [2], "int32"))
    graph = builder.build({"rows": rows, "y": builder.relu(rows)})
    assert operators_after_gathers(graph) is graph
