"""`webnn compare` and `webnn record`, with browsers that have WebNN."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conformance.chromium.browser import program
from tests.direct import direct_builder
from webnn.cli.program import main
from webnn.formats.webnn_text.saving import save_json
from webnn.graph.ir import Graph
from webnn.targets.target import target_named


def compared(graph: Graph, name: str, folder: Path, capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    """The answer of `webnn compare`."""
    save_json(graph, folder / "model.json")
    code = main(["compare", str(folder / "model.json"), "--browser", str(program(name)), "--json", *words])
    answer = json.loads(capsys.readouterr().out)
    assert code == (0 if all(row["agrees"] for row in answer.get("outputs", [{"agrees": False}])) else 1)
    return answer


def test_outputs_are_compared_with_those_of_each_backend(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    builder = direct_builder()
    x = builder.input("x", (2, 3), "float32")
    graph = builder.build({"y": builder.exp(x), "n": builder.arg_max(x, 1)})
    answer = compared(graph, name, tmp_path, capsys, "--input", "x=[[1,2,3],[6,5,4]]")
    assert f"/{name.removeprefix('chromium-')}." in answer["browser"]
    assert [(row["output"], row["backend"]) for row in answer["outputs"]] == [
        (output, backend) for backend in ("onnxruntime", "arrays") for output in ("y", "n")
    ]
    assert all(row["error"] < 1e-6 for row in answer["outputs"])


def test_the_first_operator_that_differs_is_found(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    builder = direct_builder()
    x = builder.input("x", (1, 1, 2, 2), "float32")
    before = builder.abs(x, label="before")
    resized = builder.resample2d(before, sizes=[3, 3], label="resize")  # which meets places half way between two
    graph = builder.build({"y": builder.neg(resized, label="after"), "z": builder.exp(before)})
    answer = compared(graph, name, tmp_path, capsys, "--input", "x=[[[[1,2],[3,4]]]]", "--bisect")
    assert {row["output"]: row["agrees"] for row in answer["outputs"]} == {"y": False, "z": True}
    assert answer["outputs"][0]["at"] == [0, 0, 1, 1]
    assert (answer["first_wrong"]["label"], answer["first_wrong"]["operator"]) == ("resize", "resample2d")


def test_a_refusal_is_the_one_that_check_predicts(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    builder = direct_builder()
    x = builder.relu(builder.input("x", (1, 1, 4, 4), "float32"), label="before")
    border = builder.pad(x, [0, 0, 1, 1], [0, 0, 1, 1], mode="edge", label="border")
    answer = compared(builder.build({"y": builder.neg(border)}), name, tmp_path, capsys)
    main(["check", str(tmp_path / "model.json"), "--target", name, "--json"])
    ((problem,),) = [row["problems"] for row in json.loads(capsys.readouterr().out)["targets"]]
    assert (problem["label"], problem["operator"]) == (answer["refused"]["label"], answer["refused"]["operator"])
    assert answer["refused"]["answer"] == problem["answer"]


def test_a_run_that_fails_without_a_report_is_no_result(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    builder = direct_builder()
    zeros = builder.constant(np.array([2, 0], np.int32))
    graph = builder.build({"y": builder.div(builder.input("x", (2,), "int32"), zeros)})
    answer = compared(graph, name, tmp_path, capsys)
    assert "the device failed: it wrote nothing into the output y" in answer["failed"]


def test_a_record_is_the_recorded_target(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "recorded.json"
    assert main(["record", str(path), "--browser", str(program(name)), "--description", "mine"]) == 0
    assert "95 operators" in capsys.readouterr().out
    record = json.loads(path.read_text(encoding="utf-8"))
    known = json.loads(files("webnn.targets").joinpath("recorded", f"{name}-linux-litert.json").read_text())
    for key in known.keys() - {"description", "recorded"}:
        assert record[key] == known[key]
    target = target_named(str(path))
    assert (target.name, target.description) == ("recorded", "mine")
    assert target.limits == target_named(name).limits
