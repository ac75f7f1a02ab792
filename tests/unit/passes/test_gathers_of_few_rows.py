"""Rows of tables that are computed from constants: gathered before they are computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from tests.direct import direct_builder, run_graph
from webnn.backends.arrays.backend import ArraysBackend
from webnn.backends.onnxruntime.backend import OnnxRuntimeBackend
from webnn.backends.onnxruntime.passes.gathers_of_few_rows import gathers_of_few_rows
from webnn.graph.builder import MLGraphBuilder
from webnn.graph.ir import Graph
from webnn.graph.operand import MLOperand

Builder = MLGraphBuilder[Graph]
Table = Callable[[Builder], MLOperand]

ROWS, WIDTH = 2048, 128
RANDOM = np.random.default_rng(0)
INTEGERS = RANDOM.integers(-128, 128, (ROWS, WIDTH)).astype(np.int8)
SCALES = RANDOM.uniform(0.01, 0.1, (ROWS, 1)).astype(np.float32)


def scaled(b: Builder) -> MLOperand:
    return b.mul(b.cast(b.constant(INTEGERS), "float32"), b.constant(SCALES))


def by_column(b: Builder) -> MLOperand:
    offset = b.constant(np.arange(WIDTH, dtype=np.float32))
    return b.sub(b.cast(b.constant(INTEGERS), "float32"), b.mul(offset, b.constant("float32", 2)))


def dequantized(blocks: int, rows: int, b: Builder) -> MLOperand:
    scale = RANDOM.uniform(0.01, 0.1, (rows, blocks)).astype(np.float32)
    zero = np.full((rows, blocks), 3, np.int8)
    return b.dequantize_linear(b.constant(INTEGERS), b.constant(scale), b.constant(zero))


def halves(b: Builder) -> MLOperand:
    return b.cast(b.constant(INTEGERS.astype(np.float16)), "float32")


def looked_up(table: Table, shape: Sequence[int] = (1, 7), **options: Any) -> Graph:
    b = direct_builder()
    return b.build({"y": b.gather(table(b), b.input("i", shape, "int64"), **options)})


TABLES: dict[str, Table] = {
    "a scale for each row": scaled,
    "halves": halves,
    "blocks of columns": lambda b: dequantized(4, ROWS, b),
    "one scale": lambda b: dequantized(1, 1, b),
}


@pytest.mark.parametrize("shape", [(), (7,), (1, 7), (2, 3, 1)])
@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_rows_are_gathered_from_constants_and_have_the_same_bits(table: Table, shape: Sequence[int]) -> None:
    graph = looked_up(table, shape)
    prepared = gathers_of_few_rows(graph)
    for node in prepared.nodes:
        if node.op == "gather":
            assert node["input"].constant is not None
        assert node.output.descriptor.element_count <= 7 * WIDTH
    feeds = {"i": RANDOM.integers(-ROWS, ROWS, shape)}
    backend = OnnxRuntimeBackend()
    found = run_graph(graph, feeds, backend)["y"]
    np.testing.assert_array_equal(found, run_graph(graph, feeds, ArraysBackend())["y"])
    np.testing.assert_array_equal(found, run_graph(prepared, feeds, ArraysBackend())["y"])


def small_integers(b: Builder) -> MLOperand:
    integers = b.constant((INTEGERS >> 4).astype(ml_dtypes.int4))
    return b.dequantize_linear(integers, b.constant(SCALES), b.constant(np.zeros((ROWS, 1), ml_dtypes.int4)))


def read_twice(b: Builder) -> MLOperand:
    table = scaled(b)
    return b.add(table, table)


OTHERS: dict[str, tuple[Table, dict[str, Any]]] = {
    "an axis of columns": (scaled, {"axis": 1}),
    "many rows": (scaled, {"shape": [ROWS]}),
    "a table that is a constant": (lambda b: b.constant(INTEGERS), {}),
    "a table that depends on an input": (lambda b: b.mul(scaled(b), b.input("x", [1], "float32")), {}),
    "a step that is read twice": (read_twice, {}),
    "blocks of rows": (lambda b: dequantized(1, ROWS // 4, b), {}),
    "another operator": (lambda b: b.softmax(scaled(b), 0), {}),
    "a small table": (lambda b: b.cast(b.constant(INTEGERS[:32]), "float32"), {}),
    "int4": (small_integers, {}),
    "a step with smaller results": (by_column, {}),
}


@pytest.mark.parametrize(("table", "options"), OTHERS.values(), ids=OTHERS)
def test_other_tables_are_left_as_they_are(table: Table, options: dict[str, Any]) -> None:
    graph = looked_up(table, **options)
    assert gathers_of_few_rows(graph) is graph


def test_a_table_that_a_product_reads_too_is_left_as_it_is() -> None:
    b = direct_builder()
    table = scaled(b)
    rows = b.gather(table, b.input("i", [7], "int64"))
    graph = b.build({"y": b.matmul(rows, b.transpose(table))})
    assert gathers_of_few_rows(graph) is graph
