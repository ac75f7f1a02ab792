"""The JavaScript module of a `Document`: each node as a call of `MLGraphBuilder`, as one writes it by hand."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import Any, Final

import numpy as np

from webnn.formats.json_text import NUMBER_WORDS
from webnn.formats.webnn_text.calls import OPTION_NAMES
from webnn.formats.webnn_text.document import Constant, Document, Input, Node, Scalar, WeightReference
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.dtypes import numpy_dtype
from webnn.graph.limits import SPEC_LIMITS
from webnn.graph.naming import camel, snake
from webnn.graph.operator import operator_signature

__all__ = ["ARRAY_TYPES", "literal", "module_text", "resource"]

ARRAY_TYPES: Final[Mapping[str, str]] = {
    "float32": "Float32Array",
    "float16": "Uint16Array",  # its bits, since not every browser has Float16Array
    "int32": "Int32Array",
    "uint32": "Uint32Array",
    "int64": "BigInt64Array",
    "uint64": "BigUint64Array",
    "int8": "Int8Array",
    "uint8": "Uint8Array",
}
"""The array in which a small constant is written down."""
EXACT: Final = 2**53
"""From here on, JavaScript's numbers are no longer exact, and integers are written as BigInts."""
_WORDS: Final = """
arguments await break case catch class const continue debugger default delete do else enum eval export extends
false finally for function if implements import in instanceof interface let new null package private protected
public return static super switch this throw true try typeof undefined var void while with yield NaN Infinity
builder choose constant context weights build inputs outputs graphBuilder constantsOf
"""
"""Words of the language that cannot be names in a module, and the names that `build` uses itself."""
_RESERVED: Final = frozenset(_WORDS.split()) | frozenset(ARRAY_TYPES.values())


def resource(name: str) -> str:
    """The text of a file beside this module."""
    return files("webnn.formats.javascript").joinpath(name).read_text(encoding="utf-8")


