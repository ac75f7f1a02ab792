"""Model files of every kind, read by the suffix of their names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from webnn.errors import NotSupportedError, ValidationError
from webnn.formats.mistaken import NO_MODELS
from webnn.formats.outline import Outline
from webnn.graph.builder import GraphHost, MLGraphBuilder
from webnn.graph.operand import MLOperand
from webnn.runtime.saving import registered

__all__ = ["READERS", "Reader", "Source", "load_model", "outline_of", "reader_of"]

G = TypeVar("G")


@dataclass(frozen=True, slots=True)
class Reader:
    """How one kind of file is read.

    Attributes:
        function: "module:function", imported when it is needed; it takes a path and a builder, adds the operators of
            the file, and returns the outputs by name.
        options: the fields of a `Source` that it takes.
        outline: "module:function", which takes a path and returns the `Outline` of the file.
        whole_shapes: whether `shapes` may have the whole shape of an input by its name, beside sizes of dimensions.
    """

    function: str
    options: tuple[str, ...]
    outline: str = ""
    whole_shapes: bool = False


READERS: Final[dict[str, Reader]] = {
    **dict.fromkeys(
        (".onnx", ".ort"),
        Reader(
            "webnn.formats.onnx:import_onnx",
            ("shapes", "dtypes", "constants", "outputs"),
            "webnn.formats.onnx.outline:outline_onnx",
            whole_shapes=True,
        ),
    ),
    **dict.fromkeys(
        (".webnn", ".json"),
        Reader("webnn.formats.webnn_text:import_webnn", ("shapes",), "webnn.formats.webnn_text.outline:outline_webnn"),
    ),
}
"""By the suffix of the file."""


@dataclass(frozen=True, slots=True)
class Source:
    """A model file, and the values that its reader needs.

    Attributes:
        path: with the suffix of a reader.
        shapes: sizes of open dimensions by their name, or whole shapes by the input's.
        constants: values of inputs that never change.
        dtypes: data types of inputs and outputs, by name.
        outputs: the outputs of the graph, by name; empty for all.
    """

    path: Path
    shapes: Mapping[str, int | Sequence[int]] = field(default_factory=dict)
    constants: Mapping[str, Any] = field(default_factory=dict)
    dtypes: Mapping[str, Any] = field(default_factory=dict)
    outputs: Sequence[str] = ()


def reader_of(path: Path) -> Reader:
    """The reader of such files.

    Raises:
        NotSupportedError: there is none.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        reason = "it is a folder" if path.is_dir() else NO_MODELS.get(path.suffix.lower(), "")
        known = f"cannot read this kind of file, only {', '.join(READERS)}"
        raise NotSupportedError(f"{path}: {known}" + (f"; {reason}" if reason else ""))
    return reader


def load_model(source: Source, host: GraphHost[G]) -> G:
    """The model as a graph of `host`: compiled for a context, or bare for a draft.

    Raises:
        NotSupportedError: no reader takes such files, or WebNN cannot express the model.
        DataError: the file is not of the kind that its name says.
        ValidationError: an open dimension has no size; an option does not fit the model, or this kind of file.
        OSError: it cannot be read.
    """
    reader = reader_of(source.path)
    options: dict[str, Any] = {}
    for name in ("shapes", "dtypes", "constants", "outputs"):
        if (value := getattr(source, name)) and (name in reader.options or name != "outputs"):
            options[name] = value
    for name in options:
        if name not in reader.options:
            raise ValidationError(f"{source.path}: {name} do not apply to this kind of file")
    read: Callable[..., dict[str, MLOperand]] = registered(reader.function)
    builder = MLGraphBuilder(host)
    outputs = read(source.path, builder, **options)
    if source.outputs and "outputs" not in reader.options:
        for name in source.outputs:
            if name not in outputs:
                raise ValidationError(
                    f"{source.path}: {name!r} in outputs is not an output of the model; it has {', '.join(outputs)}"
                )
        outputs = {name: outputs[name] for name in source.outputs}
    return builder.build(outputs)


def outline_of(path: Path) -> Outline | None:
    """The outline of a model file; None if its kind has none."""
    reader = reader_of(path)
    if not reader.outline:
        return None
    outline: Outline = registered(reader.outline)(path)
    return outline
