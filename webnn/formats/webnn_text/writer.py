"""The text form of a `Document`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from webnn.backends.marks import KEY
from webnn.formats.webnn_text.document import Constant, Document, Dynamic, Inline, Input, Node, Scalar, WeightReference
from webnn.formats.webnn_text.lexer import IDENTIFIER, NAMES
from webnn.formats.webnn_text.parser import SHORT_TYPES, WORDS
from webnn.graph.limits import SPEC_LIMITS
from webnn.graph.naming import snake, valid_names

__all__ = ["TextNames", "text_names", "text_of"]

_VALID: Final = re.compile(rf"(?!(?:{'|'.join(WORDS)})\Z){IDENTIFIER.pattern}")
_SHORT: Final = {long: short for short, long in SHORT_TYPES.items()}


@dataclass(frozen=True, slots=True)
class TextNames:
    """The names that the text form of a document has, by those in the document."""

    values: Mapping[str, str]
    outputs: Mapping[str, str]
    """An output may have another name than its value."""


def text_names(document: Document) -> TextNames:
    """The names for `document` in its text form: those it can hold stay as they are."""
    produced = (name for node in document.nodes for name in node.values)
    values = valid_names([*document.inputs, *document.constants, *produced], _VALID)
    aliases = [name for name, output in document.outputs.items() if name != output.value]
    others = valid_names(aliases, _VALID, values.values())
    return TextNames(values, {name: others.get(name) or values[name] for name in document.outputs})


def text_of(document: Document, names: TextNames | None = None) -> str:
    """The text form of a document, with `names`, by default its `text_names`."""
    names = text_names(document) if names is None else names
    values = names.values
    aliases = [
        f"{names.outputs[name]} = {values[output.value]};"
        for name, output in document.outputs.items()
        if names.outputs[name] != values[output.value]
    ]
    inputs = [f"{values[name]}: {_type(row)};" for name, row in document.inputs.items()]
    constants = [f"{values[name]}: {_type(row)}{_init(values[name], row)};" for name, row in document.constants.items()]
    nodes = [_statement(node, values) for node in document.nodes]
    blocks = {"inputs": inputs, "consts": constants, "nodes": [*nodes, *aliases]}
    lines = [f"webnn_graph {_string(document.name or 'graph')} v{document.version}"]
    lines[0] += " @quantized {" if document.quantized else " {"
    # Comments to other programs.
    if document.mark is not None:
        lines.append(f"  # {KEY} {document.mark}")
    for key, kind in zip(NAMES, ({name: values[name] for name in document.inputs}, names.outputs), strict=True):
        if originals := {text: name for name, text in kind.items() if text != name}:
            lines.append(f"  # {key} {json.dumps(originals, ensure_ascii=False)}")
    for block, rows in blocks.items():
        if rows:
            lines += [f"  {block} {{", *(f"    {row}" for row in rows), "  }", ""]
    lines += [f"  outputs {{ {' '.join(f'{name};' for name in names.outputs.values())} }}", "}", ""]
    return "\n".join(lines)


def _type(row: Input | Constant) -> str:
    sizes = [f"dyn({_string(s.name)}, {s.max_size})" if isinstance(s, Dynamic) else str(s) for s in row.shape]
    return f"{_SHORT[row.data_type]}[{', '.join(sizes)}]"


def _init(name: str, constant: Constant) -> str:
    match constant.init:
        case WeightReference(key):
            return "" if key == name else f" @weights({_string(key)})"
        case Scalar(value):
            return f" @scalar({value!r})"
        case Inline(data):
            return f" @bytes({list(data)})"


def _statement(node: Node, names: Mapping[str, str]) -> str:
    results = f"[{', '.join(names[name] for name in node.outputs)}]" if node.outputs is not None else names[node.id]
    operands = [names[name] for name in node.inputs]
    if not node.op:
        return f"{results} = {operands[0]};"
    # An option may be an operand, by its name.
    limits = SPEC_LIMITS.get(snake(node.op), {})
    values = ((key, names.get(value, value) if snake(key) in limits else value) for key, value in node.options.items())
    options = [f"{key}={_value(value)}" for key, value in values]
    return f"{results} = {node.op}({', '.join(operands + options)});"


def _value(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return _string(value)
        case int() | float():
            return repr(value)
        case Mapping():
            return "{" + ", ".join(f"{_string(key)}: {_value(item)}" for key, item in value.items()) + "}"
        case Sequence():
            return f"[{', '.join(map(_value, value))}]"
    raise AssertionError(f"an option is {value!r}")


def _string(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
