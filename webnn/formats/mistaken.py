"""What a file is that was taken for a model: for messages."""

from __future__ import annotations

from pathlib import Path
from typing import Final

__all__ = ["NO_MODELS", "mistaken_for"]

NO_MODELS: Final = {
    ".safetensors": "it holds weights, not a graph: give the .webnn or .onnx file that refers to it",
    ".weights": "it holds weights, not a graph: give the .webnn file beside it",
    ".data": "it holds the weights of an ONNX model: give the .onnx file beside it",
    ".npz": "it holds arrays, not a graph",
    ".npy": "it holds an array, not a graph",
    ".pt": "export it to ONNX first: torch.onnx.export",
    ".pth": "export it to ONNX first: torch.onnx.export",
    ".tflite": "convert it to ONNX first: tf2onnx",
    ".pb": "convert it to ONNX first: tf2onnx",
}
"""What to do with other kinds of files, by their suffix."""

_BEGINNINGS: Final = {
    b"version https://git-lfs": "it is a pointer of Git LFS, not the file itself: run git lfs pull",
    b"<!doctype html": "it is a web page, perhaps the answer to a failed download",
    b"<html": "it is a web page, perhaps the answer to a failed download",
    b"webnn_graph": "it is a .webnn file: write load_webnn(path)",
    b"pk\x03\x04": "it is a ZIP archive, as torch.save writes: export the model with torch.onnx.export",
}
"""In lower case."""
_LOADERS: Final = {".onnx": "load_onnx", ".ort": "load_onnx", ".webnn": "load_webnn", ".json": "load_webnn"}


def mistaken_for(data: bytes | memoryview, path: Path | None, *, loader: str) -> str:
    """What the file seems to be that `loader` cannot read, as the end of a message; empty if nothing tells."""
    if len(data) == 0:
        return "; it is empty"
    head = bytes(data[:64]).lstrip().lower()
    for beginning, what in _BEGINNINGS.items():
        if head.startswith(beginning) and loader not in what:
            return f"; {what}"
    suffix = "" if path is None else path.suffix.lower()
    if (other := _LOADERS.get(suffix, loader)) != loader:
        return f"; write {other}(path)"
    return f"; {NO_MODELS[suffix]}" if suffix in NO_MODELS else ""
