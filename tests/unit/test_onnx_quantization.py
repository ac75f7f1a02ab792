"""Quantization for runtimes whose `QuantizeLinear` adds the zero point before it rounds."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest

from tests.direct import direct_builder, run_graph
from webnn.backends.arrays.backend import ArraysBackend
from webnn.backends.onnx.lower import lower
from webnn.backends.onnx.portable import PortableKernels
from webnn.graph.ir import Graph

X = np.array([-1.5, -0.5, 0.5, 1.5, 2.5, 3.5, 1e9, -np.inf, np.nan, 0.1], np.float32)


class RoundsLast(PortableKernels):
    rounds_last = True


def quantized(scale: Any, zero_point: Any, *, known: bool = True) -> Graph:
    builder = direct_builder()
    zero = builder.constant(zero_point) if known else builder.input("zero", zero_point.shape, zero_point.dtype.name)
    x = builder.reshape(builder.input("x", X.shape, "float32"), [2, 5])
    return builder.build({"y": builder.quantize_linear(x, builder.constant(scale), zero)})


def lowered(graph: Graph) -> tuple[set[str], onnxruntime.InferenceSession]:
    model = lower(graph, RoundsLast())
    proto = model.finish()
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return {node.op_type for node in proto.graph.node}, session


@pytest.mark.parametrize("zero", [-7, -2, 0, 3])
@pytest.mark.parametrize("shape", [(1, 1), (2, 1), (2, 5), (1, 5)], ids=str)
def test_only_an_odd_zero_point_is_added_after_rounding(zero: int, shape: tuple[int, int]) -> None:
    scale, zero_point = np.ones(shape, np.float32), np.full(shape, 4, np.int8)
    zero_point.flat[-1] = zero
    graph = quantized(scale, zero_point)
    operators, session = lowered(graph)
    assert ("QuantizeLinear" in operators) == (zero % 2 == 0)
    expected = run_graph(graph, {"x": X}, ArraysBackend())["y"]
    np.testing.assert_array_equal(session.run(None, {"x": X})[0], expected)


def test_a_zero_point_that_is_an_input_may_be_odd() -> None:
    zero_point = np.array([[3]], np.uint8)
    graph = quantized(np.array([[0.5]], np.float32), zero_point, known=False)
    operators, session = lowered(graph)
    assert "QuantizeLinear" not in operators
    feeds = {"x": X, "zero": zero_point}
    np.testing.assert_array_equal(session.run(None, feeds)[0], run_graph(graph, feeds, ArraysBackend())["y"])
