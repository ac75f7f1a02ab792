"""`webnn info` and `webnn check`, on graphs that are built here."""

from __future__ import annotations

import os
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


def test_info_counts_what_is_in_a_model(draft: Callable[[str], str], capsys: pytest.CaptureFixture[str]) -> None:
    data = answer(capsys, "info", draft("perceptron"), "--shape", "batch=5")
    assert data["inputs"] == [{"name": "x", "data_type": "float32", "shape": [5, 3]}]
    assert [row["name"] for row in data["outputs"]] == ["y", "total"]
    assert data["nodes"] == 3
    assert data["parameters"] == 12
    assert data["constant_bytes"] == 48
    assert data["multiply_adds"] == 5 * 3 * 4
    assert {row["operator"]: row["count"] for row in data["operators"]} == {"matmul": 1, "relu": 1, "reduce_sum": 1}
    builds = {row["target"]: row["builds"] for row in data["support"]}
    assert builds["onnxruntime"]
    assert builds["chromium-147-linux-litert"]


GRAPH = 'webnn_graph "g" v2 { inputs { x: f32[dyn("n", 8), 4]; } nodes { y = relu(x); } outputs { y; } }'


def onnx_with_open_dimensions() -> bytes:
    given = [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [name, 4]) for name in ("n", "?")]
    given[1].name = "other"
    nodes = [onnx.helper.make_node("Add", ["x", "w"], ["s"]), onnx.helper.make_node("Add", ["s", "other"], ["y"])]
    weights = [onnx.numpy_helper.from_array(np.ones((2, 4), np.float32), "w")]
    y = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)
    return bytes(onnx.helper.make_model(onnx.helper.make_graph(nodes, "g", given, [y], weights)).SerializeToString())


