"""The text form of a graph file, read into a `Document`."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

from webnn.errors import DataError
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
from webnn.formats.webnn_text.lexer import NAMES, Lexer, Token
from webnn.graph.arguments import shown

__all__ = ["SHORT_TYPES", "WORDS", "parse_text"]

SHORT_TYPES: Final = {
    "f32": "float32",
    "f16": "float16",
    "i32": "int32",
    "u32": "uint32",
    "i64": "int64",
    "u64": "uint64",
    "i8": "int8",
    "u8": "uint8",
    "i4": "int4",
    "u4": "uint4",
}
MAX_DEPTH: Final = 32
"""How deeply arrays and objects may be nested in an option."""
MAX_DIMENSIONS: Final = 64
"""More than any operator takes, so that the operator's own message names its limit."""
WORDS: Final = {"true": True, "false": False, "null": None}
"""Words that are values of options, and so not names."""


def parse_text(text: str, where: str) -> Document:
    """The document that the text form `text` of a file called `where` holds.

    Raises:
        DataError: it is not in the format; the message begins with file, line and column.
    """
    return _Parser(Lexer(text, where), where).document()


class _Parser:
    def __init__(self, lexer: Lexer, where: str) -> None:
        self._lexer = lexer
        self._document = Document(where=where)

    def document(self) -> Document:
        lexer, document = self._lexer, self._document
        if not lexer.accept("webnn_graph"):
            raise lexer.error(f'expected webnn_graph "name" v1, got {lexer.found()}')
        document.name = self._string()
        version = lexer.expect("word")
        if version.text == "v":
            version = lexer.expect("number")
        if version.text.removeprefix("v") not in ("1", "2"):
            raise lexer.error(f"expected version v1 or v2, got {version.text[:40]!r}", version)
        document.version = int(version.text.removeprefix("v"))
        document.quantized = lexer.accept("@quantized")
        lexer.expect("{")
        blocks = {"inputs": self._input, "consts": self._constant, "nodes": self._node, "outputs": self._outputs}
        while not lexer.accept("}"):
            block = blocks.get(lexer.peek.text)
            if block is None:
                raise lexer.error(f"expected inputs, consts, nodes, outputs or '}}', got {lexer.found()}")
            lexer.next()
            lexer.expect("{")
            while not lexer.accept("}"):
                block()
        if lexer.peek.kind != "end":
            raise lexer.error(f"expected the end of the file after the graph's '}}', got {lexer.found()}")
        document.mark = lexer.mark
        inputs, outputs = (self._names_in(lexer.names.get(kind)) for kind in NAMES)
        document.input_names = {name: inputs[name] for name in document.inputs if name in inputs}
        self._check_distinct(document.inputs, inputs, "inputs")
        self._check_distinct(document.outputs, outputs, "outputs")
        document.outputs = {outputs.get(name, name): output for name, output in document.outputs.items()}
        return document

    def _names_in(self, comment: Token | None) -> Mapping[str, str]:
        """The names that a comment gives, by those in the text."""
        if comment is None:
            return {}
        try:
            names = json.loads(comment.text)
        except (ValueError, RecursionError):
            names = None
        if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
            raise self._lexer.error("expected a JSON object of names in this comment", comment)
        return names

    def _check_distinct(self, found: Iterable[str], names: Mapping[str, str], kind: str) -> None:
        for name, count in Counter(names.get(name, name) for name in found).items():
            if count > 1:
                comment = self._lexer.names[f"webnn.{kind}"]
                raise self._lexer.error(f"this comment gives {count} {kind} the name {shown(name)}", comment)

    def _input(self) -> None:
        name, place = self._name()
        self._check_not_repeated(name, self._document.inputs, "input")
        self._lexer.expect(":")
        data_type, shape = self._type()
        self._lexer.expect(";")
        self._document.inputs[name.text] = Input(data_type, shape, place)

    def _constant(self) -> None:
        lexer = self._lexer
        name, place = self._name()
        self._check_not_repeated(name, self._document.constants, "constant")
        lexer.expect(":")
        start = lexer.peek
        data_type, shape = self._type()
        sizes = [size for size in shape if isinstance(size, int)]
        if len(sizes) != len(shape):
            raise lexer.error("a constant cannot have a dynamic dimension", start)
        init: Init = WeightReference(name.text)
        while lexer.peek.kind == "annotation":
            init = self._init()
        lexer.expect(";")
        self._document.constants[name.text] = Constant(data_type, sizes, init, place)

    def _init(self) -> Init:
        lexer = self._lexer
        annotation = lexer.next()
        init: Init
        match annotation.text:
            case "@weights":
                lexer.expect("(")
                init = WeightReference(self._string())
            case "@scalar":
                lexer.expect("(")
                init = Scalar(self._number())
            case "@bytes":
                try:
                    data = lexer.byte_list()
                    if data is not None:
                        return Inline(data)
                    lexer.expect("(")
                    init = Inline(bytes(self._value(MAX_DEPTH - 1) if lexer.peek.text == "[" else [-1]))
                except (ValueError, TypeError):
                    message = "@bytes takes integers of 0 to 255 with commas between them"
                    raise lexer.error(message, annotation) from None
            case other:
                raise lexer.error(f"expected @weights, @scalar or @bytes, got {other!r}", annotation)
        lexer.expect(")")
        return init

    def _node(self) -> None:
        lexer = self._lexer
        parts: dict[str, str] = {}
        start = lexer.peek
        outputs: list[str] | None = None
        if lexer.accept("["):
            outputs = [self._name()[0].text]
            while lexer.accept(","):
                outputs.append(self._name()[0].text)
            lexer.expect("]")
        else:
            self._name()
        lexer.expect("=")
        op = lexer.expect("word")
        inputs: list[str] = []
        options: dict[str, Any] = {}
        if lexer.accept("("):
            while not lexer.accept(")"):
                self._argument(inputs, options, parts)
                if lexer.peek.text != ")":
                    lexer.expect(",")
                    if lexer.peek.text == ")":
                        raise lexer.error("expected another argument after ',', got ')'")
        else:
            parts["inputs[0]"] = lexer.place(op)
            inputs, op = [_bare(op)], Token("word", "", op.offset)
        lexer.expect(";")
        name = outputs[0] if outputs is not None else _bare(start)
        place = Place(lexer.place(start), parts)
        self._document.nodes.append(Node(name, op.text, inputs, options, outputs, place))

    def _argument(self, inputs: list[str], options: dict[str, Any], parts: dict[str, str]) -> None:
        lexer = self._lexer
        token = lexer.peek
        if token.kind == "word" and token.text not in WORDS:
            lexer.next()
            if lexer.accept("="):
                if token.text in options:
                    raise lexer.error(f"the option {token.text} is given twice", token)
                parts[f"options.{token.text}"] = lexer.place(lexer.peek)
                options[token.text] = self._value(0)
                return
            operand = _bare(token)
        elif token.kind == "string":
            operand = self._string()
        else:
            raise lexer.error(f"expected the name of an operand, or an option as name=value, got {lexer.found()}")
        parts[f"inputs[{len(inputs)}]"] = lexer.place(token)
        inputs.append(operand)

    def _outputs(self) -> None:
        lexer = self._lexer
        while True:
            name, place = self._name()
            self._check_not_repeated(name, self._document.outputs, "output")
            self._document.outputs[name.text] = Output(name.text, place)
            if not lexer.accept(","):
                break
        if lexer.peek.text != "}":
            lexer.expect(";")

    def _type(self) -> tuple[str, list[Dimension]]:
        lexer = self._lexer
        name = lexer.expect("word")
        if name.text not in SHORT_TYPES:
            raise lexer.error(f"expected a data type, one of {', '.join(SHORT_TYPES)}, got {name.text[:40]!r}", name)
        lexer.expect("[")
        shape: list[Dimension] = []
        while not lexer.accept("]"):
            if shape:
                lexer.expect(",")
            if len(shape) == MAX_DIMENSIONS:
                raise lexer.error(f"a shape of more than {MAX_DIMENSIONS} dimensions")
            shape.append(self._dimension())
        return SHORT_TYPES[name.text], shape

    def _dimension(self) -> Dimension:
        lexer = self._lexer
        if not lexer.accept("dyn"):
            return self._size()
        if self._document.version < 2:
            raise lexer.error("dynamic dimensions need version 2; the file has v1")
        lexer.expect("(")
        name = self._string()
        lexer.expect(",")
        size = self._size()
        lexer.expect(")")
        return Dynamic(name, size)

    def _size(self) -> int:
        token = self._lexer.expect("number")
        if not token.text.isdigit() or len(token.text) > 10 or int(token.text) >= 2**32:
            raise self._lexer.error(f"expected a size of 0 to 2**32 - 1, got {token.text[:40]}", token)
        return int(token.text)

    def _value(self, depth: int) -> Any:
        lexer = self._lexer
        if depth > MAX_DEPTH:
            raise lexer.error(f"nested more than {MAX_DEPTH} levels deep")
        token = lexer.peek
        if token.kind == "number":
            return self._number()
        if token.kind == "string":
            return self._string()
        if token.kind == "word":
            lexer.next()
            return WORDS[token.text] if token.text in WORDS else _bare(token)
        if lexer.accept("["):
            items: list[Any] = []
            while not lexer.accept("]"):
                if items:
                    lexer.expect(",")
                items.append(self._value(depth + 1))
            return items
        if lexer.accept("{"):
            return self._object(depth)
        raise lexer.error(f"expected a value, got {lexer.found()}")

    def _object(self, depth: int) -> dict[str, Any]:
        lexer = self._lexer
        result: dict[str, Any] = {}
        while not lexer.accept("}"):
            if result:
                lexer.expect(",")
            key = self._string() if lexer.peek.kind == "string" else lexer.expect("word").text
            lexer.expect(":")
            result[key] = self._value(depth + 1)
        return result

    def _number(self) -> int | float:
        token = self._lexer.expect("number")
        try:
            value = float(token.text) if re.search(r"[.eE]", token.text) else int(token.text)
        except ValueError:  # more digits than Python converts
            raise self._lexer.error(f"a number of {len(token.text)} digits", token) from None
        if math.isinf(value):
            raise self._lexer.error(f"the number {token.text[:40]} is too large", token)
        return value

    def _string(self) -> str:
        text = self._lexer.expect("string").text[1:-1]
        return re.sub(r'\\(["\\])', r"\1", text) if "\\" in text else text

    def _name(self) -> tuple[Token, Place]:
        token = self._lexer.expect("word")
        return token, Place(self._lexer.place(token), {})

    def _check_not_repeated(self, name: Token, known: dict[str, Any], kind: str) -> None:
        if name.text in known:
            raise DataError(f"{self._lexer.place(name)}: the {kind} {name.text!r} appears twice")


def _bare(token: Token) -> str:
    """A name without the % that old files have in front of operands."""
    return token.text.removeprefix("%")
