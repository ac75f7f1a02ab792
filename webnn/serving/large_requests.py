"""Requests with millions of numbers as JSON, which are read a little at a time.

A parser of JSON reads a document in one go, half a second for 64 MB, and keeps all other clients waiting. It makes an
object of each number, too, which takes four times the memory of the document. But nearly all of such a document is
arrays of numbers. These are cut out first. What is left is short, and parsed as always. Then the numbers are parsed in
pieces, into the memory that the model reads.

What takes long is a generator here, which yields where it may pause; see `turns.py`.
"""

from __future__ import annotations

import math
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np

from webnn.serving.json_text import parsed, written
from webnn.serving.protocol import Port, Refused
from webnn.serving.tensors import Call, Ports, call_of_document, flat_numbers, items_of, port_of, wrong_nesting
from webnn.serving.turns import Steps

__all__ = ["BESIDE", "LONG", "PIECE", "call_in_steps"]

Array: TypeAlias = np.ndarray[Any, Any]

LONG: Final = 1024
"""The least bytes of an array that is cut out."""
BESIDE: Final = 256 * 1024
"""The most bytes that may be left then."""
PIECE: Final = 32 * 1024
"""Bytes of numbers that are parsed at a time."""
_WINDOW: Final = 1024 * 1024
"""Bytes that are searched at a time."""
_SPACE: Final = b" \t\r\n"
_START: Final = re.compile(rb'["\[]')
_STRING: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_NO_NUMBER: Final = re.compile(rb'["{}]')
_WITHOUT_BRACKETS: Final = bytes.maketrans(b"[]", b"  ")
_OPEN, _CLOSE, _COMMA = b"[],"


@dataclass(frozen=True, slots=True)
class _Cut:
    """An array that was cut out of a document: where it begins and ends."""

    begin: int
    end: int


def call_in_steps(body: bytes | bytearray, length: int, inputs: Ports, outputs: Ports, most: int) -> Steps[Call]:
    """The call in the body of a request; see `call_of`.

    Args:
        body: the JSON, and then the bytes of tensors.
        length: the length of the JSON.
        inputs: the inputs of the model.
        outputs: the outputs of the model.
        most: the most items.

    Raises:
        Refused: it does not fit the model, or has much beside numbers.
    """
    mark = secrets.token_hex()  # no client can know it, so that none can say where an array has been
    rest, cuts = yield from _without_arrays(body, length, mark)
    document = parsed(rest)
    listed = document.get("inputs") if document.__class__ is dict else None
    for entry in listed if listed.__class__ is list else ():
        data = entry.get("data") if entry.__class__ is dict else None
        if data.__class__ is dict and mark in data:
            port = port_of(entry, inputs, "input").sent_as(entry.get("datatype"), binary=False)
            shape = port.shape_of(items_of(entry, port, most))
            entry["data"] = yield from _numbers(body, cuts.pop(data[mark]), port, shape)
    if cuts:
        raise Refused(400, f"the request has an array of more than {LONG} bytes that is not the data of an input")
    return call_of_document(document, body, length, inputs, outputs, most=most)


def _without_arrays(text: bytes | bytearray, length: int, mark: str) -> Steps[tuple[bytes, dict[int, _Cut]]]:
    """The document without its long arrays, and these arrays by the numbers in their marks."""
    parts: list[bytes] = []
    cuts: dict[int, _Cut] = {}
    size = copied = at = 0  # what is copied, up to where it has been copied, and up to where it has been looked at
    while True:
        most = min(length, copied + BESIDE - size)
        found = _START.search(text, at, most)
        if found is None:
            break
        begin = found.start()
        if text[begin] == _OPEN:
            end = _NO_NUMBER.search(text, begin, min(length, begin + LONG))
            if end is not None or length - begin <= LONG:
                at = length if end is None else end.start()
                yield
                continue
            at = yield from _end_of_numbers(text, begin, length)
            part = b"%b{%b:%d}" % (bytes(text[copied:begin]), written(mark), len(cuts))
            parts.append(part)
            size += len(part)
            cuts[len(cuts)] = _Cut(begin, at)
            copied = at
        else:
            string = _STRING.match(text, begin, most)
            if string is None:
                break
            at = string.end()
        yield
    if most < length:
        raise Refused(400, f"the request has more than {BESIDE} bytes beside arrays of numbers")
    parts.append(bytes(text[copied:length]))
    return b"".join(parts), cuts


