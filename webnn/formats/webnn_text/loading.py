"""From a graph file to a graph."""

from __future__ import annotations

import codecs
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import numpy as np

from webnn.backends.marks import check_marks
from webnn.errors import DataError, ValidationError
from webnn.forking import import_whole
from webnn.formats.outline import OpenDimensionsError
from webnn.formats.webnn_text.calls import Scope, call
from webnn.formats.webnn_text.document import (
    MAX_FILE,
    Constant,
    Document,
    Dynamic,
    Inline,
    Input,
    Scalar,
    WeightReference,
)
from webnn.formats.webnn_text.json_form import parse_json_form
from webnn.formats.webnn_text.parser import parse_text
from webnn.formats.webnn_text.weights import FOUR_BITS, Weights, find_weights, four_bits_from, open_weights
from webnn.graph.arguments import shown, unsigned
from webnn.graph.arrays import array_from
from webnn.graph.builder import MLGraphBuilder, declare_inputs, keep_open_dimensions
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.dtypes import cast_number
from webnn.graph.operand import MLOperand

__all__ = ["imported", "largest_sizes", "read_document"]

MAX_FILLED: Final = 256 * 1024 * 1024
"""The most bytes that all constants filled with one value may take in a file: a short line can ask for gigabytes."""


def imported(
    path: Path,
    builder: MLGraphBuilder[Any],
    shapes: Mapping[str, int],
    weights: str | os.PathLike[str] | None,
) -> dict[str, MLOperand]:
    """The result of `import_webnn`, with its arguments."""
    document = read_document(path)
    sizes = _sizes(document, shapes)
    scope = Scope(builder, {}, sizes)
    for name, row in document.inputs.items():
        operand = _input(document.input_names.get(name, name), row, builder, sizes)
        _define(scope, name, operand, str(row.place))
    stored = _Stored(document, path, weights)
    for name, constant in document.constants.items():
        _define(scope, name, _constant(constant, builder, stored), str(constant.place))
    ids = set()
    for node in document.nodes:
        if node.id in ids:
            raise DataError(f"{node.place}: two nodes are called {shown(node.id)}")
        ids.add(node.id)
        results = call(node, scope)
        if len(results) != len(node.values):
            raise DataError(f"{node.place}: the node names {len(node.values)} outputs, {node.op} has {len(results)}")
        for name, result in zip(node.values, results, strict=True):
            _define(scope, name, result, str(node.place))
    if not document.outputs:
        raise DataError(f"{document.where}: the graph has no outputs")
    outputs = {name: scope.operand(o.value, str(o.place)) for name, o in document.outputs.items()}
    return {name: operand if operand.node else builder.identity(operand) for name, operand in outputs.items()}


