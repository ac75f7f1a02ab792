"""`webnn convert`, `view` and `record`, which write files, and `compare`."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx.numpy_helper
import pytest

pytest.importorskip("click")
pytest.importorskip("rich")

from tests.command_line import answer
from webnn.cli.program import main
from webnn.formats.safetensors import save_safetensors


def test_convert_writes_onnx_and_replaces_nothing_unasked(
    draft: Callable[[str], str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = draft("perceptron")
    data = answer(capsys, "convert", name, "model.onnx", "--shape", "batch=2")
    assert [file["path"] for file in data["files"]] == ["model.onnx"]
    (x,) = onnx.load("model.onnx").graph.input
    assert [dimension.dim_value for dimension in x.type.tensor_type.shape.dim] == [2, 3]
    assert "--force replaces it" in answer(capsys, "convert", name, "model.onnx", code=1)["error"]["message"]
    assert main(["convert", name, "model.onnx", "--force"]) == 0
    assert "wrote model.onnx" in capsys.readouterr().out
    assert "cannot write this kind of file" in answer(capsys, "convert", name, "model.exe", code=1)["error"]["message"]
    assert answer(capsys, "convert", name, "nowhere/model.onnx", code=1)["error"]["kind"] == "FileNotFoundError"


def test_convert_gives_other_names(draft: Callable[[str], str], capsys: pytest.CaptureFixture[str]) -> None:
    name = draft("perceptron")
    given = ("convert", name, "model.webnn", "--shape", "batch=2")
    assert answer(capsys, *given, "--rename", "x=1=2", code=1)["error"]["message"].startswith("names has 'x=1',")
    assert answer(capsys, *given, "--rename", "x=136")["renamed"] == {"inputs": {"136": "_136"}, "outputs": {}}
    assert answer(capsys, "info", "model.webnn")["inputs"][0]["name"] == "136"
    assert main([*given, "--rename", "x=136", "--force"]) == 0
    assert "for other programs, input 136 is called _136" in capsys.readouterr().out


def test_convert_writes_modules_and_pages(draft: Callable[[str], str], capsys: pytest.CaptureFixture[str]) -> None:
    name = draft("perceptron")
    files = answer(capsys, "convert", name, "app.js", "--shape", "batch=2")["files"]
    assert {"app.d.ts", "app.js", "webnn.d.ts"} <= {row["path"] for row in files}
    (page,) = answer(capsys, "convert", name, "page.html", "--shape", "batch=1", "--input", "x=ones")["files"]
    assert page["path"] == "page.html"
    words = ("convert", name, "other.js", "--shape", "batch=1", "--input", "x=ones")
    assert "--input is for the test of a page" in answer(capsys, *words, code=1)["error"]["message"]


def test_browsers_that_are_not_there_are_refused(
    draft: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    name = draft("perceptron")
    words = ("compare", name, "--shape", "batch=1", "--browser", "no-such-browser")
    assert "'no-such-browser' is not a program" in answer(capsys, *words, code=1)["error"]["message"]
    record = ("record", "mine.json", "--browser", "no-such-browser")
    assert "'no-such-browser' is not a program" in answer(capsys, *record, code=1)["error"]["message"]
    other = ("record", "mine.txt", "--browser", "no-such-browser")
    assert "expected a file that ends with .json" in answer(capsys, *other, code=2)["error"]["message"]
    Path("there.json").write_text("{}")
    again = ("record", "there.json", "--browser", "no-such-browser")
    assert "--force replaces it" in answer(capsys, *again, code=1)["error"]["message"]


def test_view_writes_one_page_that_needs_nothing_else(
    draft: Callable[[str], str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = answer(capsys, "view", draft("perceptron"))
    page = (tmp_path / "perceptron.html").read_text(encoding="utf-8")
    assert data["page"] == "perceptron.html"
    assert data["bytes"] == len(page.encode())
    assert "default-src 'none'" in page
    assert not re.search(r"""(src|href)\s*=\s*["']?(?!data:,)\w""", page.partition("<script id")[0])
    assert "<b>[red]relu" not in page
    assert "\\u003cb>[red]relu" in page
    assert main(["view", "perceptron.draft", "-o", "other.html"]) == 0
    assert (tmp_path / "other.html").exists()
    assert main(["view", "perceptron.draft", "-o", "nowhere/other.html"]) == 1
    assert "webnn: nowhere/other.html: No such file" in capsys.readouterr().err


def test_view_gives_each_of_two_models_the_sizes_and_constants_that_it_has(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    node = onnx.helper.make_node("Reshape", ["x", "to"], ["y"])
    x = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", 2])
    to = onnx.helper.make_tensor_value_info("to", onnx.TensorProto.INT64, [1])
    y = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)
    graph = onnx.helper.make_graph([node], "g", [x, to], [y])
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8), "m.onnx")
    for size in ("x=3,2", "n=3"):
        words = ("--shape", size, "--constant", "to=[6]")
        answer(capsys, "convert", "m.onnx", "m.webnn", *words, "--force")
        data = answer(capsys, "view", "m.onnx", "m.webnn", *words)
        assert (data["nodes"], data["other_nodes"], data["differ"]) == (1, 1, 0)
        assert answer(capsys, "view", "m.webnn", "m.onnx", *words)["differ"] == 0
    message = answer(capsys, "view", "m.onnx", "m.webnn", *words, "--shape", "k=3", code=1)["error"]["message"]
    assert message == "shapes: the model has no input or dimension 'k'; it has n, to, x"


def test_a_new_file_does_not_replace_the_weights_that_a_model_was_published_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    x, y = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [64]) for name in "xy")
    weights = [onnx.numpy_helper.from_array(np.ones(64, np.float32), "w")]
    graph = onnx.helper.make_graph([onnx.helper.make_node("Mul", ["x", "w"], ["y"])], "g", [x], [y], weights)
    opsets = [onnx.helper.make_opsetid("", 17)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8), "model.onnx")
    published = tmp_path / "model.safetensors"
    save_safetensors(published, {"w": np.ones(2, np.float32)})
    before = published.read_bytes()
    words = ("convert", "model.onnx", "model.webnn", "--force")
    message = answer(capsys, *words, code=1)["error"]["message"]
    assert message.startswith("model.safetensors: the weights of model.webnn would replace other ones; move these, or")
    assert published.read_bytes() == before
    assert not (tmp_path / "model.webnn").exists()
