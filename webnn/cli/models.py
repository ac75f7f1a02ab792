"""Model files of every kind that there is a reader or a writer for, found by the end of their names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Final, TypeVar

from webnn.errors import NotSupportedError
from webnn.graph.builder import GraphHost, MLGraphBuilder
from webnn.graph.ir import Graph
from webnn.graph.limits import SPEC_LIMITS, LimitsTable
from webnn.graph.operand import MLOperand

__all__ = ["READERS", "WRITERS", "Blueprint", "Source", "check_writable", "load_model", "save_model"]

G = TypeVar("G")

READERS: Final[Mapping[str, str]] = {
    ".onnx": "webnn.formats:import_onnx",
}
"""Suffix -> the function that adds a file's operators to a builder and gives the outputs by name."""

WRITERS: Final[Mapping[str, str]] = {
    ".onnx": "webnn.backends.onnx.export:save_onnx",
}
"""Suffix -> the function that writes a graph to a path."""

_NO_MODELS: Final[Mapping[str, str]] = {
    ".safetensors": "it holds weights but no graph: give the .webnn or .onnx file that refers to it",
    ".weights": "it holds weights but no graph: give the .webnn file beside it",
    ".data": "it holds the weights of an ONNX model: give the .onnx file beside it",
    ".npz": "it holds arrays but no graph",
    ".npy": "it holds an array but no graph",
    ".pt": "export it to ONNX first: torch.onnx.export",
    ".pth": "export it to ONNX first: torch.onnx.export",
    ".tflite": "convert it to ONNX first: tf2onnx",
    ".pb": "convert it to ONNX first: tf2onnx",
    ".ort": "this is onnxruntime's own format: give the .onnx file that it was made of",
}


@dataclass(frozen=True, slots=True)
class Source:
    """A model's file, and what a reader must be told to read it.

    Attributes:
        path: with a suffix that there is a reader for.
        shapes: sizes of open dimensions by their name, or whole shapes by the input's.
        constants: values of inputs that never change.
    """

    path: Path
    shapes: Mapping[str, int | Sequence[int]] = field(default_factory=dict)
    constants: Mapping[str, Any] = field(default_factory=dict)


class Blueprint:
    """A builder's host that compiles nothing: `build` gives the graph as backends see it.

    It holds graphs to the specification's limits and to nobody else's.
    """

    @property
    def limits(self) -> LimitsTable:
        """The specification's."""
        return SPEC_LIMITS

    def check_not_lost(self) -> None:
        """It never is."""

    def compile(self, graph: Graph) -> Graph:
        """The graph itself."""
        return graph


def load_model(source: Source, host: GraphHost[G]) -> G:
    """What `host` makes of the model: a compiled graph of a context, or the bare graph of a `Blueprint`.

    Raises:
        NotSupportedError: there is no reader for such files, or WebNN cannot express the model.
        DataError: the file is not what its name says.
        ValidationError: an open dimension has no size.
        OSError: it cannot be read.
    """
    read: Callable[..., dict[str, MLOperand]] = _function(source.path, READERS, "read")
    options: dict[str, Any] = {}
    if source.shapes:
        options["shapes"] = source.shapes
    if source.constants:
        options["constants"] = source.constants
    builder = MLGraphBuilder(host)
    return builder.build(read(source.path, builder, **options))


def save_model(graph: Graph, path: Path) -> None:
    """Write `graph` in the format that the suffix of `path` names.

    Raises:
        NotSupportedError: there is no writer for such files, or the format cannot express the graph.
        OSError: it cannot be written.
    """
    _function(path, WRITERS, "write")(graph, path)


def check_writable(path: Path) -> None:
    """Raise `NotSupportedError` if there is no writer for such files."""
    _function(path, WRITERS, "write")


def _function(path: Path, table: Mapping[str, str], verb: str) -> Callable[..., Any]:
    suffix = path.suffix.lower()
    if suffix not in table:
        reason = f"; {_NO_MODELS[suffix]}" if verb == "read" and suffix in _NO_MODELS else ""
        raise NotSupportedError(f"{path}: cannot {verb} this kind of file, only {', '.join(table)}{reason}")
    module, _, name = table[suffix].partition(":")
    function: Callable[..., Any] = getattr(import_module(module), name)
    return function
