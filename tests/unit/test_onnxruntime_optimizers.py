"""Graphs on which an optimizer of onnxruntime fails, ends the process, or does harm, unless it is kept from them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from tests.direct import compute, direct_builder, run_graph
from webnn.backends.base import Backend, Cancellation, CompileOptions
from webnn.backends.onnx.lower import lower
from webnn.backends.onnxruntime import backend as onnxruntime_backend
from webnn.backends.onnxruntime.backend import STORED, OnnxRuntimeBackend
from webnn.backends.onnxruntime.kernels import cpu_kernels
from webnn.backends.onnxruntime.optimizers import harmful_optimizers, slowing_optimizers
from webnn.graph.builder import MLGraphBuilder
from webnn.graph.ir import Graph
from webnn.graph.operand import MLOperand

Builder = MLGraphBuilder[Any]


@pytest.mark.parametrize(
    "between",
    [lambda b, x: x, lambda b, x: b.add(x, b.constant("float32", 0)), lambda b, x: b.identity(b.identity(x))],
    ids=["nothing", "a sum that vanishes", "identities"],
)
@pytest.mark.parametrize("permutation", [(1, 0, 2), (1, 2, 0), (0, 2, 1)], ids=str)
def test_a_product_may_follow_a_cast_of_a_transposition(
    backend: Backend, permutation: tuple[int, ...], between: Callable[..., MLOperand]
) -> None:
    x = np.arange(24, dtype=np.float16).reshape(2, 3, 4)
    moved = x.transpose(permutation)
    w = np.ones((moved.shape[2], 5), np.float32)

    def build(b: Builder, x: MLOperand, w: MLOperand) -> MLOperand:
        return b.matmul(between(b, b.cast(b.transpose(x, permutation=permutation), "float32")), w)

    assert compute(backend, build, x, w).tolist() == (moved @ w).tolist()


@pytest.mark.parametrize("names", [("y", "z"), ("z", "y")])
def test_a_value_may_be_returned_and_padded(backend: Backend, names: tuple[str, str]) -> None:
    builder = direct_builder(backend)
    y = builder.relu(builder.input("x", [1, 1, 2, 2], "float32"))
    padded = builder.pad(y, [0, 0, 1, 0], [0, 0, 0, 0])
    z = builder.conv2d(padded, builder.constant(np.ones((1, 1, 2, 2), np.float32)))
    graph = builder.build({name: {"y": y, "z": z}[name] for name in names})
    outputs = run_graph(graph, {"x": np.array([[[[1, 2], [3, -4]]]])}, backend)
    assert outputs["y"].tolist() == [[[[1, 2], [3, 0]]]]
    assert outputs["z"].tolist() == [[[[3], [6]]]]


@pytest.mark.parametrize("dtype", [np.int8, np.int32], ids=["int8", "int32"])
@pytest.mark.parametrize(
    "move",
    [
        lambda b, x: b.max_pool2d(x, window_dimensions=[1, 1]),
        lambda b, x: b.reshape(x, [3, 2]),
        lambda b, x: b.slice(x, [0, 0, 0, 0], [1, 1, 1, 3]),
        lambda b, x: b.transpose(x),
    ],
    ids=["max_pool2d", "reshape", "slice", "transpose"],
)
@pytest.mark.parametrize("then", [lambda b, x: b.relu(x), lambda _, x: x], ids=["computed with", "returned"])
def test_what_is_dequantized_may_be_moved(
    backend: Backend, then: Callable[..., MLOperand], move: Callable[..., MLOperand], dtype: Any
) -> None:
    x, scale = np.arange(-3, 3, dtype=dtype).reshape(1, 1, 2, 3), np.full((1, 1, 1, 1), 0.5, np.float32)

    def build(b: Builder, x: MLOperand) -> MLOperand:
        return then(b, move(b, b.dequantize_linear(x, b.constant(scale), b.constant(scale.astype(dtype)))))

    def expected(b: Builder, x: MLOperand) -> MLOperand:
        return then(b, move(b, x))

    np.testing.assert_array_equal(compute(backend, build, x), compute(backend, expected, x.astype(np.float32) / 2))


@pytest.mark.parametrize(
    "dtype", [np.float32, np.float16, np.int32, np.uint32, np.int8], ids=lambda dtype: dtype.__name__
)
@pytest.mark.parametrize("shape", [(), (1,), (1, 1)], ids=str)
def test_a_one_with_axes_that_is_divided_and_multiplied_keeps_its_axes(
    backend: Backend, shape: tuple[int, ...], dtype: Any
) -> None:
    x, z, one = np.array([2, 3, 1], dtype), np.array([4, 9, 4], dtype), np.ones(shape, dtype)

    def directly(b: Builder, x: MLOperand, z: MLOperand) -> MLOperand:
        return b.mul(b.div(b.constant(one), x), z)

    def reshaped(b: Builder, x: MLOperand, z: MLOperand) -> MLOperand:
        return b.mul(b.div(b.reshape(b.constant(np.ones((), dtype)), shape), x), z)

    expected = (one / x).astype(dtype) * z
    for build in (directly, reshaped):
        result = compute(backend, build, x, z)
        assert result.shape == expected.shape
        np.testing.assert_allclose(result, expected, rtol=1e-3)


def optimizers_kept_from(build: Callable[[Builder, MLOperand], dict[str, MLOperand]]) -> frozenset[str]:
    builder = direct_builder()
    return harmful_optimizers(lower(builder.build(build(builder, builder.input("x", [2, 3, 4], "float32")))).finish())


def test_graphs_that_do_no_harm_keep_every_optimizer() -> None:
    def attention(b: Builder, x: MLOperand) -> dict[str, MLOperand]:
        scores = b.softmax(b.matmul(x, b.transpose(x, permutation=[0, 2, 1])), 2)
        y = b.pad(b.matmul(b.cast(b.cast(scores, "float16"), "float32"), x), [0, 0, 1], [0, 0, 1])
        scale, zero = b.constant("float32", 0.5), b.constant("int8", 3)
        quantized = b.quantize_linear(y, b.reshape(scale, [1, 1, 1]), b.reshape(zero, [1, 1, 1]))
        return {"y": b.dequantize_linear(quantized, b.reshape(scale, [1, 1, 1]), b.reshape(zero, [1, 1, 1]))}

    assert optimizers_kept_from(attention) == frozenset()


def test_normalizations_of_one_value_that_are_spelled_out_are_both_fused(tmp_path: Path) -> None:
    builder = direct_builder()
    x = builder.input("x", [2, 3, 4], "float32")

    def normalized(scale: float) -> MLOperand:
        weights = [builder.constant(np.full(4, value, np.float32)) for value in (scale, 0.5)]
        centred = builder.sub(x, builder.reduce_mean(x, axes=[2], keep_dimensions=True))
        squares = builder.pow(centred, builder.constant("float32", 2))
        squares = builder.reduce_mean(squares, axes=[2], keep_dimensions=True)
        deviation = builder.sqrt(builder.add(squares, builder.constant("float32", 1e-5)))
        return builder.neg(builder.add(builder.mul(builder.div(centred, deviation), weights[0]), weights[1]))

    graph = builder.build({"y": normalized(2), "z": normalized(3)})
    OnnxRuntimeBackend().compile_to(tmp_path, graph, CompileOptions(), Cancellation())
    found = [node.op_type for node in onnx.load(tmp_path / STORED, load_external_data=False).graph.node]
    assert sorted(found) == ["LayerNormalization", "LayerNormalization", "Neg", "Neg"]


def test_a_graph_with_both_loses_both() -> None:
    def both(b: Builder, x: MLOperand) -> dict[str, MLOperand]:
        cast = b.cast(b.cast(b.transpose(x), "float16"), "float32")
        scale, zero = (b.constant(np.ones([1, 1, 1], dtype)) for dtype in (np.float32, np.int8))
        moved = b.reshape(b.dequantize_linear(b.cast(x, "int8"), scale, zero), [24])
        return {"y": b.matmul(cast, b.constant(np.ones((2, 5), np.float32))), "z": b.relu(moved)}

    assert optimizers_kept_from(both) == {"MatmulTransposeFusion", "QDQPropagationTransformer"}


def scores(queries: int) -> Graph:
    """The scaled products of `queries` rows with the keys of two heads."""
    b = direct_builder()
    q = b.input("q", [1, 2, queries, 8], "float32")
    k = b.input("k", [1, 2, 32, 8], "float32")
    products = b.matmul(q, b.transpose(k, permutation=[0, 1, 3, 2]))
    return b.build({"scores": b.mul(products, b.constant("float32", 0.3))})


def test_the_scores_of_one_query_are_scaled_by_a_node_of_their_own(tmp_path: Path) -> None:
    for queries, expected in ((1, ["Mul", "FusedMatMul"]), (2, ["FusedMatMul"])):
        store = tmp_path / str(queries)
        store.mkdir()
        OnnxRuntimeBackend().compile_to(store, scores(queries), CompileOptions(), Cancellation())
        nodes = [node.op_type for node in onnx.load(store / STORED, load_external_data=False).graph.node]
        assert nodes == expected


@pytest.mark.parametrize("queries", [1, 2])
def test_scores_are_right_with_and_without_the_fusion_of_scales(backend: Backend, queries: int) -> None:
    generator = np.random.default_rng(0)
    q = generator.standard_normal((1, 2, queries, 8), np.float32)
    k = generator.standard_normal((1, 2, 32, 8), np.float32)
    exact = q.astype("d") @ k.astype("d").transpose(0, 1, 3, 2) * 0.3
    np.testing.assert_allclose(run_graph(scores(queries), {"q": q, "k": k}, backend)["scores"], exact, atol=2e-6)


def test_scales_are_fused_where_a_product_has_more_rows_and_where_no_product_could_gain() -> None:
    assert slowing_optimizers(scores(1)) == {"MatMulScaleFusion"}
    assert slowing_optimizers(scores(2)) == frozenset()
    b = direct_builder()
    weights = b.constant(np.ones((8, 4), np.float32))
    graph = b.build({"y": b.matmul(b.input("x", [1, 8], "float32"), weights)})
    assert slowing_optimizers(graph) == frozenset()


def test_large_weights_in_float16_are_converted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime_backend, "LARGE_BYTES", 1024)
    b = direct_builder()
    y = b.input("x", [1, 32], "float16")
    for _ in range(2):
        y = b.relu(b.add(b.matmul(y, b.constant(np.ones((32, 32), np.float16))), b.constant(np.ones(32, np.float16))))
    OnnxRuntimeBackend().compile_to(tmp_path, b.build({"y": y}), CompileOptions(), Cancellation())
    graph = onnx.load(tmp_path / STORED, load_external_data=False).graph
    weights = {weight.name for weight in graph.initializer}
    assert not [node.name for node in graph.node if node.op_type == "Cast" and weights.issuperset(node.input)]


def test_a_sum_and_the_layer_normalization_behind_it_stay_two_kernels(tmp_path: Path) -> None:
    b = direct_builder()
    x, y = (b.input(name, [1, 4, 8], "float32") for name in "xy")
    factors = [b.constant(np.ones(8, np.float32)) for _ in range(2)]
    graph = b.build({"z": b.layer_normalization(b.add(x, y), scale=factors[0], bias=factors[1], axes=[2])})
    OnnxRuntimeBackend().compile_to(tmp_path, graph, CompileOptions(), Cancellation())
    stored = [node.op_type for node in onnx.load(tmp_path / STORED).graph.node]
    assert stored == ["Add", "LayerNormalization"]
    proto = lower(graph, cpu_kernels()).finish()
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "fused.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(proto.SerializeToString(), options)
    fused = [node.op_type for node in onnx.load(tmp_path / "fused.onnx").graph.node]
    assert fused == ["SkipLayerNormalization"], "onnxruntime does not fuse them any more: keep nothing from it"
