"""Composites, expanded as in `.webnn` files, and found again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import webnn
from tests.direct import direct_builder, run_graph
from webnn.backends.arrays.backend import ArraysBackend
from webnn.backends.onnx.lower import lower
from webnn.backends.onnxruntime.backend import OnnxRuntimeBackend
from webnn.backends.onnxruntime.integer_products import integer_products_are_exact
from webnn.backends.onnxruntime.passes.recognized_composites import recognized_composites
from webnn.graph.builder import MLGraphBuilder
from webnn.graph.composites.functions import applied
from webnn.graph.composites.integer_products import integer_product
from webnn.graph.composites.quantization import dynamically_quantized
from webnn.graph.composites.scatter_reduce import scattered_elements, scattered_slices
from webnn.graph.composites.top_k import largest_or_smallest
from webnn.graph.dtypes import DataType
from webnn.graph.ir import Graph
from webnn.graph.operand import MLOperand

Builder = MLGraphBuilder[Any]
Made = Sequence[MLOperand]

exact = pytest.mark.skipif(not integer_products_are_exact(), reason="this processor clips sums of integer products")


def check(build: Callable[[Builder], Made], kinds: dict[str, int]) -> Graph:
    """Compare the results to the bit; `kinds` are the composites that are found and how many of each."""
    b = direct_builder()
    graph = b.build({f"y{i}": operand for i, operand in enumerate(build(b))})
    prepared, r = recognized_composites(graph), np.random.default_rng(0)
    feeds: dict[str, Any] = {}
    for name, each in graph.input_descriptors.items():
        wide = r.standard_normal(each.shape) if each.data_type == "float32" else r.integers(-4, 4, each.shape)
        feeds[name] = (wide % 8 if each.data_type == "uint8" else wide).astype(each.dtype)
    expected, results = run_graph(graph, feeds, ArraysBackend()), run_graph(prepared, feeds, OnnxRuntimeBackend())
    for name, result in results.items():
        if "reduce" in "".join(kinds):  # sums of updates in another order
            np.testing.assert_allclose(result, expected[name], rtol=1e-5, atol=1e-6)
        else:
            np.testing.assert_array_equal(result, expected[name])
    ops = [node.op for node in prepared.nodes]
    assert {kind: ops.count(kind) for kind in kinds} == kinds
    return prepared


@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize(
    ("shape", "axis", "k"),
    [([3, 20], 1, 5), ([20, 3], 0, 2), ([2, 3, 4], 1, 3), ([1, 2000], 1, 30), ([2, 900, 2], 1, 7)],
)
def test_the_largest_or_smallest(shape: list[int], axis: int, k: int, largest: bool) -> None:
    def build(b: Builder) -> Made:
        return largest_or_smallest(b, b.input("x", shape, "float32"), k=k, axis=axis, largest=largest)

    assert [node.op for node in check(build, {"top_k": 1}).nodes] == ["top_k"]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_logarithm_of_a_softmax(axis: int) -> None:
    b = direct_builder()
    x = b.input("x", [3, 4, 5], "float32")
    y = b.add(applied(b, "log_softmax", x, axis=axis), x)
    graph = b.build({"y": y})
    found = recognized_composites(graph)
    assert [node.op for node in found.nodes] == ["log_softmax", "add"]
    feeds = {"x": np.random.default_rng(0).standard_normal((3, 4, 5), np.float32)}
    expected, result = run_graph(graph, feeds, ArraysBackend()), run_graph(found, feeds, OnnxRuntimeBackend())
    np.testing.assert_allclose(result["y"], expected["y"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("axes", [[0], [0, 1]])
def test_a_difference_from_another_sum_of_exponentials_is_no_softmax(axes: list[int]) -> None:
    b = direct_builder()
    x = b.input("x", [3, 4], "float32")
    shifted = b.sub(x, b.reduce_max(x, axes=[1], keep_dimensions=True))
    graph = b.build({"y": b.sub(shifted, b.reduce_log_sum_exp(shifted, axes=axes, keep_dimensions=True))})
    assert recognized_composites(graph) is graph


@pytest.mark.parametrize("output", [0, 1], ids=["values", "indices"])
@pytest.mark.parametrize("size", [20, 2000], ids=["by rank", "by a network"])
def test_only_the_values_or_only_their_indices(size: int, output: int) -> None:
    def build(b: Builder) -> Made:
        return [largest_or_smallest(b, b.input("x", [1, size], "float32"), k=5, axis=1, largest=True)[output]]

    check(build, {"top_k": 1})


@pytest.mark.parametrize("reduction", ["add", "mul", "max", "min"])
@pytest.mark.parametrize("axis", [0, 1])
def test_updates_of_elements(reduction: str, axis: int) -> None:
    def build(b: Builder) -> Made:
        x, updates = b.input("x", [4, 5], "float32"), b.input("updates", [4, 5], "float32")
        indices = b.input("indices", [4, 5], "int64")
        return [scattered_elements(b, x, indices, updates, axis=axis, reduction=reduction)]

    assert [node.op for node in check(build, {"scatter_reduce_elements": 1}).nodes] == ["scatter_reduce_elements"]


@pytest.mark.parametrize("reduction", ["add", "max"])
@pytest.mark.parametrize("depth", [1, 2])
def test_updates_of_slices(reduction: str, depth: int) -> None:
    def build(b: Builder) -> Made:
        x, indices = b.input("x", [4, 5, 3], "float32"), b.input("indices", [7, depth], "int64")
        updates = b.input("updates", [7, *[4, 5, 3][depth:]], "float32")
        return [scattered_slices(b, x, indices, updates, reduction=reduction)]

    check(build, {"scatter_reduce_nd": 1})


@pytest.mark.parametrize("data_type", ["float32", "float16", "int32"])
@pytest.mark.parametrize("reduction", ["add", "mul", "max", "min"])
@pytest.mark.parametrize("depth", [0, 1, 2])
def test_updates_out_of_range_are_left_out_as_in_the_operators(data_type: DataType, reduction: str, depth: int) -> None:
    """At depth 2 some of them have coordinates that are together those of another slice."""
    generator = np.random.default_rng(depth)
    b = direct_builder()
    x, places = b.input("x", [4, 5, 3], data_type), [7, depth] if depth else [4, 9, 3]
    indices = b.input("indices", places, "int32" if depth == 1 else "int64")
    updates = b.input("updates", [7, *[4, 5, 3][depth:]] if depth else places, data_type)
    if depth:
        y = scattered_slices(b, x, indices, updates, reduction=reduction)
    else:
        y = scattered_elements(b, x, indices, updates, axis=1, reduction=reduction)
    graph = b.build({"y": y})
    found = recognized_composites(graph)
    assert len(found.nodes) == 1
    feeds = {"x": generator.integers(1, 9, x.shape), "updates": generator.integers(1, 4, updates.shape)}
    feeds["indices"] = generator.choice([-(2**30), -6, -5, -1, 0, 2, 3, 4, 5, 7, 2**30], places)
    expected, result = run_graph(graph, feeds, ArraysBackend()), run_graph(found, feeds, OnnxRuntimeBackend())
    np.testing.assert_array_equal(result["y"], expected["y"])


def test_updates_that_are_known_to_be_in_range_need_no_spare_place() -> None:
    b = direct_builder()
    x, updates = b.input("x", [4, 5], "float32"), b.input("updates", [7, 5], "float32")
    indices = b.constant(np.array([[0], [3], [-4], [1], [1], [2], [-1]]))
    graph = recognized_composites(b.build({"y": scattered_slices(b, x, indices, updates, reduction="add")}))
    assert [node.op_type for node in lower(graph).finish().graph.node] == ["ScatterND"]


def test_many_updates_of_slices_which_are_added_by_a_product() -> None:
    def build(b: Builder) -> Made:
        x, indices = b.input("x", [100, 64], "float32"), b.input("indices", [400, 1], "int64")
        return [scattered_slices(b, x, indices, b.input("updates", [400, 64], "float32"), reduction="add")]

    check(build, {"scatter_reduce_nd": 1, "matmul": 0})


@exact
def test_dynamic_quantization_and_the_product_behind_it() -> None:
    weights = np.random.default_rng(1).integers(-127, 128, (32, 8), np.int8)

    def build(b: Builder) -> Made:
        x: MLOperand = b.input("x", [4, 32], "float32")
        for _ in range(2):
            quantized, scale, zero = dynamically_quantized(b, x)
            whole = b.mul(b.cast(integer_product(b, quantized, b.constant(weights), zero), "float32"), scale)
            x = b.concat([whole] * 4, 1)
        return [x]

    prepared = check(build, {"dynamic_quantize_linear": 2, "matmul_integer": 2})
    assert not {"matmul", "quantize_linear", "reduce_max", "clamp"} & {node.op for node in prepared.nodes}


@exact
@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
def test_products_that_floats_compute_digit_by_digit(dtype: Any) -> None:
    weights = np.random.default_rng(1).integers(np.iinfo(dtype).min, np.iinfo(dtype).max + 1, (1500, 4), dtype)

    def build(b: Builder) -> Made:
        x, zero = b.input("x", [4, 1500], "uint8"), b.constant("uint8", 3)
        return [integer_product(b, x, b.constant(weights), zero)]

    assert [node.op for node in check(build, {"matmul_integer": 1}).nodes] == ["matmul_integer"]


@exact
def test_products_of_computed_integers() -> None:
    def build(b: Builder) -> Made:
        x, y = b.input("x", [4, 8], "uint8"), b.input("y", [8, 3], "int8")
        return [integer_product(b, x, y, b.input("zero", [], "uint8")), integer_product(b, x, y)]

    assert [node.op for node in check(build, {"matmul_integer": 2}).nodes] == ["matmul_integer"] * 2


def test_operators_that_only_look_alike_are_left_as_they_are() -> None:
    b = direct_builder()
    x, at = b.input("x", [4, 5], "float32"), b.input("at", [4, 5], "int64")
    chosen = b.slice(b.scatter_elements(at, at, at, axis=1), [0, 0], [4, 2])
    is_place = b.equal(b.reshape(at, [4, 1, 5]), b.constant("int64", 3))
    combined = b.reduce_sum(b.where(is_place, b.reshape(x, [4, 1, 5]), b.constant("float32", 0)), axes=[1])
    half = b.cast(b.reduce_max(x), "uint8")
    graph = b.build({"a": b.gather_elements(x, chosen, axis=1), "b": b.add(x, combined), "c": half})
    assert recognized_composites(graph) is graph


def test_an_expansion_with_one_other_number_is_left_as_it_is() -> None:
    b = direct_builder()
    x = b.input("x", [3, 20], "float32")
    graph = b.build({"y": largest_or_smallest(b, x, k=5, axis=1, largest=True)[0]})
    assert recognized_composites(graph) is not graph
    nodes = {node.op: node for node in graph.nodes}
    scatter = nodes["scatter_elements"]
    other = scatter.replace(operands={**scatter.operands, "updates": scatter["indices"]})
    part = nodes["slice"].replace(operands={"input": other.output})
    values = nodes["gather_elements"].replace(operands={"input": x, "indices": part.output})
    altered = Graph([x], {"y": values.output})
    assert recognized_composites(altered) is altered


def test_a_file_of_the_text_format_runs_on_the_kernels_that_its_onnx_file_runs_on(tmp_path: Path) -> None:
    node = helper.make_node("TopK", ["x", "k"], ["values", "indices"], axis=1)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3000])
    values = helper.make_tensor_value_info("values", TensorProto.FLOAT, [1, 40])
    indices = helper.make_tensor_value_info("indices", TensorProto.INT64, [1, 40])
    k = onnx.numpy_helper.from_array(np.array([40]), "k")
    graph = helper.make_graph([node], "g", [x], [values, indices], [k])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    numbers = np.random.default_rng(0).standard_normal((1, 3000), np.float32)
    with webnn.ML().create_context(backend="onnxruntime") as context:
        from_onnx = webnn.load_onnx(model, context)
        from_onnx.save(tmp_path / "top.webnn")
        from_text = webnn.load_webnn(tmp_path / "top.webnn", context)
        (rewrite,) = from_text.explain().rewrites
        assert (rewrite.name, dict(rewrite.added)) == ("recognized composites", {"top_k": 1})
        expected, result = (context.compute(each, {"x": numbers}) for each in (from_onnx, from_text))
        assert all(np.array_equal(result[name], expected[name]) for name in ("values", "indices"))
