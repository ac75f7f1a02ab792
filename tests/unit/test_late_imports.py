"""Programs import only what they use: the time to the first result is mostly that of imports."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import webnn
from webnn.forking import late_names
from webnn.formats.onnx.importing import operator_table
from webnn.formats.onnx.operators.families import FAMILIES

HEAVY = {
    "_hashlib", "anyio", "asyncio", "email", "importlib.metadata", "ml_dtypes", "onnx", "platformdirs", "ssl",
    "statistics",
}  # fmt: skip
"""Libraries that take 2 to 25 ms or 2 to 4 MB each, and that a program with one model does not need."""
FIRST_RUN = 155
"""The most modules of this package that a small model needs, of about 460."""
PASSES = "webnn.backends.onnxruntime.passes."


def modules_after(*statements: str) -> set[str]:
    """The modules in `sys.modules` of a new interpreter after `statements`."""
    script = "\n".join(["import sys", *statements, "print(*sys.modules)"])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment, timeout=50
    )
    return set(result.stdout.split())


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A small file: relu(x @ w + b)."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["m"]),
        helper.make_node("Add", ["m", "b"], ["a"]),
        helper.make_node("Relu", ["a"], ["y"]),
    ]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, size]) for name, size in (("x", 64), ("y", 32)))
    weights = [numpy_helper.from_array(np.ones((64, 32), np.float32), "w")]
    weights.append(helper.make_tensor("b", TensorProto.FLOAT, [32], [1.0] * 32))
    graph = helper.make_graph(nodes, "g", [x], [y], weights)
    path = tmp_path / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), path)
    return path


def test_the_import_of_the_package_needs_no_heavy_library() -> None:
    loaded = modules_after("import webnn")
    assert loaded & {*HEAVY, "onnxruntime"} == set()


@pytest.mark.parametrize("form", ["onnx", "webnn"])
def test_the_first_run_of_a_small_file_imports_only_what_it_needs(form: str, model: Path) -> None:
    path = model
    if form == "webnn":
        path = model.with_suffix(".webnn")
        with webnn.ML().create_context(backend="null") as context:
            webnn.load_onnx(model, context).save(path)
    loaded = modules_after(
        "import numpy, webnn",
        f"graph = webnn.load_{form}({str(path)!r})",
        "graph.context.compute(graph, {'x': numpy.ones((1, 64), 'float32')})",
    )
    assert loaded & HEAVY == set()
    ours = {name for name in loaded if name.startswith("webnn")}
    assert len(ours) <= FIRST_RUN
    families = {name for name in ours if name.startswith("webnn.formats.onnx.operators.")}
    needed = {"activation", "elementwise", "families", "matrix"} if form == "onnx" else set()
    assert families == {f"webnn.formats.onnx.operators.{name}" for name in needed}
    passes = {name.removeprefix(PASSES) for name in ours if name.startswith(PASSES)}
    assert passes == {"pipeline", "products_of_one_row"}
    unneeded = (
        *("webnn.backends.disk", "webnn.formats.onnx.importing.constant_folding", "webnn.graph.composites"),
        *("webnn.runtime.spans", "webnn.runtime.streaming.", "webnn.runtime.trac"),
    )
    assert [name for name in ours if name.startswith(unneeded) and name != "webnn.runtime.streaming.calls"] == []


def test_an_ensemble_of_trees_is_loaded_without_masked_arrays_and_trial_products(tmp_path: Path) -> None:
    """`np.unique` imports `numpy.ma`, which takes longer than the rest of the import of such a file.

    Whether products of integers are exact is tried with two sessions, and matters only to graphs that have some.
    """
    attributes: dict[str, Any] = {f"nodes_{name}": [0, 0, 0] for name in ("treeids", "featureids")}
    attributes |= {"nodes_nodeids": [0, 1, 2], "nodes_truenodeids": [1, 0, 0], "nodes_falsenodeids": [2, 0, 0]}
    attributes |= {"target_treeids": [0, 0], "target_nodeids": [1, 2], "target_ids": [0, 0]}
    node = helper.make_node("TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml", n_targets=1, **attributes)
    for name, value in {
        "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF"],
        "nodes_values": [0.5, 0.0, 0.0],
        "target_weights": [1.0, 2.0],
    }.items():
        node.attribute.append(helper.make_attribute(name, value))
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, size]) for name, size in (("x", 2), ("y", 1)))
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("ai.onnx.ml", 3)]
    path = tmp_path / "trees.onnx"
    onnx.save(helper.make_model(helper.make_graph([node], "g", [x], [y]), opset_imports=opsets, ir_version=10), path)
    loaded = modules_after("import webnn", f"webnn.load_onnx({str(path)!r})")
    assert "webnn.formats.onnx.patterns.tree_tables" in loaded
    assert loaded & {"numpy.ma", "webnn.backends.onnxruntime.integer_products"} == set()


def test_weights_in_any_field_are_read_and_folded_without_the_onnx_package(tmp_path: Path) -> None:
    """A zero point in `int32_data`, a sum of constants, and weights that onnxruntime dequantizes beforehand."""
    weights = [
        numpy_helper.from_array(np.ones((64, 64), np.int8), "w"),
        helper.make_tensor("scale", TensorProto.FLOAT, [], [0.5]),
        helper.make_tensor("zero", TensorProto.INT8, [], [3]),
        helper.make_tensor("half", TensorProto.FLOAT16, [64], [0.5] * 64),
    ]
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "scale", "zero"], ["floats"]),
        helper.make_node("Cast", ["half"], ["bias"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["bias", "scale"], ["sum"]),
        helper.make_node("Gemm", ["x", "floats", "sum"], ["y"]),
    ]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 64]) for name in "xy")
    path = tmp_path / "model.onnx"
    graph = helper.make_graph(nodes, "g", [x], [y], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), path)
    loaded = modules_after(
        "import numpy, webnn",
        f"graph = webnn.load_onnx({str(path)!r})",
        "y = graph.context.compute(graph, {'x': numpy.ones((1, 64), 'float32')})['y']",
        "assert y.tolist() == [[-63.0] * 64]",
    )
    assert loaded & HEAVY == set()


def test_a_module_that_is_imported_would_be_seen() -> None:
    assert modules_after("import asyncio") & HEAVY >= {"asyncio"}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_operators_of_a_family_are_those_that_its_module_imports(family: str) -> None:
    module = import_module(f"webnn.formats.onnx.operators.{family}")
    filled = {
        f"{domain}.{op_type}" if domain else op_type
        for (domain, op_type), rows in operator_table._TABLE.items()
        if any(function.__module__ == module.__name__ for _, function in rows)
    }
    assert sorted(FAMILIES[family].split()) == sorted(filled)


def test_every_module_of_operators_is_a_family() -> None:
    folder = Path(str(import_module("webnn.formats.onnx.operators").__file__)).parent
    assert {path.stem for path in folder.glob("*.py")} == {*FAMILIES, "families", "__init__"}


def test_every_public_name_can_be_imported_and_listed() -> None:
    for name in webnn.__all__:
        assert getattr(webnn, name) is not None
        assert name in dir(webnn)


def test_no_other_names_are_listed() -> None:
    assert [name for name in dir(webnn) if not name.startswith("__")] == sorted(webnn.__all__)


def test_a_late_name_is_imported_once_and_a_wrong_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    imported = late_names("webnn", {"webnn.runtime.streaming.stream": ["Stream"]})
    monkeypatch.delattr(webnn, "Stream", raising=False)
    stream = imported("Stream")
    assert vars(webnn)["Stream"] is stream
    with pytest.raises(AttributeError, match="module 'webnn' has no attribute 'Steam'"):
        imported("Steam")
