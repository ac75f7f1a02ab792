"""Reading and writing model files of every kind, by the suffix of their names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import webnn.formats  # noqa: F401 (its writers put themselves into SAVERS)
from webnn.errors import NotSupportedError, ValidationError
from webnn.formats.outline import Outline
from webnn.graph.builder import GraphHost, MLGraphBuilder
from webnn.graph.ir import Graph
from webnn.graph.limits import SPEC_LIMITS
from webnn.graph.operand import MLOperand
from webnn.runtime.draft import Draft
from webnn.runtime.saving import SAVERS, registered

__all__ = ["READERS", "Reader", "Source", "blueprint", "check_writable", "load_model", "outline_of", "save_model"]

G = TypeVar("G")


@dataclass(frozen=True, slots=True)
class Reader:
    """How one kind of file is read.

    Attributes:
        function: "module:function", imported when it is needed; it takes a path and a builder, adds the operators of
            the file, and returns the outputs by name.
        options: the fields of a `Source` that it takes.
        outline: "module:function", which takes a path and returns the `Outline` of the file.
    """

    function: str
    options: tuple[str, ...]
    outline: str = ""


READERS: Final[dict[str, Reader]] = {
    ".onnx": Reader(
        "webnn.formats.onnx:import_onnx", ("shapes", "constants"), "webnn.formats.onnx.outline:outline_onnx"
    ),
    **dict.fromkeys(
        (".webnn", ".json"),
        Reader("webnn.formats.webnn_text:import_webnn", ("shapes",), "webnn.formats.webnn_text.outline:outline_webnn"),
    ),
}
"""By the suffix of the file."""

_NO_MODELS: Final[Mapping[str, str]] = {
    ".safetensors": "it holds weights, not a graph: give the .webnn or .onnx file that refers to it",
    ".weights": "it holds weights, not a graph: give the .webnn file beside it",
    ".data": "it holds the weights of an ONNX model: give the .onnx file beside it",
    ".npz": "it holds arrays, not a graph",
    ".npy": "it holds an array, not a graph",
    ".pt": "export it to ONNX first: torch.onnx.export",
    ".pth": "export it to ONNX first: torch.onnx.export",
    ".tflite": "convert it to ONNX first: tf2onnx",
    ".pb": "convert it to ONNX first: tf2onnx",
    ".ort": "this is onnxruntime's own format: give the .onnx file that it was made of",
}


@dataclass(frozen=True, slots=True)
class Source:
    """A model file, and the values that its reader needs.

    Attributes:
        path: with the suffix of a reader.
        shapes: sizes of open dimensions by their name, or whole shapes by the input's.
        constants: values of inputs that never change.
    """

    path: Path
    shapes: Mapping[str, int | Sequence[int]] = field(default_factory=dict)
    constants: Mapping[str, Any] = field(default_factory=dict)


def blueprint() -> Draft:
    """A host for builders that compiles nothing: `build` returns the graph, checked against the specification alone."""
    return Draft(SPEC_LIMITS)


def load_model(source: Source, host: GraphHost[G]) -> G:
    """The model as a graph of `host`: compiled for a context, or bare for a `blueprint()`.

    Raises:
        NotSupportedError: no reader takes such files, or WebNN cannot express the model.
        DataError: the file is not of the kind that its name says.
        ValidationError: an open dimension has no size.
        OSError: it cannot be read.
    """
    reader = READERS.get(source.path.suffix.lower())
    if reader is None:
        reason = _NO_MODELS.get(source.path.suffix.lower(), "")
        known = f"cannot read this kind of file, only {', '.join(READERS)}"
        raise NotSupportedError(f"{source.path}: {known}" + (f"; {reason}" if reason else ""))
    options = {name: value for name, value in (("shapes", source.shapes), ("constants", source.constants)) if value}
    for name in options:
        if name not in reader.options:
            raise ValidationError(f"{source.path}: --{name.removesuffix('s')} does not apply to this kind of file")
    read: Callable[..., dict[str, MLOperand]] = registered(reader.function)
    builder = MLGraphBuilder(host)
    return builder.build(read(source.path, builder, **options))


def outline_of(path: Path) -> Outline | None:
    """The outline of a model file; None if its kind has none."""
    reader = READERS[path.suffix.lower()]
    if not reader.outline:
        return None
    outline: Outline = registered(reader.outline)(path)
    return outline


def check_writable(path: Path) -> None:
    """Raise `NotSupportedError` if no writer takes such files."""
    if path.suffix.lower() not in SAVERS:
        raise NotSupportedError(f"{path}: cannot write this kind of file, only {', '.join(SAVERS)}")


def save_model(graph: Graph, path: Path) -> None:
    """Write `graph` in the format that the suffix of `path` names.

    Raises:
        NotSupportedError: no writer takes such files, or the format cannot express the graph.
        OSError: it cannot be written.
    """
    check_writable(path)
    registered(SAVERS[path.suffix.lower()])(graph, path)
