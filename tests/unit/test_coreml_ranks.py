"""Movements in more dimensions than Core ML has."""

from __future__ import annotations

import math

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.direct import direct_builder, ops, run_graph
from webnn.backends.arrays.backend import ArraysBackend
from webnn.backends.coreml.ranks import with_joined_axes
from webnn.formats.onnx import import_onnx
from webnn.graph.composites.composite import expanded
from webnn.graph.ir import Graph


def moved(shape: list[int], parted: list[int], *orders: list[int]) -> Graph:
    b = direct_builder()
    x = b.reshape(b.input("x", shape, "float32"), parted)
    for order in orders:
        x = b.transpose(x, permutation=order)
    return b.build({"y": b.reshape(x, [x.descriptor.element_count])})


def highest(graph: Graph) -> int:
    return max(operand.rank for node in graph.nodes for operand in (*node.inputs(), *node.outputs))


def check(graph: Graph) -> Graph:
    joined = with_joined_axes(graph)
    (x,) = graph.inputs.values()
    feeds = {"x": np.arange(math.prod(x.shape), dtype=np.float32).reshape(x.shape)}
    wanted = run_graph(graph, feeds, ArraysBackend())
    np.testing.assert_array_equal(run_graph(joined, feeds, ArraysBackend())["y"], wanted["y"])
    return joined


@pytest.mark.parametrize(
    ("shape", "parted", "order", "rank"),
    [
        ([2, 8, 12, 3], [2, 2, 4, 3, 4, 3], [0, 1, 3, 2, 4, 5], 4),
        ([2, 12, 4, 5], [2, 3, 2, 2, 4, 5], [0, 1, 4, 2, 5, 3], 5),
        ([6, 6], [1, 6, 1, 2, 1, 3, 1], [6, 5, 4, 3, 2, 1, 0], 3),
        ([64], [2, 2, 2, 2, 2, 2], [0, 1, 2, 3, 4, 5], 1),
        ([1, 4, 6, 8, 5], [1, 2, 2, 3, 2, 4, 2, 5], [0, 1, 3, 5, 7, 2, 4, 6], 8),
    ],
    ids=["windows", "pixels", "units", "no order", "too many"],
)
def test_axes_that_stay_together_are_not_parted(
    shape: list[int], parted: list[int], order: list[int], rank: int
) -> None:
    assert highest(check(moved(shape, parted, order))) == max(rank, len(shape))


def test_transposes_in_a_row_are_one() -> None:
    joined = check(moved([2, 8, 12, 3], [2, 2, 4, 3, 4, 3], [5, 0, 1, 3, 2, 4], [1, 2, 3, 4, 5, 0]))
    assert highest(joined) <= 5
    assert ops(joined) == ["reshape", "transpose", "reshape"]


def test_any_order_of_up_to_eight_axes_gives_the_same() -> None:
    generator = np.random.default_rng(0)
    for _ in range(100):
        sizes = [int(size) for size in generator.integers(1, 4, generator.integers(6, 9))]
        check(moved([math.prod(sizes)], sizes, [int(axis) for axis in generator.permutation(len(sizes))]))


def test_a_value_that_something_else_reads_stays() -> None:
    b = direct_builder()
    x = b.reshape(b.input("x", [64], "float32"), [2] * 6)
    y = b.transpose(x, permutation=[1, 0, 2, 3, 4, 5])
    graph = b.build({"y": b.reshape(y, [64]), "z": b.identity(y)})
    joined = check(graph)
    assert joined.outputs["z"].shape == (2,) * 6


@pytest.mark.parametrize("op", ["Conv", "ConvTranspose"])
def test_convolutions_of_volumes_have_five_dimensions_at_most(op: str) -> None:
    node = helper.make_node(op, ["x", "w"], ["y"], strides=[1, 2, 1])
    weights = np.random.default_rng(0).standard_normal((2, 2, 3, 2, 3)).astype(np.float32)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, 5, 6, 4])
    graph = helper.make_graph(
        [node], "g", [x], [onnx.ValueInfoProto(name="y")], [numpy_helper.from_array(weights, "w")]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    b = direct_builder()
    assert highest(expanded(b.build(import_onnx(model, b)))) == 5
