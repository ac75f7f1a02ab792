"""Files that are taken for models: the error says what they are."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

import webnn
from webnn.errors import DataError, ValidationError

GRAPH = b'webnn_graph "g" v1 { inputs { x: f32[2]; } nodes { y = relu(x); } outputs { y; } }'


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("m.onnx", b"", r"'m\.onnx' does not hold an ONNX graph; it is empty$"),
        (
            "m.onnx",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
            "a pointer of Git LFS.*git lfs pull$",
        ),
        ("m.onnx", b"\n<!DOCTYPE html><html>", "it is a web page"),
        ("m.pt", b"PK\x03\x04" + bytes(100), "it is a ZIP archive, as torch.save writes"),
        ("m.onnx", GRAPH, r"it is a \.webnn file: write load_webnn\(path\)$"),
        ("m.json", b'{"format": 1}', r"write load_webnn\(path\)$"),
        ("m.tflite", b"\x1c\x00\x00\x00TFL3", "convert it to ONNX first: tf2onnx$"),
        ("m.bin", b"not a model", r"with type 'onnx\.ModelProto'[^;]*$|cannot be read as an ONNX model[^;]*$"),
    ],
)
def test_load_onnx_says_what_the_file_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        webnn.load_onnx(name)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("m.webnn", b"", "; it is empty$"),
        ("m.onnx", b"\x08\x0b\xff", r"m\.onnx:1: not UTF-8; write load_onnx\(path\)$"),
        ("m.webnn", b"version https://git-lfs.github.com/spec/v1\n", "it is a pointer of Git LFS"),
        ("m.webnn", GRAPH[:-1], "got the end of the file$"),
    ],
)
def test_load_webnn_says_what_the_file_is(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        webnn.load_webnn(tmp_path / name)


class Module:
    """As those of PyTorch."""

    def state_dict(self) -> dict[str, object]:
        return {}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (io.BytesIO(b"model"), r"got BytesIO; write load_onnx\(file\.read\(\)\), or give the path"),
        (Module(), r"got Module; export it to ONNX first: torch\.onnx\.export$"),
        ("https://models.example/m.onnx", "got the address 'https://models.example/m.onnx': download it first$"),
        (3, "a model must be a path, bytes or an onnx.ModelProto, got int$"),
    ],
)
def test_load_onnx_says_how_to_give_what_is_no_file(source: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        webnn.load_onnx(source)
