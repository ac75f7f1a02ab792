"""Instance normalization around a large mean."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from tests.direct import direct_builder, run_graph
from webnn.backends.onnxruntime.backend import OnnxRuntimeBackend
from webnn.backends.onnxruntime.passes.centered_instance_normalization import centered_instance_normalization


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_a_large_mean_costs_no_digits(layout: Literal["nchw", "nhwc"]) -> None:
    builder = direct_builder()
    shape, plane = ((1, 2, 256, 256), (2, 3)) if layout == "nchw" else ((1, 256, 256, 2), (1, 2))
    x = (np.random.default_rng(0).standard_normal(shape) + 1000).astype("f")
    scale, bias = np.array([2, 3], "f"), np.array([-1, 1], "f")
    operand = builder.input("x", x.shape, "float32")
    y = builder.instance_normalization(
        operand, scale=builder.constant(scale), bias=builder.constant(bias), layout=layout
    )
    graph = centered_instance_normalization(builder.build({"y": y}))
    operators = [node.op for node in graph.nodes if node.op != "cast"]
    assert operators == ["reduce_mean", "sub", "instance_normalization"]
    wide = x.astype("d")
    exact = (wide - wide.mean(plane, keepdims=True)) / np.sqrt(wide.var(plane, keepdims=True) + 1e-5)
    per_channel = (1, -1, 1, 1) if layout == "nchw" else (1, 1, 1, -1)
    exact = exact * scale.reshape(per_channel) + bias.reshape(per_channel)
    assert np.abs(run_graph(graph, {"x": x}, OnnxRuntimeBackend())["y"] - exact).max() < 1e-5


def test_float16_is_computed_in_float32() -> None:
    builder = direct_builder()
    x = np.array([[[[1000, 1001, 1002, 1003]]]], np.float16)
    operand, scale = (builder.input(name, shape, "float16") for name, shape in (("x", x.shape), ("scale", (1,))))
    y = builder.instance_normalization(operand, scale=scale)
    graph = centered_instance_normalization(builder.build({"y": y}))
    result = run_graph(graph, {"x": x, "scale": np.ones(1, np.float16)}, OnnxRuntimeBackend())["y"]
    np.testing.assert_allclose(result, [[[[-1.342, -0.4473, 0.4473, 1.342]]]], rtol=1e-3)
