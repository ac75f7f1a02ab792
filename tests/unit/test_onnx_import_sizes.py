"""Several imports of one file, as for several sizes of its inputs: they share what depends on its weights alone."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.direct import direct_builder, run_graph
from webnn.backends.arrays.backend import ArraysBackend
from webnn.formats.onnx import import_onnx
from webnn.graph.ir import Graph

WIDTH = 160  # more than 64 KB in float32
WEIGHTS = np.random.default_rng(0).integers(-128, 128, (WIDTH, WIDTH)).astype(np.int8)


def quantized(path: Path, scale: float = 0.5, *, is_external: bool = False) -> Path:
    """A product with weights that are dequantized by operators, of a matrix of any number of rows."""
    nodes = [
        helper.make_node("Cast", ["w"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Constant", [], ["two"], value_float=2.0),
        helper.make_node("Mul", ["scale", "two"], ["factor"]),
        helper.make_node("Mul", ["floats", "factor"], ["dequantized"]),
        helper.make_node("MatMul", ["x", "dequantized"], ["y"]),
    ]
    weights = [numpy_helper.from_array(WEIGHTS, "w"), numpy_helper.from_array(np.array(scale, np.float32), "scale")]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", WIDTH])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", WIDTH])]
    graph = helper.make_graph(nodes, "g", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.save(model, path, save_as_external_data=is_external, location="weights.bin", size_threshold=0)
    return path


def imported(path: Any, rows: int = 1, **options: Any) -> Graph:
    b = direct_builder()
    return b.build(import_onnx(path, b, shapes={"rows": rows}, **options))


def weights_of(graph: Graph) -> np.ndarray[Any, Any]:
    (product,) = [node for node in graph.nodes if node.op == "matmul"]
    constant = product["b"].constant
    assert constant is not None
    return constant


def test_a_second_size_has_the_weights_that_the_first_has_computed(tmp_path: Path) -> None:
    path = quantized(tmp_path / "model.onnx")
    first, second = imported(path, 1), imported(path, 3)
    assert np.shares_memory(weights_of(second), weights_of(first))
    np.testing.assert_array_equal(weights_of(second), WEIGHTS.astype(np.float32))
    x = np.ones((3, WIDTH), np.float32)
    found = run_graph(second, {"x": x}, ArraysBackend())["y"]
    np.testing.assert_allclose(found, x @ WEIGHTS.astype(np.float32))


def test_a_value_in_the_middle_can_be_an_output_of_either(tmp_path: Path) -> None:
    path = quantized(tmp_path / "model.onnx")
    first = imported(path)
    b = direct_builder()
    again = b.build(import_onnx(path, b, shapes={"rows": 2}, outputs=["dequantized", "floats"]))
    found = run_graph(again, {}, ArraysBackend())
    np.testing.assert_array_equal(found["dequantized"], weights_of(first))
    np.testing.assert_array_equal(found["floats"], WEIGHTS)


def test_a_file_that_has_changed_is_read_anew(tmp_path: Path) -> None:
    path = quantized(tmp_path / "model.onnx")
    first = imported(path)
    other = quantized(tmp_path / "other.onnx", scale=1.0)
    os.replace(other, path)
    second = imported(path)
    np.testing.assert_array_equal(weights_of(second), 2 * weights_of(first))


@pytest.mark.parametrize("is_external", [False, True])
def test_other_sources_share_nothing(tmp_path: Path, is_external: bool) -> None:
    path = quantized(tmp_path / "model.onnx", is_external=is_external)
    source = path if is_external else path.read_bytes()
    first, second = imported(source), imported(source)
    assert not np.shares_memory(weights_of(first), weights_of(second))


def test_what_an_option_of_the_import_decides_is_not_shared(tmp_path: Path) -> None:
    model = onnx.load(quantized(tmp_path / "model.onnx"))
    model.graph.input.append(helper.make_tensor_value_info("scale", TensorProto.FLOAT, []))
    onnx.save(model, tmp_path / "model.onnx")
    first = imported(tmp_path / "model.onnx")
    second = imported(tmp_path / "model.onnx", constants={"scale": np.float32(4)})
    np.testing.assert_array_equal(weights_of(second), 8 * weights_of(first))


def test_nothing_is_kept_when_the_graphs_are_gone(tmp_path: Path) -> None:
    from webnn.formats.onnx.importing import computed  # noqa: PLC0415

    path = quantized(tmp_path / "model.onnx")
    graph = imported(path)
    assert any(computed._of_files.values())
    del graph
    gc.collect()
    assert not any("dequantized" in arrays for arrays in computed._of_files.values())
