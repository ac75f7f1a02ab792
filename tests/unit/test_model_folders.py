"""The models that words of a command line name."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("click")

import click

from webnn.cli.model_folders import find_models


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def found(*words: str | Path) -> list[tuple[str, str, str]]:
    return [(each.name, each.version, each.path.name) for each in find_models(list(map(str, words)))]


def test_a_file_is_named_by_itself_or_by_the_word(tmp_path: Path) -> None:
    touch(tmp_path, "net.onnx", "a=b.webnn")
    assert found(tmp_path / "net.onnx") == [("net", "1", "net.onnx")]
    assert found(f"other={tmp_path / 'net.onnx'}") == [("other", "1", "net.onnx")]
    assert found(f"ab={tmp_path / 'a=b.webnn'}") == [("ab", "1", "a=b.webnn")]


def test_a_folder_of_versions_is_one_model(tmp_path: Path) -> None:
    net = touch(tmp_path / "net", "1/model.onnx", "12/any.webnn", "12/any.safetensors", "notes/x.onnx", "readme.txt")
    assert found(net) == [("net", "1", "model.onnx"), ("net", "12", "any.webnn")]
    assert [name for name, _, _ in found(f"other={net}")] == ["other", "other"]


def test_a_folder_holds_files_and_folders_of_versions(tmp_path: Path) -> None:
    touch(tmp_path, "a.onnx", "b/1/model.onnx", "b/1/other.onnx", "b/2/model.onnx", "c/x.onnx", "config.json")
    assert found(tmp_path) == [("a", "1", "a.onnx"), ("b", "1", "model.onnx"), ("b", "2", "model.onnx")]


def test_the_copy_that_onnxruntime_writes_beside_a_file_is_no_second_model(tmp_path: Path) -> None:
    touch(tmp_path, "a.onnx", "a.ort", "b.ort", "c/1/model.onnx", "c/1/model.ort", "c/2/model.ort")
    assert found(tmp_path) == [
        ("a", "1", "a.onnx"),
        ("b", "1", "b.ort"),
        ("c", "1", "model.onnx"),
        ("c", "2", "model.ort"),
    ]


@pytest.mark.parametrize(
    ("files", "word", "message"),
    [
        ([], "nope", "nope: no such file or folder"),
        (["net.txt"], "net.txt", "not a model file"),
        (["net.txt"], ".", "no model in this folder; expected MODEL.onnx"),
        (["net/net.onnx"], "x=net", "no model in this folder; expected VERSION/MODEL.onnx"),
        (["net/1/a.onnx", "net/1/b.onnx"], "net", "exactly one model file is expected .*, got a.onnx, b.onnx"),
        (["net/1/a.txt"], "net", "exactly one model file is expected .*, got none"),
        (["my net.onnx"], "my net.onnx", "'my net' cannot be a part of an address; .* NAME="),
        (["net.onnx"], "a/b=net.onnx", "'a/b' cannot be a part of an address"),
        (["net.onnx", "net.webnn"], ".", "net.onnx and net.webnn are both version 1 of 'net'; name one with NAME=PATH"),
    ],
)
def test_what_is_no_model_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: list[str], word: str, message: str
) -> None:
    monkeypatch.chdir(touch(tmp_path, *files))
    with pytest.raises(click.UsageError, match=message):
        find_models([word])