def literal(value: Any) -> str:
    """A string, number, list or mapping as JavaScript has it; safe inside of HTML's script elements."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return re.sub(r"<(?=[/!sS])", r"\\u003c", json.dumps(value, ensure_ascii=False))
        case int():
            return str(value) if abs(value) < EXACT else f"{value}n"
        case float():
            return _number(value)
        case Mapping():
            members = [f"{_key(key)}: {literal(item)}" for key, item in value.items()]
            return f"{{ {', '.join(members)} }}" if members else "{}"
        case Iterable():
            return f"[{', '.join(map(literal, value))}]"
    raise AssertionError(f"an option is {value!r}")


def _number(value: float) -> str:
    if math.isfinite(value):
        text = repr(value)
        return text.removesuffix(".0")
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z_$][A-Za-z0-9_$]*", key) else literal(key)


def module_text(document: Document, outputs: Mapping[str, MLOperandDescriptor], *, weights: str = "") -> str:
    """The source of the module.

    Args:
        document: the document of the graph.
        outputs: the descriptors of its outputs.
        weights: the name of the file with its weights, from the module's folder; empty if it has none, or a page holds
            them.
    """
    operators = sorted({node.op for node in document.nodes if node.op})
    count = "1 operator" if len(document.nodes) == 1 else f"{len(document.nodes)} operators"
    lines = [
        f"// {literal(document.name or 'graph')}: a graph of {count}, written by `webnn convert`.",
        "// The WebNN API: https://www.w3.org/TR/webnn/",
        "",
        '/** @typedef {Exclude<MLOperandDataType, "int4" | "uint4">} DataType */',
        "/** @typedef {{ dataType: DataType, shape: number[], byteLength: number }} Descriptor */",
        "",
        "/** The inputs by name. @type {Record<string, Descriptor>} */",
        f"export const inputs = {_descriptors(document.inputs)};",
        "",
        "/** The outputs by name. @type {Record<string, Descriptor>} */",
        f"export const outputs = {_descriptors(outputs)};",
        "",
        "/** The file with the weights, beside this module. */",
        f"const WEIGHTS = {literal(weights)};",
        "/** The mark that this file has. @type {string | undefined} */",
        f"const MARK = {literal(document.mark) if document.mark is not None else 'undefined'};",
        "/** The operators that the graph needs. */",
        f"const OPERATORS = {literal(operators)};",
        "",
        "/**",
        " * Build the graph.",
        " * @param {MLContext} context",
        " * @param {ArrayBuffer} [weights] - the content of the file with the weights",
        " * @param {Choose} [choose] - which operands become outputs in place of the graph's own",
        " * @returns {Promise<MLGraph>}",
        " */",
        "export async function build(context, weights, choose) {",
        *(f"  {line}" if line else "" for line in _Body(document).lines()),
        "}",
        "",
    ]
    return "\n".join(lines) + resource("runtime.js")


def _descriptors(rows: Mapping[str, Input | MLOperandDescriptor]) -> str:
    lines = []
    for name, row in rows.items():
        descriptor = MLOperandDescriptor(row.data_type, row.shape)  # type: ignore[call-overload]
        facts = {**_descriptor(row), "byteLength": descriptor.byte_length}
        lines.append(f"  {literal(name)}: {literal(facts)},\n")
    return f"{{\n{''.join(lines)}}}" if lines else "{}"


def _descriptor(row: Input | Constant | MLOperandDescriptor) -> dict[str, Any]:
    return {"dataType": row.data_type, "shape": list(row.shape)}


class _Body:
    """The body of the function `build`."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._names: dict[str, str] = {}
        self._taken = set(_RESERVED)

    def lines(self) -> list[str]:
        """Its lines, not indented."""
        document = self._document
        lines = ["const builder = graphBuilder(context, choose);"]
        if any(isinstance(row.init, WeightReference) for row in document.constants.values()):
            lines.append("const constant = constantsOf(context, builder, weights);")
        for name, row in document.inputs.items():
            lines.append(f"const {self._new(name)} = builder.input({literal(name)}, {literal(_descriptor(row))});")
        lines += ["", *(self._constant(name, row) for name, row in document.constants.items())]
        lines += ["", *map(self._call, document.nodes)]
        outputs = {name: self._names[output.value] for name, output in document.outputs.items()}
        members = [_key(name) if name == value else f"{_key(name)}: {value}" for name, value in outputs.items()]
        return [*lines, "", f"return builder.build({{ {', '.join(members)} }});"]

    def _new(self, name: str) -> str:
        """The variable for the value `name`."""
        wanted = re.sub(r"[^A-Za-z0-9_$]", "_", name)
        if not wanted or wanted[0].isdigit():
            wanted = f"_{wanted}"
        while wanted in self._taken:
            wanted += "_"
        self._taken.add(wanted)
        self._names[name] = wanted
        return wanted

    def _constant(self, name: str, row: Constant) -> str:
        variable = self._new(name)
        match row.init:
            case WeightReference(key):
                return (
                    f"const {variable} = await constant({literal(key)}, {literal(row.data_type)}, {list(row.shape)});"
                )
            case Scalar(value):
                array = np.array(value, numpy_dtype(row.data_type))  # type: ignore[arg-type]
            case init:
                array = np.frombuffer(init.data, numpy_dtype(row.data_type).newbyteorder("<"))  # type: ignore[arg-type]
        kind = ARRAY_TYPES[row.data_type]
        values = f"new {kind}([{', '.join(_elements(array.reshape(-1)))}])"
        if row.data_type == "float16":
            values += ".buffer"
        return f"const {variable} = builder.constant({literal(_descriptor(row))}, {values});"

    def _call(self, node: Node) -> str:
        if not node.op:
            return f"const {self._new(node.values[0])} = {self._names[node.inputs[0]]};"
        arguments = self._arguments(node)
        results = [self._new(name) for name in node.values]
        is_list = str(operator_signature(snake(node.op)).return_annotation).startswith(
            "list["
        )  # of one too, if it is a list
        target = f"[{', '.join(results)}]" if is_list else results[0]
        return f"const {target} = builder.{node.op}({', '.join(arguments)});"

    def _arguments(self, node: Node) -> list[str]:
        """The arguments of the call: operands and values by position, then one object of options."""
        op = snake(node.op)
        operands = [self._names[name] for name in node.inputs]
        options = dict(node.options)
        positional = []
        for name, parameter in operator_signature(op).parameters.items():
            if name == "self" or parameter.default is not parameter.empty:
                continue
            if name == "inputs":
                positional.append(f"[{', '.join(operands)}]")
            elif name in SPEC_LIMITS[op]:
                positional.append(operands.pop(0))
            else:
                positional.append(_value(options.pop(OPTION_NAMES.get((op, name), camel(name)))))
        members = [
            f"{key}: {self._names[value] if snake(key) in SPEC_LIMITS[op] else _value(value, is_text=key == 'label')}"
            for key, value in options.items()
        ]
        return [*positional, f"{{ {', '.join(members)} }}"] if members else positional


def _value(value: Any, *, is_text: bool = False) -> str:
    """The value of an option; a number that JSON lacks is a word in a document."""
    if isinstance(value, str) and not is_text and value in NUMBER_WORDS:
        return value
    return literal(value)


def _elements(array: np.ndarray[Any, Any]) -> list[str]:
    if array.dtype.name == "float16":
        return [f"0x{bits:04x}" for bits in array.astype(array.dtype.newbyteorder("=")).view(np.uint16).tolist()]
    if array.dtype.kind == "f":
        # The shortest form that gives the same float32 again.
        return [_number(float(value)) if not np.isfinite(value) else str(value).removesuffix(".0") for value in array]
    suffix = "n" if array.dtype.itemsize == 8 else ""
    return [f"{value}{suffix}" for value in array.tolist()]
