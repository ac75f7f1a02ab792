"""Rows that are transposed for a convolution, as channels-last images."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest

from tests.direct import direct_builder, run_graph
from webnn.backends.arrays.backend import ArraysBackend
from webnn.backends.base import Backend
from webnn.backends.onnxruntime.passes.convolutions_of_transposed_rows import convolutions_of_transposed_rows
from webnn.graph.builder import MLGraphBuilder
from webnn.graph.ir import Graph
from webnn.graph.operand import MLOperand

BATCH, WIDTH, CHANNELS = 2, 7, 16

Form = Literal["column", "row"]


def transposed(builder: MLGraphBuilder[Any], rows: MLOperand, form: Form, first: bool) -> MLOperand:
    """`[batch, width, channels]` as images of one row or column, reshaped first or last."""
    if first:
        return builder.transpose(builder.reshape(rows, [BATCH, WIDTH, CHANNELS, 1]), permutation=[0, 2, 1, 3])
    channels_first = builder.transpose(rows, permutation=[0, 2, 1])
    return builder.reshape(channels_first, [BATCH, CHANNELS, *((WIDTH, 1) if form == "column" else (1, WIDTH))])


def convolved(form: Form, first: bool) -> Graph:
    builder = direct_builder()
    image = transposed(builder, builder.input("x", [BATCH, WIDTH, CHANNELS], "float32"), form, first)
    size = (32, CHANNELS, 3, 1) if form == "column" else (32, CHANNELS, 1, 3)
    weights = np.random.default_rng(0).standard_normal(size).astype("f")
    return builder.build({"y": builder.conv2d(image, builder.constant(weights))})


@pytest.mark.parametrize(("form", "first"), [("column", True), ("column", False), ("row", False)])
def test_rows_are_reshaped_to_images_before_they_are_transposed(form: Form, first: bool, backend: Backend) -> None:
    graph = convolved(form, first)
    prepared = convolutions_of_transposed_rows(graph)
    transposes = [node.attributes["permutation"] for node in prepared.nodes if node.op == "transpose"]
    assert [tuple(permutation) for permutation in transposes] == [(0, 3, 1, 2)]
    x = np.random.default_rng(1).standard_normal((BATCH, WIDTH, CHANNELS)).astype("f")
    expected = run_graph(graph, {"x": x}, ArraysBackend())["y"]
    np.testing.assert_allclose(run_graph(prepared, {"x": x}, backend)["y"], expected, rtol=1e-4, atol=1e-5)


def test_other_transpositions_are_left_as_they_are() -> None:
    builder = direct_builder()
    x = builder.input("x", [2, 3, 4, 5], "float32")
    filters = builder.constant(np.ones((1, 4, 1, 1), "f"))
    heads = builder.conv2d(builder.transpose(x, permutation=[0, 2, 1, 3]), filters)
    last = builder.conv2d(x, builder.constant(np.ones((1, 5, 1, 1), "f")), input_layout="nhwc", filter_layout="oihw")
    turned = builder.transpose(builder.input("rows", [4, 2, 6], "float32"), permutation=[1, 0, 2])
    graph = builder.build(
        {"heads": heads, "last": last, "turned": builder.conv2d(builder.reshape(turned, [2, 4, 1, 6]), filters)}
    )
    assert convolutions_of_transposed_rows(graph) is graph
