"""Composites: nodes that backends lower as they are, or as the operators that they stand for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest

import webnn
from tests.direct import direct_builder, every_composite, run_graph
from webnn.backends.arrays.backend import ArraysBackend
from webnn.backends.base import Backend
from webnn.backends.null import NullBackend
from webnn.backends.onnx.lowerings import FUNCTIONS, _family_of, lowerings
from webnn.backends.onnxruntime.backend import OnnxRuntimeBackend
from webnn.errors import NotSupportedError
from webnn.graph.composites import attention as _attention  # noqa: F401 (makes its composite known)
from webnn.graph.composites import integer_products
from webnn.graph.composites.block_product import product_by_blocks
from webnn.graph.composites.composite import expanded
from webnn.graph.composites.functions import applied
from webnn.graph.composites.scatter_reduce import REDUCTIONS, scattered_elements, scattered_slices
from webnn.graph.composites.top_k import largest_or_smallest
from webnn.graph.dtypes import DataType
from webnn.graph.ir import Graph
from webnn.graph.operator import OPERATORS, default_label

NATIVE = OnnxRuntimeBackend().composites
SCORES = np.random.default_rng(0).integers(0, 9, (3, 20)).astype(np.float32)


def top_5(composites: Any = NATIVE, size: int = 20) -> Graph:
    builder = direct_builder(composites=composites)
    with default_label(builder, "best"):
        values, places = largest_or_smallest(
            builder, builder.input("x", [3, size], "float32"), k=5, axis=1, largest=True
        )
    return builder.build({"values": values, "places": places})


def ops(graph: Graph) -> set[str]:
    return {node.op for node in graph.nodes}


def test_onnxruntime_lowers_every_composite() -> None:
    """The importer makes those that it lists, and its passes make the others."""
    composites = set(every_composite())
    assert set(NATIVE) <= composites
    assert all(name in lowerings for name in composites)
    assert not composites & set(OPERATORS)


def test_a_composite_is_lowered_without_the_modules_of_other_families() -> None:
    found = {name: lowerings._table[name].__module__ for name in every_composite() if name in lowerings}
    here = {name: module for name, module in found.items() if module.startswith("webnn.backends.onnx.")}
    assert len(here) > 3
    assert {name: _family_of(name) for name in here} == here


@pytest.mark.parametrize("backend", [ArraysBackend, NullBackend])
def test_a_backend_that_lists_no_composites_gets_operators(backend: Any) -> None:
    assert ops(top_5(NATIVE)) == {"top_k"}
    assert ops(top_5(backend().composites)) <= set(OPERATORS)


def test_an_expansion_computes_what_the_kernel_computes() -> None:
    graph, backend = top_5(), OnnxRuntimeBackend()
    native, spelled_out = (run_graph(g, {"x": SCORES}, backend) for g in (graph, expanded(graph)))
    assert ops(expanded(graph)) <= set(OPERATORS)
    for name, values in native.items():
        np.testing.assert_array_equal(values, spelled_out[name])


OPTIONS: dict[str, dict[str, Any]] = {
    "celu": {"alpha": 2.0},
    "hardmax": {"axis": 0},
    "log_softmax": {"axis": 1},
    "selu": {"alpha": 1.5, "gamma": 1.25},
    "shrink": {"bias": 0.25, "lambd": 0.5},
    "thresholded_relu": {"alpha": 0.5},
}


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
@pytest.mark.parametrize("data_type", ["float32", "float16"])
def test_a_function_is_one_kernel_with_the_results_of_its_operators(name: str, data_type: DataType) -> None:
    builder = direct_builder(composites=NATIVE)
    y = applied(builder, name, builder.input("x", [4, 250], data_type), **OPTIONS.get(name, {}))
    graph = builder.build({"y": y})
    assert ops(graph) == {name}
    x = np.linspace(1, 4, 1000) if name == "acosh" else np.linspace(-0.99, 0.99, 1000)
    x = np.random.default_rng(3).permutation(x).reshape(4, 250).astype(data_type)
    native, spelled_out = (run_graph(g, {"x": x}, OnnxRuntimeBackend())["y"] for g in (graph, expanded(graph)))
    # Onnxruntime computes functions of float16 in float32, and rounds once; the operators round each time.
    rtol, atol = (1e-5, 5e-7) if data_type == "float32" else (1e-2, 5e-3)
    np.testing.assert_allclose(native, spelled_out, rtol=rtol, atol=atol)


@pytest.mark.parametrize("name", sorted({*FUNCTIONS} - {"hardmax"}))
@pytest.mark.parametrize("backend", [OnnxRuntimeBackend(), ArraysBackend()], ids=["onnxruntime", "arrays"])
def test_the_operators_of_a_function_give_its_results_at_the_ends_of_its_range_and_outside(
    name: str, backend: Backend
) -> None:
    numbers = [0, 0.5, 1, 1.0000001, 2, 100, 88.7, 1e4, 1e10, 1e19, 3e38, 1e-7, 1e-40, np.inf]
    x = np.array([*numbers, *np.negative(numbers), np.nan], np.float32)[:, None]
    builder = direct_builder(composites=NATIVE)
    y = applied(builder, name, builder.input("x", x.shape, "float32"), **OPTIONS.get(name, {}))
    graph = builder.build({"y": y})
    native = run_graph(graph, {"x": x}, OnnxRuntimeBackend())["y"]
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(run_graph(expanded(graph), {"x": x}, backend)["y"], native, rtol=1e-5, atol=1e-6)


def test_the_logarithm_of_a_softmax_is_finite_where_the_softmax_underflows() -> None:
    builder = direct_builder(composites=NATIVE)
    graph = builder.build({"y": applied(builder, "log_softmax", builder.input("x", [1, 3], "float32"), axis=1)})
    result = run_graph(graph, {"x": np.array([[0, 300, -300]], np.float32)}, OnnxRuntimeBackend())["y"]
    np.testing.assert_allclose(result, [[-300, 0, -600]])


def test_expanding_leaves_other_graphs_and_wanted_composites_as_they_are() -> None:
    graph = top_5()
    assert expanded(graph, keep=NATIVE) is graph
    assert expanded(expanded(graph)) is not graph
    without = expanded(graph)
    assert expanded(without) is without


@pytest.mark.parametrize("reduction", sorted(REDUCTIONS))
@pytest.mark.parametrize("data_type", ["float32", "float16", "int32", "int64", "uint8"])
@pytest.mark.parametrize("is_constant", [False, True])
def test_scattering_with_a_reduction(reduction: str, data_type: DataType, is_constant: bool) -> None:
    """Equal indices, negative ones, and fewer updates than elements along the other axis."""
    generator = np.random.default_rng(1)
    x = generator.integers(1 if data_type == "uint8" else -4, 5, (6, 5)).astype(data_type)
    updates = generator.integers(1, 4, (9, 4)).astype(data_type)
    places = generator.integers(-6, 6, (9, 4))
    builder = direct_builder(composites=NATIVE)
    indices = builder.constant(places) if is_constant else builder.input("i", [9, 4], "int64")
    data, changes = builder.input("x", [6, 5], data_type), builder.input("u", [9, 4], data_type)
    result = scattered_elements(builder, data, indices, changes, axis=0, reduction=reduction)
    graph, feeds = builder.build({"y": result}), {"x": x, "u": updates, "i": places}
    wanted = x.astype(np.float64)
    combine = {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}[reduction]
    combine.at(wanted, (places % 6, np.broadcast_to(np.arange(4), places.shape)), updates.astype(np.float64))
    for each in (graph, expanded(graph)):
        np.testing.assert_allclose(
            run_graph(each, feeds, OnnxRuntimeBackend())["y"], wanted.astype(data_type), rtol=2e-3
        )


@pytest.mark.parametrize("reduction", sorted(REDUCTIONS))
@pytest.mark.parametrize("data_type", ["float32", "float16", "int32", "int64", "uint8", "int8", "uint32", "uint64"])
def test_scattering_slices_with_a_reduction(reduction: str, data_type: DataType) -> None:
    generator = np.random.default_rng(1)
    x, updates = (generator.integers(1, 5, shape).astype(data_type) for shape in ((6, 5), (9, 5)))
    places = generator.integers(0, 6, (9, 1))
    builder = direct_builder(composites=NATIVE)
    data, changes = builder.input("x", [6, 5], data_type), builder.input("u", [9, 5], data_type)
    result = scattered_slices(builder, data, builder.input("i", [9, 1], "int64"), changes, reduction=reduction)
    graph, feeds = builder.build({"y": result}), {"x": x, "u": updates, "i": places}
    wanted = x.copy()
    combine = {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}[reduction]
    combine.at(wanted, places[:, 0], updates)
    for each in (graph, expanded(graph)):
        np.testing.assert_allclose(run_graph(each, feeds, OnnxRuntimeBackend())["y"], wanted, rtol=2e-3)


def test_messages_of_a_graph_network_are_summed_at_its_nodes() -> None:
    """20000 edges of 128 features, which are too many to compare with 2000 nodes."""
    builder = direct_builder(composites=NATIVE)
    indices, updates = builder.input("i", [20000, 1], "int64"), builder.input("u", [20000, 128], "float32")
    zeros = builder.expand(builder.constant("float32", 0), [2000, 128])
    with default_label(builder, "aggregate"):
        graph = builder.build({"y": scattered_slices(builder, zeros, indices, updates, reduction="add")})
    generator = np.random.default_rng(2)
    targets, messages = generator.integers(0, 2000, 20000), generator.standard_normal((20000, 128), np.float32)
    wanted = np.zeros((2000, 128))
    np.add.at(wanted, targets, messages)
    feeds = {"i": targets[:, None], "u": messages}
    np.testing.assert_allclose(run_graph(graph, feeds, OnnxRuntimeBackend())["y"], wanted, atol=1e-4)
    with pytest.raises(NotSupportedError, match=r"^\[aggregate\] scatter_reduce_nd: .* too many to compare with 2000"):
        expanded(graph)


def test_a_context_compiles_composites_and_files_hold_operators(tmp_path: Path) -> None:
    from tests.onnx_nodes import Fixed, node_model  # noqa: PLC0415
    from webnn.formats.onnx import load_onnx  # noqa: PLC0415

    model, feeds = node_model("TopK", [SCORES, Fixed(np.array([5]))], outputs=[True, True])
    with webnn.ML().create_context(backend="onnxruntime") as context:
        graph = load_onnx(model, context)
        values = context.compute(graph, feeds)
        for name in ("best.webnn", "best.json", "best.onnx"):
            graph.save(tmp_path / name)
        loaded = [
            webnn.load_webnn(tmp_path / "best.webnn", context),
            webnn.load_webnn(tmp_path / "best.json", context),
            load_onnx(tmp_path / "best.onnx", context),
        ]
        for again in loaded:
            for name, found in context.compute(again, feeds).items():
                np.testing.assert_array_equal(found, values[name])
    assert "topK" not in (tmp_path / "best.webnn").read_text()
    assert "TopK" in (tmp_path / "best.onnx").read_bytes().decode("latin1")


def test_files_hold_the_operators_of_a_composite_that_standard_onnx_lacks(tmp_path: Path) -> None:
    from webnn.formats.onnx import load_onnx  # noqa: PLC0415

    generator = np.random.default_rng(0)
    weights = generator.integers(0, 16, (64, 5)).astype(ml_dtypes.uint4)
    x = generator.standard_normal((3, 64)).astype(np.float32)
    with webnn.ML().create_context(backend="onnxruntime") as context:
        b = context.create_graph_builder()
        constants = [
            b.constant(each) for each in (weights, np.ones((2, 5), np.float32), np.full((2, 5), 8, weights.dtype))
        ]
        y = product_by_blocks(b, b.input("x", x.shape, "float32"), *constants, bits=4, rounded=True)
        graph = b.build({"y": y})
        rounded = context.compute(graph, {"x": x})["y"]
        graph.save(tmp_path / "product.webnn")
        graph.save(tmp_path / "product.onnx")
        exact = x.astype(np.float64) @ (weights.astype(np.float64) - 8)
        for again in (
            webnn.load_webnn(tmp_path / "product.webnn", context),
            load_onnx(tmp_path / "product.onnx", context),
        ):
            np.testing.assert_allclose(context.compute(again, {"x": x})["y"], exact, atol=1e-3)
    assert np.abs(rounded - exact).max() > 1e-3
    operators = {node.op_type for node in onnx.load(tmp_path / "product.onnx").graph.node}
    assert operators == {"DequantizeLinear", "MatMul"}


@pytest.mark.parametrize("largest", [False, True])
def test_the_largest_integers_are_sorted_without_a_sign(largest: bool) -> None:
    x = np.array([2**63 + 5, 3, 2**64 - 1, 2**63], np.uint64)
    builder = direct_builder(composites=NATIVE)
    values, places = largest_or_smallest(builder, builder.input("x", [4], "uint64"), k=3, axis=0, largest=largest)
    found = run_graph(builder.build({"values": values, "places": places}), {"x": x}, OnnxRuntimeBackend())
    order = [2, 0, 3] if largest else [1, 3, 0]
    assert found["places"].tolist() == order
    assert found["values"].tolist() == x[order].tolist()


def test_the_largest_integers_are_multiplied_exactly() -> None:
    """On processors that clip sums of two products to 16 bits, by floats."""
    x, y = np.full((2, 64), 255, np.uint8), np.full((64, 3), 127, np.int8)
    y[:, 1] = -128
    builder = direct_builder(composites=NATIVE)
    product = integer_products.integer_product(builder, builder.input("x", x.shape, "uint8"), builder.constant(y))
    graph = builder.build({"y": product})
    for each in (graph, expanded(graph)):
        found = run_graph(each, {"x": x}, OnnxRuntimeBackend())["y"]
        np.testing.assert_array_equal(found, x.astype(np.int32) @ y.astype(np.int32))


def test_integers_are_multiplied_as_floats_where_the_processor_clips_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    from webnn.backends.onnxruntime import integer_products as module  # noqa: PLC0415

    monkeypatch.setattr(module, "integer_products_are_exact", lambda: False)
    composites = OnnxRuntimeBackend().composites
    assert "matmul_integer" not in composites
    builder = direct_builder(composites=composites)
    x, y = (builder.input(name, [2, 2], "int8") for name in "xy")
    assert "matmul" in ops(builder.build({"z": integer_products.integer_product(builder, x, y)}))
