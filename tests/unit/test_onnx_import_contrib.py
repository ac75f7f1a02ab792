"""Fused operators of ONNX Runtime, compared with it."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import onnxruntime
import pytest

from tests.direct import direct_builder, run_graph
from tests.onnx_nodes import Array, Fixed, Given, check_node, computed, node_model, random
from webnn.backends.base import Backend
from webnn.backends.onnxruntime.backend import OnnxRuntimeBackend
from webnn.errors import NotSupportedError
from webnn.formats.onnx import import_onnx
from webnn.formats.onnx.importing.operator_table import MICROSOFT


def check(backend: Backend, op_type: str, inputs: list[Given], **options: Any) -> None:
    check_node(backend, op_type, inputs, domain=MICROSOFT, **options)


def test_gelus_may_have_a_bias(backend: Backend) -> None:
    x, bias = random(0, 2, 3, 8), Fixed(random(1, 8))
    check(backend, "Gelu", [x])
    check(backend, "BiasGelu", [x, bias])
    check(backend, "FastGelu", [x])
    check(backend, "FastGelu", [x, bias])
    check(backend, "QuickGelu", [x])
    check(backend, "QuickGelu", [x], alpha=0.5)
    (result,) = computed(*node_model("BiasSplitGelu", [x, bias], domain=MICROSOFT), backend)
    assert result.shape == (2, 3, 4)


def test_a_bias_and_a_skip_are_added_up(backend: Backend) -> None:
    x, bias, skip = random(0, 2, 3, 8), random(1, 8), random(2, 2, 3, 8)
    (result,) = computed(*node_model("BiasAdd", [x, bias, skip], domain=MICROSOFT), backend)
    np.testing.assert_allclose(result, x + bias + skip, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("a", [0, 1])
@pytest.mark.parametrize("b", [0, 1])
@pytest.mark.parametrize("batch", [(), (2,), (2, 3)])
def test_products_of_transposed_matrices(backend: Backend, a: int, b: int, batch: tuple[int, ...]) -> None:
    x, y = random(0, *batch, *((5, 4) if a else (4, 5))), random(1, *batch, *((3, 5) if b else (5, 3)))
    check(backend, "FusedMatMul", [x, y], transA=a, transB=b, alpha=0.5)
    check(backend, "FusedMatMul", [x, Fixed(y)], transA=a, transB=b)


@pytest.mark.parametrize("a", [0, 1])
@pytest.mark.parametrize("b", [0, 1])
def test_products_with_the_batch_inside(backend: Backend, a: int, b: int) -> None:
    x, y = random(0, 4, 2, 3, 5), random(1, 2, 3, 5, 6)
    x = random(0, 5, 2, 3, 4) if a else x
    y = random(1, 2, 3, 6, 5) if b else y
    check(backend, "FusedMatMul", [x, y], transA=a, transB=b, transBatchA=1)


@pytest.mark.parametrize(
    ("activation", "parameters"),
    [
        ("Relu", []),
        ("Tanh", []),
        ("Sigmoid", []),
        ("LeakyRelu", [0.3]),
        ("Clip", [-0.5, 0.5]),
        ("HardSigmoid", [0.3, 0.4]),
    ],
)
def test_convolutions_that_end_with_an_activation(backend: Backend, activation: str, parameters: list[float]) -> None:
    x, w, b, z = random(0, 1, 2, 5, 6), random(1, 4, 2, 3, 3), random(2, 4), random(3, 1, 4, 5, 6)
    options: dict[str, Any] = {"activation": activation, "pads": [1, 1, 1, 1]}
    if parameters:
        options["activation_params"] = parameters
    check(backend, "FusedConv", [x, Fixed(w), Fixed(b)], **options)
    if activation == "Relu":
        check(backend, "FusedConv", [x, Fixed(w), Fixed(b), z], **options)


def test_gemm_that_ends_with_an_activation(backend: Backend) -> None:
    inputs: list[Given] = [random(0, 3, 4), Fixed(random(1, 5, 4)), Fixed(random(2, 5))]
    check(backend, "FusedGemm", inputs, transB=1, alpha=0.5, activation="Relu")
    check(backend, "FusedGemm", inputs, transB=1, activation="LeakyRelu", activation_alpha=0.2)


def test_an_unknown_activation_is_reported(backend: Backend) -> None:
    inputs = [random(0, 3, 4), random(1, 4, 5)]
    model, feeds = node_model("FusedGemm", inputs, domain=MICROSOFT, activation="Swoosh")
    with pytest.raises(NotSupportedError, match="'Swoosh' is unknown"):
        computed(model, feeds, backend)


def test_images_with_channels_last(backend: Backend) -> None:
    x, w, b = random(0, 1, 5, 6, 2), random(1, 4, 2, 3, 3), random(2, 4)
    (result,) = computed(*node_model("NhwcConv", [x, w, b], domain=MICROSOFT, pads=[1, 1, 1, 1]), backend)
    (first,) = computed(*node_model("Conv", [np.moveaxis(x, -1, 1), w, b], pads=[1, 1, 1, 1]), backend)
    np.testing.assert_allclose(result, np.moveaxis(first, 1, -1), rtol=1e-6, atol=1e-6)
    integers = random(3, 1, 5, 6, 2, dtype=np.uint8)
    check(backend, "NhwcMaxPool", [integers], kernel_shape=[2, 2], strides=[2, 1])


@pytest.mark.parametrize("given", ["", "s", "sm", "smp"])
def test_embeddings_may_have_segments_a_mask_and_positions(backend: Backend, given: str) -> None:
    generator = np.random.default_rng(0)
    ids = generator.integers(0, 10, (2, 4), dtype=np.int32)
    segments = generator.integers(0, 2, (2, 4), dtype=np.int32) if "s" in given else None
    mask = np.array([[1, 1, 1, 0], [1, 1, 0, 0]], np.int32) if "m" in given else None
    positions = generator.integers(0, 6, (2, 4), dtype=np.int32) if "p" in given else None
    tables = [Fixed(random(i, size, 8)) for i, size in ((1, 10), (2, 6), (3, 2))]
    inputs = [ids, segments, *tables[:2], tables[2] if "s" in given else None, random(4, 8), random(5, 8), mask]
    if positions is not None:
        inputs.append(positions)
    check(backend, "EmbedLayerNormalization", inputs, outputs=(True, mask is not None, True))


def test_softmax_of_a_sum(backend: Backend) -> None:
    inputs = [random(0, 2, 3, 4, 4), random(1, 2, 1, 1, 4)]
    model, feeds = node_model("BiasSoftmax", inputs, domain=MICROSOFT, axis=3, is_inner_broadcast=1)
    (result,) = computed(model, feeds, backend)
    total = np.exp(inputs[0] + inputs[1])
    np.testing.assert_allclose(result, total / total.sum(-1, keepdims=True), rtol=1e-5)


def test_triangles_and_new_dimensions_are_those_of_onnxruntime(backend: Backend) -> None:
    check(backend, "Trilu", [random(0, 2, 3, 4), Fixed(np.array(1, np.int64))], upper=0)
    check(backend, "ExpandDims", [random(0, 2, 3), Fixed(np.array(-1, np.int32))])


# Weights of few bits.


def packed(seed: int, *shape: int) -> Array:
    return random(seed, *shape, dtype=np.uint8)


@pytest.mark.parametrize(
    ("bits", "rows", "zeros"),
    [*((bits, rows, zeros) for bits in (4, 8) for rows in (32, 40) for zeros in ("none", "packed")), (4, 32, "floats")],
)
@pytest.mark.parametrize("bias", [True, False])
def test_products_with_weights_of_few_bits(backend: Backend, bits: int, rows: int, zeros: str, bias: bool) -> None:
    columns, size = 6, 16
    blocks = -(-rows // size)
    x = random(0, 2, 3, rows)
    weights, scales = packed(1, columns, blocks, size * bits // 8), np.abs(random(2, columns, blocks)) / 10
    zero_points: Given = None
    if zeros == "packed":
        zero_points = Fixed(packed(3, columns, -(-blocks * bits // 8)))
    elif zeros == "floats":
        zero_points = Fixed(random(3, columns, blocks) + 8)
    inputs: list[Given] = [x, Fixed(weights), Fixed(scales), zero_points, None, Fixed(random(4, columns))]
    options = {"K": rows, "N": columns, "bits": bits, "block_size": size}
    check(backend, "MatMulNBits", inputs if bias else inputs[:4], **options)


def test_weights_of_few_bits_stay_so_in_the_graph() -> None:
    inputs: list[Given] = [random(0, 3, 32), Fixed(packed(1, 6, 2, 8)), Fixed(np.abs(random(2, 12)))]
    model, _ = node_model("MatMulNBits", inputs, domain=MICROSOFT, K=32, N=6, bits=4, block_size=16)
    builder = direct_builder()
    nodes = builder.build(import_onnx(model, builder)).nodes
    assert [node.op for node in nodes] == ["dequantize_linear", "matmul"]
    assert (nodes[0]["input"].data_type, nodes[0]["input"].shape, nodes[0]["scale"].shape) == ("uint4", (32, 6), (2, 6))


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("zeros", [True, False])
def test_a_file_that_allows_rounding_gets_the_results_of_onnxruntime(bits: int, zeros: bool) -> None:
    inputs: list[Given] = [random(0, 3, 64), Fixed(packed(1, 6, 2, 4 * bits)), Fixed(np.abs(random(2, 12)))]
    if zeros:
        inputs.append(Fixed(packed(3, 6, -(-2 * bits // 8))))
    options = {"K": 64, "N": 6, "bits": bits, "block_size": 32, "accuracy_level": 4}
    model, feeds = node_model("MatMulNBits", inputs, domain=MICROSOFT, **options)
    backend = OnnxRuntimeBackend()
    expected = onnxruntime.InferenceSession(model.SerializeToString()).run(None, feeds)[0]
    builder = direct_builder(backend, backend.composites)
    graph = builder.build(import_onnx(model, builder))
    assert [node.op for node in graph.nodes] == ["block_product"]
    (result,) = run_graph(graph, feeds, backend).values()
    np.testing.assert_array_equal(result, expected)
    (exact,) = computed(model, feeds, backend)  # by operators, which round nothing
    assert 0 < np.abs(exact - expected).max() < 0.02 * np.abs(exact).max()


def test_weights_of_few_bits_must_fit(backend: Backend) -> None:
    inputs: list[Given] = [random(0, 3, 64), packed(1, 6, 4, 8), Fixed(np.abs(random(2, 24)))]
    model, feeds = node_model("MatMulNBits", inputs, domain=MICROSOFT, K=64, N=6, bits=4, block_size=16)
    with pytest.raises(NotSupportedError, match="the weights"):
        computed(model, feeds, backend)


@pytest.mark.parametrize("dtype", [ml_dtypes.uint4, ml_dtypes.int4, np.uint8])
@pytest.mark.parametrize("zeros", [True, False])
def test_rows_of_a_table_of_few_bits(backend: Backend, dtype: Any, zeros: bool) -> None:
    generator = np.random.default_rng(0)
    low = -8 if dtype is ml_dtypes.int4 else 0
    if dtype is np.uint8:
        table, points = packed(1, 5, 16), packed(2, 5, 1)
    else:
        table = generator.integers(low, low + 16, (5, 32)).astype(dtype)
        points = generator.integers(low, low + 16, (5, 2)).astype(dtype)
    indices = np.array([[0, 4], [2, 2]], np.int64)
    inputs: list[Given] = [Fixed(table), indices, Fixed(np.abs(random(3, 5, 2)))]
    inputs += [Fixed(points)] if zeros else []
    check(backend, "GatherBlockQuantized", inputs, block_size=16, quantize_axis=1, gather_axis=0)