@pytest.mark.parametrize(
    ("name", "content", "parameters", "needed"),
    [("m.webnn", GRAPH.encode(), 0, []), ("m.onnx", onnx_with_open_dimensions(), 8, ["--shape other=SIZE,..."])],
    ids=["webnn", "onnx"],
)
def test_info_says_what_it_can_while_dimensions_are_open_and_what_it_needs(
    name: str, content: bytes, parameters: int, needed: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    Path(name).write_bytes(content)
    data = answer(capsys, "info", name)
    assert data["inputs"][0] == {"name": "x", "data_type": "float32", "shape": ["n", 4]}
    assert [row["name"] for row in data["outputs"]] == ["y"]
    assert data["nodes"] == data["operators"][0]["count"]
    assert data["parameters"] == parameters
    assert data["open"] == ["--shape n=SIZE", *needed]
    assert main(["info", name]) == 0
    assert f"give {' '.join(data['open'])}" in capsys.readouterr().out
    sizes = ["--shape", "n=2", *(["--shape", "other=2,4"] if needed else [])]
    assert answer(capsys, "info", name, *sizes)["inputs"][0]["shape"] == [2, 4]
    answer(capsys, "info", name, "--shape", "m=2", code=1)


def test_info_for_people_has_the_same_figures(draft: Callable[[str], str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", draft("wide")]) == 0
    text = capsys.readouterr().out
    assert re.search(r"input\s+x\s+float32\s+[^ ]{12}2", text)
    assert re.search(r"chromium-147-linux-litert\s+no\s+", text)
    assert re.search(r"onnxruntime\s+yes", text)


def test_a_name_that_is_no_text_does_no_harm(
    draft: Callable[[str], str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = os.fsdecode(b"\xff\xe9.draft")
    try:
        (tmp_path / draft("perceptron")).rename(tmp_path / name)
    except OSError:
        pytest.skip("this file system has no such names")
    assert answer(capsys, "info", name)["model"] == name
    assert main(["info", name]) == 0
    assert main(["view", name, "-o", "page.html"]) == 0


def test_check_says_which_node_for_which_rank_and_type(
    draft: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    data = answer(capsys, "check", draft("wide"), "--target", "chromium-147", code=1)
    (verdict,) = data["targets"]
    assert not data["builds"]
    assert (verdict["target"], verdict["nodes"], verdict["nodes_refused"]) == ("chromium-147-linux-litert", 2, 2)
    messages = [problem["message"] for problem in verdict["problems"]]
    assert "[wide] add: a [1, 1, 1, 1, 1, 1, 2] has rank 7; chromium-147-linux-litert takes rank 0 to 6" in messages
    assert any(
        message.startswith("mul (node 1): a is uint8; chromium-147-linux-litert takes float32") for message in messages
    )
    assert {problem["kind"] for problem in verdict["problems"]} == {"rank", "type"}


def test_check_is_zero_where_everything_builds(draft: Callable[[str], str], capsys: pytest.CaptureFixture[str]) -> None:
    name = draft("perceptron")
    data = answer(capsys, "check", name, "--target", "chromium-15", "--target", "onnxruntime", "--target", "arrays")
    assert [verdict["builds"] for verdict in data["targets"]] == [True, True, True]
    assert main(["check", name]) == 0
    assert "yes, all 3 nodes" in capsys.readouterr().out


def test_check_for_people_says_what_would_do(draft: Callable[[str], str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", draft("wide"), "--target", "chromium-147"]) == 1
    text = capsys.readouterr().out
    assert "no, 2 of 2 nodes refused" in text
    assert "reshape to rank 6" in " ".join(text.split())
    assert "--fix OUT, with one --target, writes the model" in " ".join(text.split())
    assert "note:" not in text


def test_check_notes_pools_that_a_browser_rounds_otherwise(
    draft: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    (verdict,) = answer(capsys, "check", draft("pool"), "--target", "chromium-147")["targets"]
    assert [note["message"] for note in verdict["notes"] if note["name"] == "pool-rounding"] == [
        "[up] max_pool2d is rounded up to [3, 3] by outputShapeRounding; chromium-147-linux-litert ignores"
        " outputShapeRounding, and rounds down unless outputSizes or the older roundingType is given"
    ]
    assert main(["check", draft("pool"), "--target", "chromium-147"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert (
        "note: [up] max_pool2d is rounded up to [3, 3]; the target treats values beyond the end of the input as" in text
    )


def test_check_names_the_targets_there_are(draft: Callable[[str], str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", draft("perceptron"), "--target", "netscape"]) == 2
    assert (
        "unknown target 'netscape'; the targets are: chromium-147-linux-litert, chromium-153-linux-litert, onnxruntime"
        in capsys.readouterr().err
    )


def test_check_writes_a_model_that_the_target_builds(
    draft: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    name = draft("wide")
    data = answer(capsys, "check", name, "--target", "chromium-153", "--fix", "fitted.json")
    assert (data["builds"], data["equal"], data["before"]["builds"], data["after"]["builds"]) == (
        True,
        True,
        False,
        True,
    )
    assert {change["operator"] for change in data["changes"]} == {"add", "mul"}
    assert answer(capsys, "check", "fitted.json", "--target", "chromium-153")["builds"]
    assert main(["check", name, "--target", "chromium-153", "--fix", "fitted.json"]) == 1
    assert "fitted.json exists: --force replaces it" in capsys.readouterr().err
    assert main(["check", name, "--target", "chromium-153", "--fix", "fitted.json", "--force"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "computed as int32" in text
    assert "wrote fitted.json" in text


def test_check_compares_a_fitted_model_on_the_inputs_that_are_given(
    draft: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["check", draft("wide"), "--target", "chromium-153"]
    data = answer(capsys, *words, "--fix", "fitted.json", "--input", "small=[3,3]")
    assert {one["output"]: one["magnitude"] for one in data["differences"]}["z"] == 9
    main([*words, "--fix", "fitted.json", "--force", "--input", "small=zeros"])
    assert "output 'z': equal, but all values are 0 or not finite" in " ".join(capsys.readouterr().out.split())
    assert main([*words, "--input", "small=zeros"]) == 2
    assert "inputs are for the comparison after --fix" in capsys.readouterr().err


def test_check_fits_to_one_target_and_to_a_format_that_can_be_written(
    draft: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    name = draft("wide")
    assert main(["check", name, "--fix", "fitted.json"]) == 2
    assert (
        "give one --target to fit the model to, not chromium-147-linux-litert, chromium-153" in capsys.readouterr().err
    )
    assert main(["check", name, "--target", "chromium-153", "--fix", "fitted.tflite"]) == 1
    assert "cannot write this kind of file" in capsys.readouterr().err
