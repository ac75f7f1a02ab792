"""Products with weights of 4 bits, dequantized by block, as one operator of onnxruntime."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.direct import direct_builder, run_graph
from webnn.backends.arrays.backend import ArraysBackend
from webnn.backends.onnx.lower import lower
from webnn.backends.onnxruntime.backend import OnnxRuntimeBackend
from webnn.backends.onnxruntime.kernels import cpu_kernels
from webnn.backends.onnxruntime.passes.products_of_blocks import products_of_blocks
from webnn.graph.composites.block_product import product_by_blocks
from webnn.graph.composites.composite import expanded
from webnn.graph.ir import Graph

Array = np.ndarray[Any, Any]
DTYPES = {"uint4": ml_dtypes.uint4, "int4": ml_dtypes.int4, "uint8": np.uint8, "int8": np.int8}


def graph_of(
    dtype: str, zeros: Array | int, *, rows: int = 64, columns: int = 5, size: int = 16, seed: int = 0, many: int = 2
) -> Graph:
    """A product of `many` rows with weights of the type `dtype`, in blocks of `size`."""
    generator = np.random.default_rng(seed)
    blocks, b = rows // size, direct_builder()
    span = (-8, 8) if dtype == "int4" else (0, 16)
    weights = generator.integers(*span, (rows, columns)).astype(DTYPES[dtype])
    scale = generator.uniform(0.01, 1, (blocks, columns)).astype(np.float32)
    zero_point = np.broadcast_to(zeros, (blocks, columns)).astype(DTYPES[dtype])
    dense = b.dequantize_linear(*(b.constant(each) for each in (weights, scale, zero_point)))
    return b.build({"y": b.matmul(b.input("x", [many, rows], "float32"), dense)})


def feeds(graph: Graph) -> dict[str, Array]:
    shape = graph.inputs["x"].shape
    return {"x": np.random.default_rng(1).standard_normal(shape).astype(np.float32)}


def kernels(graph: Graph) -> list[tuple[str, int]]:
    """The nodes that onnxruntime gets, each with the number of its inputs."""
    return [(node.op_type, len(node.input)) for node in lower(graph, cpu_kernels()).finish().graph.node]


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_the_result_is_that_of_the_operators(data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(["uint4", "int4"]))
    low = -8 if dtype == "int4" else 0
    size = data.draw(st.sampled_from([16, 32, 64]))
    rows, columns = size * data.draw(st.integers(1, 3)), data.draw(st.integers(1, 9))
    zeros: Array | int = low + 8
    if data.draw(st.booleans()):
        zeros = np.random.default_rng(2).integers(low, low + 16, (rows // size, columns))
    graph = graph_of(dtype, zeros, rows=rows, columns=columns, size=size, many=data.draw(st.integers(1, 17)))
    prepared = products_of_blocks(graph)
    assert [node.op for node in prepared.nodes] == ["block_product"]
    given = feeds(graph)
    expected = run_graph(graph, given, ArraysBackend())["y"]
    np.testing.assert_array_equal(run_graph(expanded(prepared), given, ArraysBackend())["y"], expected)
    # Sums of floats in another order: n - 1 roundings of at most the sum of the magnitudes.
    dense = graph.nodes[-1]["b"].node
    assert dense is not None
    weights, scale, zero = (np.asarray(dense[name].constant, np.float64) for name in ("input", "scale", "zero_point"))
    sizes = np.abs((weights - np.repeat(zero, size, 0)) * np.repeat(scale, size, 0))
    bound = rows * np.finfo(np.float32).eps * (np.abs(given["x"]) @ sizes)
    assert (np.abs(run_graph(prepared, given, OnnxRuntimeBackend())["y"] - expected) <= bound).all()


@pytest.mark.parametrize(("dtype", "middle"), [("uint4", 8), ("int4", 0)])
def test_zero_points_in_the_middle_of_the_range_are_left_out(dtype: str, middle: int) -> None:
    assert kernels(products_of_blocks(graph_of(dtype, middle))) == [("MatMulNBits", 3)]
    assert kernels(products_of_blocks(graph_of(dtype, middle + 1))) == [("MatMulNBits", 4)]


@pytest.mark.parametrize(
    "graph",
    [
        graph_of("uint8", 8),
        graph_of("uint4", 8, size=8),
        graph_of("uint4", 8, rows=48, size=24),
        graph_of("int8", 0),
    ],
    ids=["bytes", "blocks that are too small", "blocks that are no power of two", "bytes with a sign"],
)
def test_other_weights_are_left_to_onnxruntime(graph: Graph) -> None:
    assert products_of_blocks(graph) is graph


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_a_product_that_may_round_is_off_by_what_the_rounding_can_make(bits: int) -> None:
    rows, columns, size = 128, 7, 32
    generator, b = np.random.default_rng(bits), direct_builder(composites=["block_product"])
    weights = generator.integers(0, 1 << bits, (rows, columns)).astype(np.uint8 if bits == 8 else ml_dtypes.uint4)
    scale = generator.uniform(0.01, 1, (rows // size, columns)).astype(np.float32)
    zeros = generator.integers(0, 1 << bits, scale.shape).astype(weights.dtype)
    x = generator.standard_normal((3, rows)).astype(np.float32)
    constants = [b.constant(each) for each in (weights, scale, zeros)]
    y = product_by_blocks(b, b.input("x", x.shape, "float32"), *constants, bits=bits, rounded=True)
    graph = b.build({"y": y})
    assert [node.op for node in graph.nodes] == ["block_product"]
    result = run_graph(graph, {"x": x}, OnnxRuntimeBackend())["y"]
    dense = (weights.astype(np.float64) - np.repeat(zeros, size, 0)) * np.repeat(scale, size, 0)
    steps = np.repeat(np.abs(x.reshape(3, -1, size)).max(-1) / 127, size, axis=1)
    bound = (steps / 2) @ np.abs(dense) * 1.001
    error = np.abs(result - x @ dense)
    assert (error <= bound).all()
    assert error.max() > 1e-4  # it does round
    expected = run_graph(expanded(graph), {"x": x}, ArraysBackend())["y"]
    np.testing.assert_allclose(expected, x @ dense, rtol=1e-4, atol=1e-3)
