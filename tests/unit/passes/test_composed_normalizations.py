"""Normalizations, in the ways in which they are written out, as one operator of onnxruntime."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import webnn
from tests.direct import direct_builder, run_graph
from webnn import MLGraphBuilder, MLOperand
from webnn.backends.arrays.backend import ArraysBackend
from webnn.backends.onnxruntime.backend import OnnxRuntimeBackend
from webnn.backends.onnxruntime.passes.composed_normalizations import composed_normalizations
from webnn.graph.composites.composite import expanded
from webnn.graph.ir import Graph

Builder = MLGraphBuilder[Graph]
Form = Callable[[Builder, MLOperand, list[int]], MLOperand]

EPSILON = 1e-3


def number(b: Builder, value: float) -> MLOperand:
    return b.constant("float32", value)


def mean_square(b: Builder, x: MLOperand, axes: list[int]) -> MLOperand:
    return b.reduce_mean(b.pow(x, number(b, 2)), axes=axes, keep_dimensions=True)


def over_a_root(b: Builder, x: MLOperand, axes: list[int]) -> MLOperand:
    return b.div(x, b.sqrt(b.add(mean_square(b, x, axes), number(b, EPSILON))))


def times_a_reciprocal(b: Builder, x: MLOperand, axes: list[int]) -> MLOperand:
    root = b.sqrt(b.add(number(b, EPSILON), b.reduce_mean(b.mul(x, x), axes=axes, keep_dimensions=True)))
    return b.mul(b.reciprocal(root), x)


def times_one_over_a_root(b: Builder, x: MLOperand, axes: list[int]) -> MLOperand:
    return b.mul(x, b.div(number(b, 1), b.sqrt(b.add(mean_square(b, x, axes), number(b, EPSILON)))))


def times_a_power(b: Builder, x: MLOperand, axes: list[int]) -> MLOperand:
    return b.mul(x, b.pow(b.add(mean_square(b, x, axes), number(b, EPSILON)), number(b, -0.5)))


def over_a_power(b: Builder, x: MLOperand, axes: list[int]) -> MLOperand:
    return b.div(x, b.pow(b.linear(mean_square(b, x, axes), beta=EPSILON), number(b, 0.5)))


def by_a_sum_of_squares(b: Builder, x: MLOperand, axes: list[int]) -> MLOperand:
    total = b.reduce_sum_square(x, axes=axes, keep_dimensions=True)
    count = float(np.prod([x.shape[axis] for axis in axes]))
    return b.div(x, b.sqrt(b.add(b.div(total, number(b, count)), number(b, EPSILON))))


def by_a_linear_sum(b: Builder, x: MLOperand, axes: list[int]) -> MLOperand:
    total = b.reduce_sum(b.mul(x, x), axes=axes, keep_dimensions=True)
    return b.div(x, b.sqrt(b.linear(total, alpha=1 / np.prod([x.shape[axis] for axis in axes]), beta=EPSILON)))


FORMS = [
    over_a_root,
    times_a_reciprocal,
    times_one_over_a_root,
    times_a_power,
    over_a_power,
    by_a_sum_of_squares,
    by_a_linear_sum,
]


def graph_of(form: Form, shape: list[int], axes: list[int], scale: list[int] | None = None) -> Graph:
    b = direct_builder()
    x = b.input("x", shape, "float32")
    y = form(b, x, axes)
    if scale is not None:
        y = b.mul(b.input("scale", scale, "float32"), y)
    return b.build({"y": b.neg(y)})


def check(graph: Graph, factor: float = 1.0, ulps: int = 4) -> list[str]:
    """The operators that are left, but for reshapes, once the results were compared in ULPs."""
    prepared, r = composed_normalizations(graph), np.random.default_rng(0)
    feeds = {name: r.standard_normal(each.shape, np.float32) for name, each in graph.input_descriptors.items()}
    feeds["x"] = feeds["x"] * np.float32(factor)
    exact = run_graph(graph, feeds, ArraysBackend())["y"]
    for result in (
        run_graph(expanded(prepared), feeds, ArraysBackend())["y"],
        run_graph(prepared, feeds, OnnxRuntimeBackend())["y"],
    ):
        np.testing.assert_array_max_ulp(result, exact, ulps)
    return [node.op for node in prepared.nodes if node.op != "reshape"]


@pytest.mark.parametrize("scale", [None, [64], [1, 1, 64]], ids=str)
@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_each_form_becomes_one_operator_with_the_same_result(form: Form, scale: list[int] | None) -> None:
    assert check(graph_of(form, [2, 3, 64], [2], scale)) == ["rms_normalization", "neg"]


@pytest.mark.parametrize(
    ("shape", "axes", "scale"),
    [([7, 5], [1], [5]), ([2, 3, 4, 8], [2, 3], [4, 8]), ([4, 2], [0, 1], [4, 2]), ([2, 3, 4, 8], [3], [8])],
    ids=str,
)
def test_any_number_of_last_dimensions_is_normalized(shape: list[int], axes: list[int], scale: list[int]) -> None:
    assert check(graph_of(over_a_root, shape, axes, scale)) == ["rms_normalization", "neg"]


@pytest.mark.parametrize(("size", "factor"), list(itertools.product([2, 33, 768, 4096], [1e-4, 1.0, 1e4])))
def test_results_are_as_accurate_for_any_size_and_magnitude(size: int, factor: float) -> None:
    assert check(graph_of(over_a_root, [3, size], [1], [size]), factor) == ["rms_normalization", "neg"]


@pytest.mark.parametrize("value", [0.0, 1e-30, 1e30, np.inf, np.nan])
def test_extreme_numbers_give_what_the_operators_give(value: float) -> None:
    graph = graph_of(over_a_root, [1, 8], [1])
    x = np.array([[1, value, 2, 0, -1, -value, 3, 4]], np.float32)
    before, after = (
        run_graph(each, {"x": x}, backend)["y"]
        for each, backend in ((graph, ArraysBackend()), (composed_normalizations(graph), OnnxRuntimeBackend()))
    )
    np.testing.assert_allclose(after, before, rtol=1e-6)


def test_a_factor_of_another_shape_stays_behind() -> None:
    assert check(graph_of(over_a_root, [2, 3, 64], [2], [3, 64])) == ["rms_normalization", "mul", "neg"]


def test_a_quotient_that_is_read_twice_is_scaled_behind() -> None:
    b = direct_builder()
    x = b.input("x", [3, 8], "float32")
    y = over_a_root(b, x, [1])
    scales = [b.constant(np.full(8, i, np.float32)) for i in (2, 3)]
    graph = b.build({"y": b.sub(b.mul(y, scales[0]), b.mul(y, scales[1]))})
    assert check(graph) == ["rms_normalization", "mul", "mul", "sub"]


def test_normalizations_in_a_row_are_all_found() -> None:
    graph = graph_of(lambda b, x, axes: times_a_reciprocal(b, over_a_root(b, x, axes), axes), [3, 8], [1])
    assert check(graph) == ["rms_normalization", "rms_normalization", "neg"]


@pytest.mark.parametrize("parts", ["neither", "scale", "bias", "scale and bias"])
@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_centred_numbers_are_layer_normalized(form: Form, parts: str) -> None:
    b = direct_builder()
    x = b.input("x", [2, 3, 64], "float32")
    y = form(b, b.sub(x, b.reduce_mean(x, axes=[2], keep_dimensions=True)), [2])
    y = b.mul(y, b.input("scale", [64], "float32")) if "scale" in parts else y
    y = b.add(b.input("bias", [1, 64], "float32"), y) if "bias" in parts else y
    graph = b.build({"y": b.neg(y)})
    prepared, r = composed_normalizations(graph), np.random.default_rng(0)
    feeds = {name: r.standard_normal(each.shape, np.float32) for name, each in graph.input_descriptors.items()}
    expected = run_graph(graph, feeds, ArraysBackend())["y"]
    for backend in (ArraysBackend(), OnnxRuntimeBackend()):
        result = run_graph(prepared, feeds, backend)["y"]
        assert np.abs(result - expected).max() <= 4 * np.spacing(np.abs(expected).max())
    assert [node.op for node in prepared.nodes if node.op != "reshape"] == ["layer_normalization", "neg"]


def test_centred_numbers_that_others_read_too_are_normalized_as_they_are() -> None:
    b = direct_builder()
    x = b.input("x", [3, 8], "float32")
    centred = b.sub(x, b.reduce_mean(x, axes=[1], keep_dimensions=True))
    ops = check(b.build({"y": b.max(over_a_root(b, centred, [1]), centred)}))
    assert ops == ["reduce_mean", "sub", "rms_normalization", "max"]


def read_on_the_way(b: Builder, x: MLOperand, axes: list[int]) -> MLOperand:
    root = b.sqrt(b.add(mean_square(b, x, axes), number(b, EPSILON)))
    return b.add(b.div(x, root), root)


@pytest.mark.parametrize(
    "form",
    [
        read_on_the_way,
        lambda b, x, axes: b.div(x, b.sqrt(mean_square(b, b.neg(x), axes))),
        lambda b, x, axes: b.div(x, b.sqrt(b.reduce_mean(b.pow(x, number(b, 3)), axes=axes, keep_dimensions=True))),
        lambda b, x, axes: b.div(x, b.sqrt(b.reduce_sum(b.mul(x, x), axes=axes, keep_dimensions=True))),
        lambda b, x, axes: b.mul(x, b.sqrt(mean_square(b, x, axes))),
        lambda b, x, axes: b.div(x, b.sqrt(mean_square(b, x, [0]))),
        lambda b, x, axes: b.div(x, b.sqrt(b.add(mean_square(b, x, axes), number(b, -1)))),
    ],
    ids=["a root that is read", "of another", "third power", "a norm", "times the root", "another axis", "minus one"],
)
def test_what_only_looks_alike_is_left_as_it_is(form: Form) -> None:
    graph = graph_of(form, [3, 8], [1])
    assert composed_normalizations(graph) is graph


def test_float16_is_left_as_it_is() -> None:
    b = direct_builder()
    x = b.input("x", [3, 8], "float16")
    mean = b.reduce_mean(b.mul(x, x), axes=[1], keep_dimensions=True)
    graph = b.build({"y": b.div(x, b.sqrt(mean))})
    assert composed_normalizations(graph) is graph


@pytest.mark.parametrize("op_type", ["RMSNormalization", "SimplifiedLayerNormalization"])
def test_the_operator_in_a_file_is_found_again(op_type: str) -> None:
    node = helper.make_node(op_type, ["x", "scale"], ["y"], axis=-1)
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 8]) for name in "xy")
    weights = [onnx.numpy_helper.from_array(np.ones(8, np.float32), "scale")]
    graph = helper.make_graph([node], "g", [x], [y], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=10)
    with webnn.ML().create_context(backend="onnxruntime") as context:
        (rewrite,) = webnn.load_onnx(model, context).explain().rewrites
    assert (rewrite.name, dict(rewrite.added)) == ("composed normalizations", {"rms_normalization": 1})
