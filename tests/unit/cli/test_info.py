"""What `webnn info` says of models that need sizes, values, branches and functions."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

pytest.importorskip("click")
pytest.importorskip("rich")

from webnn.cli.program import main
from webnn.formats.onnx.outline import outline_onnx

DOMAIN = "of.the.model"


def value(name: str, data_type: int = TensorProto.FLOAT, shape: Any = (2, 3)) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, data_type, shape)


def saved(path: Path, nodes: list[onnx.NodeProto], inputs: list[onnx.ValueInfoProto], **more: Any) -> Path:
    graph = helper.make_graph(nodes, "g", inputs, [value("y", shape=None)], more.pop("weights", ()))
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid(DOMAIN, 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10, **more), path)
    return path


def told(capsys: pytest.CaptureFixture[str], path: Path, *words: str) -> dict[str, Any]:
    assert main(["info", str(path), *words, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def a_branch(name: str, weight: int) -> onnx.GraphProto:
    """A graph of two operators and a weight, which reads `x` around it."""
    nodes = [
        helper.make_node("Add", ["x", f"{name}_w"], [f"{name}_a"]),
        helper.make_node("Relu", [f"{name}_a"], [name]),
    ]
    weights = [numpy_helper.from_array(np.ones(weight, np.float32), f"{name}_w")]
    return helper.make_graph(nodes, name, [], [value(name, shape=None)], weights)


def test_operators_and_weights_inside_of_branches_and_functions_are_counted(tmp_path: Path) -> None:
    inner = helper.make_function(
        DOMAIN, "Inner", ["a"], ["b"], [helper.make_node("Relu", ["a"], ["b"])], [helper.make_opsetid("", 21)]
    )
    twice = [
        helper.make_node("Inner", ["a"], ["m"], domain=DOMAIN),
        helper.make_node("Inner", ["m"], ["b"], domain=DOMAIN),
    ]
    outer = helper.make_function(DOMAIN, "Outer", ["a"], ["b"], twice, [helper.make_opsetid(DOMAIN, 1)])
    choice = helper.make_node("If", ["c"], ["z"], then_branch=a_branch("t", 3), else_branch=a_branch("e", 1))
    nodes = [choice, helper.make_node("Outer", ["z"], ["y"], domain=DOMAIN)]
    path = saved(tmp_path / "m.onnx", nodes, [value("x"), value("c", TensorProto.BOOL, ())], functions=[inner, outer])
    outline = outline_onnx(path)
    assert outline.operators == {"If": 1, "Add": 2, "Relu": 4, f"{DOMAIN}.Outer": 1, f"{DOMAIN}.Inner": 2}
    assert (outline.constants, outline.parameters) == (2, 4)


def test_a_function_that_calls_itself_is_counted_once(tmp_path: Path) -> None:
    again = helper.make_function(
        DOMAIN,
        "Again",
        ["a"],
        ["b"],
        [helper.make_node("Again", ["a"], ["b"], domain=DOMAIN)],
        [helper.make_opsetid(DOMAIN, 1)],
    )
    nodes = [helper.make_node("Again", ["x"], ["y"], domain=DOMAIN)]
    assert outline_onnx(saved(tmp_path / "m.onnx", nodes, [value("x")], functions=[again])).operators == {
        f"{DOMAIN}.Again": 2
    }


def test_the_constants_that_a_model_needs_are_proposed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nodes = [
        helper.make_node("Add", ["k", "one"], ["count"]),
        helper.make_node("TopK", ["x", "count"], ["top", ""]),
        helper.make_node("Reshape", ["top", "s"], ["y"]),
    ]
    inputs = [value("x"), value("k", TensorProto.INT64, (1,)), value("s", TensorProto.INT64, (1,))]
    path = saved(tmp_path / "m.onnx", nodes, inputs, weights=[numpy_helper.from_array(np.ones(1, np.int64), "one")])
    data = told(capsys, path)
    assert (data["open"], data["values"]) == ([], ["--constant k=VALUE"])
    assert data["values_needed"][0].startswith("top (TopK): ")
    data = told(capsys, path, "--constant", "k=1")
    assert data["values"] == ["--constant s=VALUE"]
    assert main(["info", str(path), "--constant", "k=1"]) == 0
    assert "give --constant s=VALUE" in capsys.readouterr().out
    assert told(capsys, path, "--constant", "k=1", "--constant", "s=[4]")["outputs"] == [
        {"name": "y", "data_type": "float32", "shape": [4]}
    ]


def test_a_model_that_no_constant_helps_is_still_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = saved(tmp_path / "m.onnx", [helper.make_node("NonZero", ["x"], ["y"])], [value("x")])
    assert main(["info", str(path), "--json"]) != 0
    assert "NonZero" in capsys.readouterr().out


def test_the_options_that_a_model_needs_can_be_given_to_a_shell(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nodes = [helper.make_node("Tile", ["an input", "its repeats"], ["y"])]
    inputs = [value("an input", shape=("batch size", 3)), value("its repeats", TensorProto.INT64, (2,))]
    path = saved(tmp_path / "m.onnx", nodes, inputs)
    (option,) = told(capsys, path)["open"]
    assert shlex.split(option) == ["--shape", "batch size=SIZE"]
    assert main(["run", str(path)]) == 1
    assert "On the command line: --shape 'batch size'=..." in capsys.readouterr().err
    (option,) = told(capsys, path, "--shape", "batch size=2")["values"]
    assert shlex.split(option) == ["--constant", "its repeats=VALUE"]


def labels_and_scores(path: Path, *, declared: bool = True) -> Path:
    """As converters write classifiers: labels that WebNN lacks, and scores, which may be a value within the model."""
    nodes = [helper.make_node("Relu", ["x"], ["its scores"]), helper.make_node("NonZero", ["its scores"], ["labels"])]
    outputs = [value("labels", TensorProto.INT64, None), *([value("its scores")] if declared else [])]
    opsets = [helper.make_opsetid("", 21)]
    graph = helper.make_graph(nodes, "g", [value("x")], outputs)
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), path)
    return path


@pytest.mark.parametrize("declared", [True, False])
def test_the_outputs_that_can_be_computed_are_chosen_as_the_error_says(
    declared: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(labels_and_scores(tmp_path / "m.onnx", declared=declared))
    assert main(["run", path, "--random"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("webnn: m.onnx: 1 node of the ONNX model cannot be expressed")
    options = shlex.split(error.splitlines()[-1].removeprefix("On the command line: "))
    assert options == ["--only", "its scores"]
    for command in (["run", path, "--random"], ["bench", path, "--seconds", "0.05", "--rounds", "1"]):
        assert main([*command, *options, "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
    assert ("exported" in told["peer"]) is not declared
    assert main(["info", path, *options, "--json"]) == 0
    assert [output["name"] for output in json.loads(capsys.readouterr().out)["outputs"]] == ["its scores"]


def test_each_of_two_models_computes_those_of_the_chosen_outputs_that_it_has(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = labels_and_scores(tmp_path / "m.onnx")
    second = saved(tmp_path / "n.onnx", [helper.make_node("Relu", ["x"], ["y"])], [value("x")])
    words = ["view", str(first), str(second), "--only", "its scores", "-o", str(tmp_path / "page.html")]
    assert main([*words, "--only", "y", "--json"]) == 0
    drawn = json.loads(capsys.readouterr().out)
    assert (drawn["nodes"], drawn["other_nodes"]) == (1, 1)
    assert main([*words, "--only", "z"]) == 1
    assert "the model has no value 'z'" in capsys.readouterr().err


def test_an_error_of_one_among_several_models_names_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sized = saved(tmp_path / "sized.onnx", [helper.make_node("Relu", ["x"], ["y"])], [value("x")])
    relu = helper.make_node("Relu", ["x"], ["y"])
    unsized = saved(tmp_path / "open.onnx", [relu], [value("x", shape=("n", "k"))])
    assert main(["view", str(sized), str(unsized), "-o", str(tmp_path / "page.html")]) == 1
    assert capsys.readouterr().err.startswith("webnn: open.onnx: the model leaves dimensions open")


def test_an_error_about_a_size_that_is_given_does_not_explain_the_option(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = saved(tmp_path / "m.onnx", [helper.make_node("Relu", ["x"], ["y"])], [value("x", shape=("n", 3))])
    assert main(["info", str(path), "--shape", "m=1"]) == 1
    assert capsys.readouterr().err == "webnn: shapes: the model has no input or dimension 'm'; it has n, x\n"
