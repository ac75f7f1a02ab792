"""Answers in parts: large tensors are sent from where they are, and written as JSON a little at a time.

To join the parts of an answer of 16 MB would take longer than many runs, and the memory of a second one. A million
numbers as JSON take a tenth of a second.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

import numpy as np

from webnn.serving.exchanges import Body, Headers
from webnn.serving.json_text import written
from webnn.serving.protocol import HEADER_LENGTH, JSON, OCTETS
from webnn.serving.tensors import BINARY_SIZE, Call
from webnn.serving.turns import Steps

__all__ = ["NUMBERS", "answer_in_parts"]

Array: TypeAlias = np.ndarray[Any, Any]

NUMBERS: Final = 4096
"""Numbers that are written at a time."""


def answer_in_parts(
    model: str, version: str, call: Call, results: Sequence[Mapping[str, Array]]
) -> Steps[tuple[Headers, Body]]:
    """The headers and the parts of the body of the answer to `call`; yields between some of the numbers.

    Args:
        model: its name.
        version: the version of the model.
        call: the request.
        results: the outputs of each of its runs.
    """
    document = {"model_name": model, "model_version": version, **({} if call.id is None else {"id": call.id})}
    text: list[bytes] = []
    buffers: list[memoryview] = []
    before = written(document)[:-1] + b',"outputs":['
    for port, binary in call.outputs:
        arrays = [each[port.name] for each in results]
        shape = (sum(array.shape[0] for array in arrays), *port.shape[1:]) if port.batched else port.shape
        entry: dict[str, Any] = {"name": port.name, "datatype": port.datatype, "shape": shape}
        if binary:
            buffers += map(_bytes_of, arrays)
            entry["parameters"] = {BINARY_SIZE: sum(array.nbytes for array in arrays)}
            text.append(before + written(entry))
        else:
            text.append(before + written(entry)[:-1] + b',"data":[')
            before = b""
            for array in arrays:
                numbers = array.reshape(-1)
                for begin in range(0, numbers.size, NUMBERS):
                    some = numbers[begin : begin + NUMBERS]
                    finite = some.dtype.kind != "f" or bool(np.isfinite(some).all())
                    text.append(before + written(some, finite=finite)[1:-1])
                    before = b","
                    yield
            text.append(b"]}")
        before = b","
    text.append(b"]}")
    length = sum(map(len, text))
    if not buffers:
        return [(b"content-type", JSON), (b"content-length", b"%d" % length)], text
    headers = [
        (b"content-type", OCTETS),
        (HEADER_LENGTH, b"%d" % length),
        (b"content-length", b"%d" % (length + sum(map(len, buffers)))),
    ]
    return headers, [b"".join(text), *buffers]


def _bytes_of(array: Array) -> memoryview:
    """The bytes of an array, without a copy."""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
