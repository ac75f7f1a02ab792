"""The calls of one model, with what they have in common worked out once.

Clients with binary tensors send the same JSON before them each time, unless they name their requests. So a call is
looked up by its JSON: where the tensors are in the body, and the JSON before the tensors of the answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from webnn.graph.arguments import shown
from webnn.serving.exchanges import Body, Headers
from webnn.serving.large_answers import answer_in_parts
from webnn.serving.large_requests import call_in_steps
from webnn.serving.protocol import HEADER_LENGTH, Refused
from webnn.serving.tensors import Call, Content, Ports, answer, answer_size, call_of, header_length
from webnn.serving.turns import Steps, at_once

__all__ = ["DIGITS", "Calls", "lengths_of"]

Array = np.ndarray[Any, Any]

KEPT: Final = 64
"""Documents that are known at once. When one more comes all are forgotten, so that no client can fill the memory."""
LARGE: Final = 64 * 1024
"""Bytes from which on an answer is sent in parts."""
DIGITS: Final = 4
"""Documents whose length has at most so many digits are short: they are kept, and read in no time."""


class _Known:
    """The parts that all calls with the same JSON share, if their tensors are raw bytes.

    Args:
        call: one of them.
        begin: the length of the JSON, where the tensors begin.
    """

    __slots__ = ("answer", "head", "items", "length", "outputs", "seconds", "tensors")

    def __init__(self, call: Call, begin: int) -> None:
        self.answer = call.answer
        self.items = call.items
        self.outputs = call.outputs
        self.seconds = call.seconds
        self.tensors: list[tuple[str, np.dtype[Any], int, int, tuple[int, ...]]] = []
        """Of each input, the name, the data type, the number of elements, the offset in the body, and the shape."""
        self.head: tuple[Headers, bytes] | None = None
        """The headers of the answer and its JSON, if all of its tensors are bytes and one has been written."""
        for name, array in call.inputs.items():
            self.tensors.append((name, array.dtype, array.size, begin, array.shape))
            begin += array.nbytes
        self.length = begin
        """Of the whole body."""


class Calls:
    """Reads the requests for one version of a model, and writes its answers.

    Args:
        name: the name of the model.
        version: the version of the model.
        inputs: the inputs of the model.
        outputs: the outputs of the model.
        most: the most items of a request.
    """

    def __init__(self, name: str, version: str, inputs: Ports, outputs: Ports, most: int) -> None:
        self._name = name
        self._version = version
        self._inputs = inputs
        self._outputs = outputs
        self._most = most
        self._known: dict[bytes, _Known] = {}

    def read(self, body: Content, header: bytes | None) -> Call:
        """The call in the body of a request; see `call_of`."""
        document = b""
        if header is not None and len(header) <= DIGITS and header.isdigit():
            document = bytes(body[: int(header)])
            known = self._known.get(document)
            if known is not None and len(body) == known.length:
                inputs = {
                    name: np.frombuffer(body, dtype, size, begin).reshape(shape)
                    for name, dtype, size, begin, shape in known.tensors
                }
                return Call(None, inputs, known.items, known.outputs, known.seconds, known, known.answer)
        call = call_of(body, header, self._inputs, self._outputs, self._most)
        call.answer = answer_size(call)
        if document and call.id is None:
            known = _Known(call, len(document))
            if known.length == len(body):  # otherwise some of the tensors are in the JSON
                if len(self._known) >= KEPT:
                    self._known.clear()
                self._known[document] = call.known = known
        return call

    def read_in_steps(self, body: bytes | bytearray, header: bytes | None) -> Steps[Call]:
        """The same for a body with a long JSON, read a little at a time."""
        length = len(body) if header is None else header_length(header, len(body))
        call = yield from call_in_steps(body, length, self._inputs, self._outputs, self._most)
        call.answer = answer_size(call)
        return call

    def answer(self, call: Call, results: Sequence[Mapping[str, Array]]) -> tuple[Headers, Body]:
        """The headers and the body of the answer to `call`; in parts if it is large.

        Args:
            call: the request.
            results: the outputs of each of its runs.
        """
        if call.answer > LARGE:
            return at_once(self.answer_in_steps(call, results))
        known = call.known
        joined = results[0] if len(results) == 1 else _joined(call, results)
        if known is not None and known.head is not None:
            headers, document = known.head
            return headers, b"".join([document, *(joined[port.name].tobytes() for port, _ in call.outputs)])
        headers, body = answer(self._name, self._version, call, joined)
        if known is not None and all(binary for _, binary in call.outputs):
            known.head = headers, body[: int(dict(headers)[HEADER_LENGTH])]
        return headers, body

    def answer_in_steps(self, call: Call, results: Sequence[Mapping[str, Array]]) -> Steps[tuple[Headers, Body]]:
        """The same, written a little at a time."""
        return answer_in_parts(self._name, self._version, call, results)


def _joined(call: Call, results: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """The outputs of a request from those of its runs."""
    return {port.name: np.concatenate([each[port.name] for each in results]) for port, _ in call.outputs}


def lengths_of(headers: Sequence[tuple[bytes, bytes]]) -> tuple[int | None, bytes | None]:
    """The length of a body, if it is given, and that of its JSON, as the headers of a request have them.

    Raises:
        Refused: the body is encoded.
    """
    length: int | None = None
    header: bytes | None = None
    for name, value in headers:
        if name == b"content-length":
            length = int(value) if value.isdigit() and len(value) < 19 else None
        elif name == HEADER_LENGTH:
            header = value
        elif name == b"content-encoding" and value.lower() not in (b"", b"identity"):
            raise Refused(415, "compressed requests are not supported: send it without Content-Encoding")
        elif name == b"transfer-encoding" and value.lower() != b"chunked":
            raise Refused(501, f"the only transfer coding is chunked, got {shown(value.decode('latin-1'))}")
    return length, header