def _end_of_numbers(text: bytes | bytearray, begin: int, length: int) -> Steps[int]:
    """Where an array of numbers ends."""
    at = begin + LONG
    while at < length:
        until = min(length, at + _WINDOW)
        ends = [end for end in (text.find(each, at, until) for each in b'"{}') if end >= 0]
        if ends:
            at = min(ends)
            break
        at = until
        yield
    last = bytes(text[at - LONG : at]).rstrip(_SPACE + b",")
    if not last.endswith(b"]"):
        raise Refused(400, f"the request has an array of more than {LONG} bytes with something else than numbers")
    return at - LONG + len(last)


def _numbers(text: bytes | bytearray, cut: _Cut, port: Port, shape: Sequence[int]) -> Steps[Array]:
    """The array of the numbers in a part of a document, flat or nested."""
    total = math.prod(shape)
    values = np.empty(total, port.dtype)
    begin, end = cut.begin + 1, cut.end - 1
    is_nested = bytes(text[begin : begin + LONG]).lstrip(_SPACE).startswith(b"[")
    filled = 0
    while begin <= end:
        stop = end if end - begin <= PIECE else text.rfind(b",", begin, begin + PIECE)
        piece = bytes(text[begin : max(begin, stop)])
        if not is_nested and (b"[" in piece or b"]" in piece):
            raise wrong_nesting(port, shape)
        data = parsed(b"[%b]" % (piece.translate(_WITHOUT_BRACKETS) if is_nested else piece))
        if not data:
            raise Refused(400, f"the request is not valid JSON: input {port.name!r} lacks a number")
        if is_nested and not _is_nested_as(piece, filled, len(data), shape):
            raise wrong_nesting(port, shape)
        if filled + len(data) <= total:
            values[filled : filled + len(data)] = flat_numbers(data, port)
        filled += len(data)
        if filled > total:
            break
        begin = stop + 1
        yield
    if filled != total:
        got = filled if filled < total else "more"
        raise Refused(400, f"input {port.name!r}: shape {list(shape)} takes {total} numbers, got {got}")
    return values.reshape(shape)


def _is_nested_as(piece: bytes, first: int, count: int, shape: Sequence[int]) -> bool:
    """Whether the brackets in a piece of a nested array, without the outer ones, are those of `shape`.

    Args:
        piece: numbers between commas, with brackets before and behind them.
        first: how many numbers come before.
        count: how many there are in the piece.
        shape: of the whole array.
    """
    codes = np.frombuffer(piece.translate(None, _SPACE), np.uint8)
    opens, closes, commas = (codes == code for code in (_OPEN, _CLOSE, _COMMA))
    # Between two commas there are opening brackets, a number and closing brackets, in this order.
    is_in_order = not (
        opens[-1]
        or closes[0]
        or (opens[:-1] & (closes[1:] | commas[1:])).any()
        or (closes[1:] & (opens[:-1] | commas[:-1])).any()
    )
    if not is_in_order:
        return False
    number = np.cumsum(commas)
    begins, ends = np.zeros((2, count), np.intp)
    places = np.arange(first, first + count)
    for axis in range(1, len(shape)):
        stride = math.prod(shape[axis:])
        begins += places % stride == 0
        ends += (places + 1) % stride == 0
    return bool(
        np.array_equal(np.bincount(number[opens], minlength=count), begins)
        and np.array_equal(np.bincount(number[closes], minlength=count), ends)
    )