def read_document(path: Path) -> Document:
    """The document in the graph file at `path`, in either form.

    Raises:
        DataError: it is too large, or in neither form.
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        data = file.read(MAX_FILE + 1)
    if len(data) > MAX_FILE:
        raise DataError(
            f"{path.name}: a graph file may have {MAX_FILE} bytes, this has more; weights belong in another file"
        )
    data = data.removeprefix(codecs.BOM_UTF8)
    if data.lstrip()[:1] == b"{":
        return parse_json_form(data, path.name)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path.name}:{line}: not UTF-8{_mistaken_for(data, path)}") from None
    try:
        return parse_text(text, path.name)
    except DataError as error:
        raise DataError(f"{error}{_mistaken_for(data, path)}") from None


def _mistaken_for(data: bytes, path: Path) -> str:
    hint: str = import_whole("webnn.formats.mistaken").mistaken_for(data, path, loader="load_webnn")
    return hint


def largest_sizes(document: Document) -> dict[str, int]:
    """The largest size of each open dimension, by its name."""
    limits: dict[str, int] = {}
    for row in document.inputs.values():
        for size in row.shape:
            if isinstance(size, Dynamic):
                limits[size.name] = min(size.max_size, limits.get(size.name, size.max_size))
    return limits


def _define(scope: Scope, name: str, operand: MLOperand, where: str) -> None:
    if name in scope.values:
        raise DataError(f"{where}: {shown(name)} is defined twice")
    scope.values[name] = operand


def _sizes(document: Document, given: Mapping[str, int]) -> dict[str, int]:
    limits = largest_sizes(document)
    unknown = [name for name in given if name not in limits]
    if unknown:
        raise ValidationError(f"{document.where}: shapes has {unknown[0]!r}, but no input has such a dimension")
    missing = {name: f"{name!r} (at most {limit})" for name, limit in limits.items() if name not in given}
    if missing:
        raise OpenDimensionsError(
            f"{document.where}: shapes must have a size for {', '.join(missing.values())}",
            dict.fromkeys(missing, "..."),
        )
    sizes = {}
    for name, limit in limits.items():
        sizes[name] = unsigned(f"shapes[{name!r}]", given[name])
        if sizes[name] > limit:
            raise ValidationError(f"{document.where}: {name!r} is at most {limit}, shapes has {sizes[name]}")
    return sizes


def _input(name: str, row: Input, builder: MLGraphBuilder[Any], sizes: Mapping[str, int]) -> MLOperand:
    shape = [sizes[size.name] if isinstance(size, Dynamic) else size for size in row.shape]
    try:
        operand = builder.input(name, {"data_type": row.data_type, "shape": shape})
    except ValidationError as error:
        raise DataError(f"{row.place}: {error}") from None
    declare_inputs(builder, [name])
    names = [size.name if isinstance(size, Dynamic) else None for size in row.shape]
    if any(names):
        keep_open_dimensions(builder, name, names)
    return operand


class _Stored:
    """The weight file, opened for the first constant that needs it; and how many bytes have been filled so far."""

    def __init__(self, document: Document, graph: Path, path: str | os.PathLike[str] | None) -> None:
        self._graph = graph
        self._path = None if path is None else graph.parent / path
        self._where = document.where
        self._mark = document.mark
        self._opened: Weights | None = None
        self._filled = 0

    def get(self, key: str, descriptor: MLOperandDescriptor, where: str) -> np.ndarray[Any, Any]:
        if self._opened is None:
            self._opened = self._find(key, where) if self._path is None else open_weights(self._path, self._graph)
        return self._opened.get(key, descriptor)

    def _find(self, key: str, where: str) -> Weights:
        """The first weight file beside the graph, or a later one if only that has the graph's mark."""
        paths = find_weights(self._graph)
        if not paths:
            raise DataError(
                f"{where}: the weight {shown(key)} is in another file, but there is neither"
                f" {self._graph.stem}.safetensors nor {self._graph.stem}.weights beside {self._where}"
            )
        try:
            opened = open_weights(paths[0], self._graph)
            remedy = f", or say weights={paths[0].name!r} to use these all the same"
            check_marks(self._where, self._mark, paths[0].name, opened.mark, remedy)
        except DataError:
            for path in paths[1:] if self._mark is not None else ():
                with suppress(DataError):
                    opened = open_weights(path, self._graph)
                    if opened.mark == self._mark:
                        return opened
            raise
        return opened

    def filled(self, value: int | float, descriptor: MLOperandDescriptor, where: str) -> np.ndarray[Any, Any]:
        self._filled += descriptor.byte_length
        if self._filled > MAX_FILLED:
            raise DataError(
                f"{where}: constants filled with one value may take {MAX_FILLED} bytes per file, this one exceeds that"
            )
        return np.full(descriptor.shape, cast_number(value, descriptor.data_type), descriptor.dtype)


def _constant(row: Constant, builder: MLGraphBuilder[Any], stored: _Stored) -> MLOperand:
    try:
        descriptor = MLOperandDescriptor(row.data_type, row.shape)  # type: ignore[call-overload]
        match row.init:
            case WeightReference(key):
                array = stored.get(key, descriptor, str(row.place))
            case Scalar(value):
                array = stored.filled(value, descriptor, str(row.place))
            case Inline(data):
                array = np.frombuffer(data, np.uint8)
                if descriptor.data_type in FOUR_BITS:
                    array = four_bits_from(array, descriptor, str(row.place))
                array = array_from(array, descriptor)
        return builder.constant(array)
    except ValidationError as error:
        raise DataError(f"{row.place}: {error}") from None
