"""Small models in the patterns that exporters and quantizers write, compared with ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, numpy_helper, parser

from tests.direct import direct_builder
from tests.onnx_nodes import Array, by_onnxruntime, computed, random
from webnn.backends.base import Backend
from webnn.formats.onnx import import_onnx


def model(signature: str, nodes: str, weights: Mapping[str, Array], *, version: int = 21) -> ModelProto:
    """A model in the text form of ONNX, with its weights."""
    header = f'<ir_version: 10, opset_import: ["" : {version}, "com.microsoft" : 1]>'
    proto = parser.parse_model(f"{header} g {signature} {{ {nodes} }}")
    proto.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in weights.items())
    return proto


def check(backend: Backend, proto: ModelProto, *feeds: Array, tolerance: float = 1e-5) -> None:
    given = dict(zip((info.name for info in proto.graph.input), feeds, strict=True))
    for result, wanted in zip(computed(proto, given, backend), by_onnxruntime(proto, given), strict=True):
        assert result.shape == wanted.shape
        np.testing.assert_allclose(result, wanted, rtol=tolerance, atol=tolerance * float(np.abs(wanted).max()))


def operators(proto: ModelProto) -> Sequence[str]:
    """The operators that a model becomes."""
    builder = direct_builder()
    return [node.op for node in builder.build(import_onnx(proto, builder)).nodes]


@pytest.mark.parametrize("dtype", [np.uint16, np.int16])
@pytest.mark.parametrize("per_channel", [False, True])
def test_rounding_to_16_bits_stays_among_floats(backend: Backend, dtype: Any, per_channel: bool) -> None:
    zero = np.array([0, 1000, 3] if per_channel else 77, dtype)
    weights = {"scale": np.full(zero.shape, 1e-3, np.float32), "zero": zero, "shape": np.array([3, -1])}
    proto = model(
        "(float[2, 3] x) => (float[3, 2] y)",
        "q = QuantizeLinear (x, scale, zero) d = DequantizeLinear (q, scale, zero) y = Reshape (d, shape)",
        weights,
    )
    x = random(0, 2, 3) * 60
    check(backend, proto, x)
    assert {"quantize_linear", "dequantize_linear", "cast"}.isdisjoint(operators(proto))


@pytest.mark.parametrize("op_type", ["Conv", "ConvTranspose"])
def test_quantized_filters_over_one_axis_stay_next_to_their_convolution(backend: Backend, op_type: str) -> None:
    weights = {
        "filters": random(0, 4, 4, 3, dtype=np.int8),
        "scale": np.array([0.25, 0.5, 1, 2], np.float32),
        "zeros": np.zeros(4, np.int8),
    }
    proto = model(
        "(float[1, 4, 9] x) => (y)",
        f"w = DequantizeLinear <axis = 0> (filters, scale, zeros) y = {op_type} (x, w)",
        weights,
    )
    check(backend, proto, random(1, 1, 4, 9))
    last = operators(proto)[-3:]
    assert (last[0], last[2]) == ("dequantize_linear", "reshape")


def test_same_padding_that_torchscript_computes_from_the_shape_folds_away(backend: Backend) -> None:
    """`Clip` of a scalar, without an upper bound, is a scalar."""
    nodes = """
        size = Shape (x)
        last = Gather (size, two)
        width = Cast <to = 1> (last)
        missing = Sub (width, four)
        extra = Clip (missing, zero, )
        half = Div (extra, factor)
        before = Cast <to = 7> (half)
        each = Unsqueeze (before, first)
        pads = Concat <axis = 0> (nothing, each, nothing, each)
        y = Pad (x, pads)
    """
    weights = {
        "two": np.array(2),
        "first": np.array([0]),
        "nothing": np.array([0, 0]),
        "zero": np.array(0, np.float32),
        "four": np.array(4, np.float32),
        "factor": np.array(2, np.float32),
    }
    check(backend, model("(float[1, 2, 7] x) => (y)", nodes, weights, version=13), random(0, 1, 2, 7))
