"""From a graph to a graph file and the weights beside it."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from webnn.backends.digests import named_digest
from webnn.backends.files import written_at_once
from webnn.errors import ValidationError
from webnn.formats.json_text import json_number
from webnn.formats.webnn_text.calls import OPTION_NAMES
from webnn.formats.webnn_text.document import (
    Constant,
    Document,
    Init,
    Inline,
    Input,
    Node,
    Output,
    Scalar,
    WeightReference,
)
from webnn.formats.webnn_text.json_form import json_of
from webnn.formats.webnn_text.weights import check_replaceable, save_blob, save_tensors
from webnn.formats.webnn_text.writer import TextNames, text_names, text_of
from webnn.graph import ir
from webnn.graph.arguments import enum_value
from webnn.graph.composites.composite import expanded
from webnn.graph.naming import NamesInFile, camel, names_in_file
from webnn.graph.operand import MLOperand
from webnn.graph.operator import operator_signature

__all__ = ["document_of", "encoded", "save_document", "save_json", "save_webnn"]

INLINE_BYTES: Final = 128
"""Constants up to this size are written into the graph file."""

Array = np.ndarray[Any, Any]


def save_webnn(graph: ir.Graph, path: Path, *, weights: Literal["safetensors", "blob"] = "safetensors") -> NamesInFile:
    """Write `graph` in its text form."""
    names = TextNames({}, {})

    def form(document: Document) -> str:
        nonlocal names
        names = text_names(document)
        return text_of(document, names)

    save_document(graph, path, form, weights)
    return names_in_file({name: names.values[name] for name in graph.inputs}, names.outputs)


def save_json(graph: ir.Graph, path: Path, *, weights: Literal["safetensors", "blob"] = "safetensors") -> None:
    """Write `graph` in its JSON form."""
    save_document(graph, path, json_of, weights)


def save_document(graph: ir.Graph, path: Path, form: Callable[[Document], str], weights: str = "safetensors") -> None:
    """Write the document of `graph` in a form, and its weights beside it, with the same mark."""
    enum_value("save: weights", weights, ("safetensors", "blob"))
    document, arrays = document_of(graph, path.stem)
    mark = document.mark = named_digest(arrays) if arrays else None
    text = encoded(form(document))
    if mark is not None:
        beside, save = (".safetensors", save_tensors) if weights == "safetensors" else (".weights", save_blob)
        check_replaceable(path.with_suffix(beside), path, mark)
        save(path.with_suffix(beside), arrays, mark)
    with written_at_once(path) as file:
        file.write(text)


def encoded(text: str) -> bytes:
    """`text` in UTF-8.

    Raises:
        ValidationError: a name in it cannot be encoded.
    """
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        what = error.object[error.start : error.end]
        raise ValidationError(
            f"a name or label contains {what!r}, half of a surrogate pair, which UTF-8 cannot encode; rename it"
        ) from None


def document_of(graph: ir.Graph, name: str) -> tuple[Document, dict[str, Array]]:
    """The document for `graph`, and the arrays that belong in a weight file, by key.

    Raises:
        NotSupportedError: the operators that stand for a composite would take too much memory.
    """
    return _Writer(expanded(graph), name).document()


class _Writer:
    def __init__(self, graph: ir.Graph, name: str) -> None:
        self._graph = graph
        self._document = Document(name)
        self._arrays: dict[str, Array] = {}
        self._keys: dict[tuple[int, str, tuple[int, ...]], str] = {}
        self._names: dict[int, str] = {}
        self._taken = {*graph.inputs, *graph.outputs}

    def document(self) -> tuple[Document, dict[str, Array]]:
        graph, document = self._graph, self._document
        for name, operand in graph.inputs.items():
            self._names[id(operand)] = name
            document.inputs[name] = Input(operand.data_type, operand.shape)
        for name, operand in graph.outputs.items():
            if name not in graph.inputs:  # (then the value has another name; the JSON form can express that)
                self._names.setdefault(id(operand), name)
        for i, operand in enumerate(graph.constants):
            self._constant(self._name(operand, f"constant_{i}"), operand)
        for i, node in enumerate(graph.nodes):
            document.nodes.append(self._node(node, f"{camel(node.op)}_{i}"))
        for name, operand in graph.outputs.items():
            document.outputs[name] = Output(self._names[id(operand)])
        return document, self._arrays

    def _name(self, operand: MLOperand, wanted: str) -> str:
        name = self._names.get(id(operand))
        if name is None:
            name = wanted
            while name in self._taken:
                name += "_"
            self._taken.add(name)
            self._names[id(operand)] = name
        return name

    def _constant(self, name: str, operand: MLOperand) -> None:
        array = operand.constant
        assert array is not None
        init: Init | None = _short(array)
        if init is None:
            # Constants that share their memory share a weight.
            key = self._keys.setdefault((array.ctypes.data, operand.data_type, operand.shape), name)
            self._arrays.setdefault(key, array)
            init = WeightReference(key)
        self._document.constants[name] = Constant(operand.data_type, operand.shape, init)

    def _node(self, node: ir.Node, wanted: str) -> Node:
        parameters = operator_signature(node.op).parameters
        inputs: list[str] = []
        options: dict[str, Any] = {}
        for name, operand in node.operands.items():
            if not isinstance(operand, MLOperand):
                inputs += [self._names[id(item)] for item in operand]
            elif parameters[name].default is parameters[name].empty:
                inputs.append(self._names[id(operand)])
            else:
                options[camel(name)] = self._names[id(operand)]
        for name, value in node.attributes.items():
            if value is not None and repr(value) != repr(parameters[name].default):
                options[OPTION_NAMES.get((node.op, name), camel(name))] = _option(value)
        if node.label:
            options["label"] = node.label
        several = len(node.outputs) > 1
        values = [self._name(o, f"{wanted}_{i}" if several else wanted) for i, o in enumerate(node.outputs)]
        return Node(values[0], camel(node.op), inputs, options, values if several else None)


def _short(array: Array) -> Init | None:
    """The form in which the graph file itself holds `array`; None if it belongs in the weight file."""
    if array.dtype.name in ("int4", "uint4") or array.nbytes > INLINE_BYTES:
        return None
    if array.ndim == 0:
        value = array.item()
        if math.isfinite(value) and (isinstance(value, float) or abs(value) <= 2**24):  # exact in other readers too
            return Scalar(value)
    return Inline(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())


def _option(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_option(item) for item in value]
    return json_number(value) if isinstance(value, float) else value
