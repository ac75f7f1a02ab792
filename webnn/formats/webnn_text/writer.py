"""The text form of a `Document`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from webnn.backends.marks import KEY
from webnn.errors import ValidationError
from webnn.formats.webnn_text.document import Constant, Document, Dynamic, Inline, Input, Node, Scalar, WeightReference
from webnn.formats.webnn_text.lexer import IDENTIFIER
from webnn.formats.webnn_text.parser import SHORT_TYPES

__all__ = ["text_of"]

_SHORT: Final = {long: short for short, long in SHORT_TYPES.items()}


def text_of(document: Document) -> str:
    """The text form of a document.

    Raises:
        ValidationError: the text form cannot hold a name in it, or cannot give an output another name than its value.
    """
    values = {name for node in document.nodes for name in node.values}
    aliases = []
    for name, output in document.outputs.items():
        if name != output.value:
            if name in values or name in document.inputs or name in document.constants:
                raise ValidationError(
                    f"the output {name!r} is the value {output.value!r}, and another value is called {name!r}:"
                    " the text form cannot tell them apart; save as .json, which can"
                )
            aliases.append(f"{_name(name)} = {_name(output.value)};")
    inputs = [f"{_name(name)}: {_type(row)};" for name, row in document.inputs.items()]
    constants = [f"{_name(name)}: {_type(row)}{_init(name, row)};" for name, row in document.constants.items()]
    blocks = {"inputs": inputs, "consts": constants, "nodes": [*map(_statement, document.nodes), *aliases]}
    lines = [f"webnn_graph {_string(document.name or 'graph')} v{document.version}"]
    lines[0] += " @quantized {" if document.quantized else " {"
    if document.mark is not None:
        lines.append(f"  # {KEY} {document.mark}")  # a comment to other programs
    for name, rows in blocks.items():
        if rows:
            lines += [f"  {name} {{", *(f"    {row}" for row in rows), "  }", ""]
    lines += [f"  outputs {{ {' '.join(f'{_name(name)};' for name in document.outputs)} }}", "}", ""]
    return "\n".join(lines)


def _name(name: str) -> str:
    if not IDENTIFIER.fullmatch(name):
        raise ValidationError(
            f"the text form cannot hold the name {name!r}: expected a letter, '_', '/' or '$' and then letters, digits,"
            " '_', '.' and '/'; save as .json, which can, or rename it"
        )
    return name


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


def _statement(node: Node) -> str:
    names = f"[{', '.join(map(_name, node.outputs))}]" if node.outputs is not None else _name(node.id)
    operands = [_name(name) for name in node.inputs]
    if not node.op:
        return f"{names} = {operands[0]};"
    options = [f"{_name(key)}={_value(value)}" for key, value in node.options.items()]
    return f"{names} = {node.op}({', '.join(operands + options)});"


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
