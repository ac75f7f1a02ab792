"""The JSON form of a graph file, into a `Document` and back."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from webnn.backends.marks import KEY
from webnn.errors import DataError
from webnn.formats.json_text import parse_json
from webnn.formats.webnn_text.document import (
    Constant,
    Dimension,
    Document,
    Dynamic,
    Init,
    Inline,
    Input,
    Node,
    Output,
    Place,
    Scalar,
    WeightReference,
)
from webnn.graph.arguments import shown

__all__ = ["FORMAT", "json_of", "parse_json_form"]

FORMAT: Final = "webnn-graph-json"

V = TypeVar("V")


def parse_json_form(text: bytes, where: str) -> Document:
    """The document that the JSON form `text` of a file called `where` holds.

    Raises:
        DataError: it is not in the format; the message begins with the key, or the line and column.
    """
    root = _object(parse_json(text, where, unique_keys=True), where)
    if "format" not in root:
        raise DataError(f'{where}: it is not a graph: such a file has a "format", {FORMAT!r}; graph.save writes it')
    if root.get("format") != FORMAT:
        raise DataError(f"{where}: format must be {FORMAT!r}, got {shown(root.get('format'), 60)}")
    version = root.get("version")
    if type(version) is not int or version not in (1, 2):
        raise DataError(f"{where}: version must be 1 or 2, got {shown(version, 60)}")
    name, quantized = root.get("name"), root.get("quantized", False)
    if not isinstance(name, str | None):
        raise DataError(f"{where}: name must be a string, got {shown(name, 60)}")
    if not isinstance(quantized, bool):
        raise DataError(f"{where}: quantized must be true or false, got {shown(quantized, 60)}")
    nodes = root.get("nodes", [])
    if not isinstance(nodes, list):
        raise DataError(f"{where}: nodes must be an array, got {type(nodes).__name__}")
    mark = root.get(KEY)
    if not isinstance(mark, str | None):
        raise DataError(f"{where}: {KEY} must be a string, got {shown(mark, 60)}")
    return Document(
        name,
        version,
        quantized,
        _each(root, "inputs", where, _input(version)),
        _each(root, "consts", where, _constant),
        [_node(node, f"{where}: nodes[{i}]") for i, node in enumerate(nodes)],
        _each(root, "outputs", where, lambda value, at: Output(_string(value, at), Place(at))),
        mark,
        where,
    )


def _input(version: int) -> Callable[[object, str], Input]:
    def read(row: object, at: str) -> Input:
        data_type, shape = _described(_object(row, at), at)
        if version < 2 and any(isinstance(size, Dynamic) for size in shape):
            raise DataError(f"{at}.shape: dynamic dimensions need version 2; the file has version 1")
        return Input(data_type, shape, Place(at))

    return read


def _constant(row: object, at: str) -> Constant:
    fields = _object(row, at)
    data_type, shape = _described(fields, at)
    sizes = [size for size in shape if isinstance(size, int)]
    if len(sizes) != len(shape):
        raise DataError(f"{at}.shape: a constant cannot have a dynamic dimension")
    return Constant(data_type, sizes, _init(_object(fields.get("init"), f"{at}.init"), f"{at}.init"), Place(at))


def _init(fields: Mapping[str, Any], at: str) -> Init:
    match fields.get("kind"):
        case "weights":
            return WeightReference(_string(fields.get("ref"), f"{at}.ref"))
        case "scalar":
            value = fields.get("value")
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise _refused(f"{at}.value", "a number", value)
            return Scalar(value)
        case "inlineBytes":
            data = fields.get("bytes")
            if not isinstance(data, list) or not all(type(item) is int and 0 <= item < 256 for item in data):
                raise _refused(f"{at}.bytes", "an array of integers of 0 to 255", data)
            return Inline(bytes(data))
        case kind:
            raise _refused(f"{at}.kind", "weights, scalar or inlineBytes", kind)


def _node(node: object, at: str) -> Node:
    fields = _object(node, at)
    outputs = fields.get("outputs")
    return Node(
        _string(fields.get("id"), f"{at}.id"),
        _string(fields.get("op"), f"{at}.op", empty=True),
        [name.removeprefix("%") for name in _strings(fields.get("inputs", []), f"{at}.inputs")],
        _object(fields.get("options", {}), f"{at}.options"),
        None if outputs is None else _strings(outputs, f"{at}.outputs"),
        Place(at),
    )


def _described(fields: Mapping[str, Any], at: str) -> tuple[str, list[Dimension]]:
    shape = fields.get("shape")
    if not isinstance(shape, list):
        raise _refused(f"{at}.shape", "an array", shape)
    return _string(fields.get("dataType"), f"{at}.dataType"), [_dimension(size, f"{at}.shape") for size in shape]


def _dimension(size: object, at: str) -> Dimension:
    if type(size) is int and 0 <= size < 2**32:
        return size
    if isinstance(size, dict) and isinstance(size.get("name"), str) and type(size.get("maxSize")) is int:
        return Dynamic(size["name"], size["maxSize"])
    raise _refused(at, "sizes of 0 to 2**32 - 1, or objects of name and maxSize", size)


def _each(root: Mapping[str, Any], key: str, where: str, read: Callable[[object, str], V]) -> dict[str, V]:
    block = _object(root.get(key, {}), f"{where}: {key}")
    return {name: read(row, f"{where}: {key}.{name}") for name, row in block.items()}


def _object(value: object, at: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _refused(at, "an object", value)
    return value


def _string(value: object, at: str, *, empty: bool = False) -> str:
    if not isinstance(value, str) or not (value or empty):
        raise _refused(at, "a name", value)
    return value


def _strings(value: object, at: str) -> list[str]:
    if not isinstance(value, list):
        raise _refused(at, "an array of names", value)
    return [_string(item, f"{at}[{i}]") for i, item in enumerate(value)]


def _refused(at: str, expected: str, got: object) -> DataError:
    return DataError(f"{at}: expected {expected}, got {shown(got, 60)}")


def json_of(document: Document) -> str:
    """The JSON form of a document, readable for people: one line per input, constant and node."""
    header: dict[str, Any] = {"format": FORMAT, "version": document.version}
    if document.name is not None:
        header["name"] = document.name
    if document.quantized:
        header["quantized"] = True
    if document.mark is not None:
        header[KEY] = document.mark
    parts = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in header.items()]
    inputs = {name: _described_json(row) for name, row in document.inputs.items()}
    constants = {
        name: {**_described_json(row), "init": _init_json(row.init)} for name, row in document.constants.items()
    }
    parts.append(f'"inputs": {_lines(inputs)}')
    parts.append(f'"consts": {_lines(constants)}')
    parts.append(f'"nodes": {_lines([_node_json(node) for node in document.nodes])}')
    parts.append(f'"outputs": {_lines({name: output.value for name, output in document.outputs.items()})}')
    return "{\n  " + ",\n  ".join(parts) + "\n}\n"


def _lines(rows: Mapping[str, Any] | list[Any]) -> str:
    if isinstance(rows, list):
        lines = [json.dumps(row, ensure_ascii=False, allow_nan=False) for row in rows]
        opening, closing = "[]"
    else:
        lines = [
            f"{json.dumps(k, ensure_ascii=False)}: {json.dumps(row, ensure_ascii=False)}" for k, row in rows.items()
        ]
        opening, closing = "{}"
    return f"{opening}\n    " + ",\n    ".join(lines) + f"\n  {closing}" if lines else opening + closing


def _described_json(row: Input | Constant) -> dict[str, Any]:
    shape = [{"name": s.name, "maxSize": s.max_size} if isinstance(s, Dynamic) else s for s in row.shape]
    return {"dataType": row.data_type, "shape": shape}


def _init_json(init: Init) -> dict[str, Any]:
    match init:
        case WeightReference(key):
            return {"kind": "weights", "ref": key}
        case Scalar(value):
            return {"kind": "scalar", "value": value}
        case Inline(data):
            return {"kind": "inlineBytes", "bytes": list(data)}


def _node_json(node: Node) -> dict[str, Any]:
    row = {"id": node.id, "op": node.op, "inputs": list(node.inputs), "options": dict(node.options)}
    return row if node.outputs is None else {**row, "outputs": list(node.outputs)}
