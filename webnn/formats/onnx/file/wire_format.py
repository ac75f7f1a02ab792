"""The protobuf wire format of a model, as far as needed to parse it without its weights.

The protobuf parser would copy weights twice. Large `raw_data` fields are removed before parsing, and a note of its
place replaces each of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from webnn.backends.onnx.messages import StringStringEntryProto, varint
from webnn.errors import DataError

__all__ = ["PLACE", "without_weights"]

_MAX_FIELDS: Final = 2_000_000
"""The most fields of a message: each takes a hundred times as much memory as in the file. The numbers and strings of an
attribute, which take a few times as much, do not count."""

_FEW: Final = 1024
"""Bytes up to which weights are parsed rather than left in the file."""

PLACE: Final = "webnn.place"
"""The key of the note that `without_weights` writes. A file may hold such notes itself. All of them are checked against
the bounds of the file, so they reach nothing that `raw_data` could not hold."""

_RAW_DATA: Final = 9

_INSIDE: Final[Mapping[str, Mapping[int, str]]] = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor"},
    "function": {7: "node"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph"},
    "tensor": {_RAW_DATA: "raw data"},
}
"""The fields that lead from a model to its weights, by number, with the message that each holds."""

_FLOAT: Final = 7 << 3 | 5
_INT: Final = 8 << 3
"""The tags of the numbers in an attribute's `floats` and `ints`. Trees have 100,000s, each a field of its own."""
_STRING: Final = 9 << 3 | 2
"""The tag of an element of an attribute's `strings`. Trees have as many."""
_LONGEST: Final = 11
"""Bytes of the longest of these fields."""
_SHORT: Final = 16
"""Numbers of one kind in a row that are not worth a look at many of them at once, nor are as many fields after them."""
_MAX_DEPTH: Final = 64


def without_weights(data: memoryview) -> bytes:
    """The bytes of a model with notes in place of large fields of raw data.

    Raises:
        DataError: a message has more fields than the limit.
        DecodeError: the bytes are not valid protobuf.
    """
    return b"".join(_pieces(data, 0, len(data), "model", 0))


def _pieces(data: memoryview, position: int, end: int, message: str, depth: int) -> Iterator[bytes]:
    """The message at `position` in pieces, with notes in place of large fields of raw data."""
    inside = _INSIDE[message]
    kept = position
    fields = singly = 0
    while position < end:
        field = position
        fields += 1
        if fields > _MAX_FIELDS:
            raise DataError(f"one {message} has more than {_MAX_FIELDS} fields, the most that are read")
        if message == "attribute" and fields > singly and data[position] in (_FLOAT, _INT):
            position = _after_numbers(data, position, end)
            if position - field < _SHORT * _LONGEST:
                singly = fields + _SHORT
            if position > field:
                continue
        elif message == "attribute" and data[position] == _STRING:
            position = _after_strings(data, position, end)
            if position > field:
                continue
        tag = data[position]
        if tag < 128:  # without a call, as most are
            position += 1
        else:
            tag, position = _varint(data, position, end)
        wire, number = tag & 7, tag >> 3
        if wire == 0:
            _, position = _varint(data, position, end)
        elif wire == 1:
            position += 8
        elif wire == 5:
            position += 4
        elif wire == 2:
            size, start = _varint(data, position, end)
            position = start + size
            if position > end:
                raise DecodeError(f"truncated: byte {start} announces {size} bytes, only {end - start} follow")
            if number in inside and size > _FEW and depth < _MAX_DEPTH:
                yield bytes(data[kept:field])
                kept = position
                if message == "tensor":
                    yield _note(start, size)
                else:
                    pieces = list(_pieces(data, start, position, inside[number], depth + 1))
                    yield bytes([number << 3 | 2]) if number < 16 else varint(number << 3 | 2)
                    yield varint(sum(map(len, pieces)))
                    yield from pieces
        else:
            break  # groups, which ONNX does not use: the parser reports the rest
    yield bytes(data[kept:end])


def _after_numbers(data: memoryview, position: int, end: int) -> int:
    """The end of the floats or integers of an attribute that begin at `position`."""
    size = 8 * _LONGEST  # more with each step: what follows a few numbers is not looked at
    while True:
        length = _length_of_numbers(np.frombuffer(data[position : min(end, position + size)], np.uint8))
        position += length
        if length <= size - _LONGEST:
            return position
        size *= 2


def _after_strings(data: memoryview, position: int, end: int) -> int:
    """The end of the short strings of an attribute that begin at `position`."""
    while position + 1 < end and data[position] == _STRING and data[position + 1] < 128:
        following = position + 2 + data[position + 1]
        if following > end:  # which is reported as any field that is cut off
            break
        position = following
    return position


def _length_of_numbers(content: np.ndarray[Any, Any]) -> int:
    """The bytes of the whole fields of one kind of number at the beginning of `content`."""
    if not content.size:
        return 0
    # A tag is one byte, and the last byte of an integer has no highest bit: among integers, those bytes take turns.
    stops = np.arange(5, len(content) + 1, 5) if content[0] == _FLOAT else np.flatnonzero(content < 128)[1::2] + 1
    starts = np.concatenate([[0], stops])
    is_alike = content[starts[:-1]] == content[0]
    count = len(stops) if is_alike.all() else int(is_alike.argmin())
    return int(starts[count])


def _note(offset: int, size: int) -> bytes:
    entry: bytes = StringStringEntryProto(key=PLACE, value=f"{offset} {size}").SerializeToString()
    return varint(13 << 3 | 2) + varint(len(entry)) + entry


def _varint(data: memoryview, position: int, end: int) -> tuple[int, int]:
    result = shift = 0
    while position < end and shift < 70:
        byte = data[position]
        position += 1
        result |= (byte & 127) << shift
        if byte < 128:
            return result, position
        shift += 7
    raise DecodeError(f"truncated or not protobuf at byte {position}")
