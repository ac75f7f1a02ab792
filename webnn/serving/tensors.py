"""The tensors of a request and of its answer: JSON numbers, or raw bytes after the JSON.

Whatever a client sends is refused or becomes arrays of exactly the data types and shapes of the model. The work and the
memory for it are bounded by the size of the body: no array is made from a shape alone.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final, NoReturn, TypeAlias

import numpy as np

from webnn.graph.arguments import shown
from webnn.serving.json_text import parsed, written
from webnn.serving.protocol import HEADER_LENGTH, JSON, OCTETS, Port, Refused, Unsupported

__all__ = [
    "BINARY_SIZE",
    "Call",
    "Content",
    "answer",
    "answer_size",
    "call_of",
    "call_of_document",
    "flat_numbers",
    "header_length",
    "items_of",
    "numbers_in_json",
    "port_of",
    "wrong_nesting",
]

Array = np.ndarray[Any, Any]
Ports = Mapping[str, Port]
Content: TypeAlias = "bytes | bytearray | memoryview"

BINARY_SIZE: Final = "binary_data_size"
"""The parameter with the number of bytes of a tensor that follows the JSON."""
_DIGITS: Final = 16
"""Bytes that a number usually takes in the JSON of an answer, at most."""
_LONG: Final = 2**63 - 1
_INFINITY: Final = np.float32(np.inf).tobytes()
_MINUS_INFINITY: Final = np.float32(-np.inf).tobytes()
_UNKNOWN: Final[Mapping[str, str]] = {
    "classification": "classes are not computed here: send a request without it",
    "shared_memory_region": "tensors in shared memory are not supported: send them in the request",
    "sequence_id": "sequences are not supported: send the state as a tensor",
    "sequence_start": "sequences are not supported: send the state as a tensor",
    "sequence_end": "sequences are not supported: send the state as a tensor",
}
"""Parameters that would change the result, so that they cannot be ignored, with what to do."""


@dataclass(slots=True)
class Call:
    """A request for a run.

    Attributes:
        id: the client's name for the request, if it has one.
        inputs: an array for each input of the model; its leading dimension is the number of items.
        items: the number of items.
        outputs: the outputs that are wanted, and whether each goes as bytes instead of JSON.
        seconds: the client's own limit for the answer, if it has one.
        known: the entry of `calls.py` for calls with the same JSON, if there is one.
        answer: about the most bytes that its answer takes; see `answer_size`.
    """

    id: str | None
    inputs: dict[str, Array]
    items: int
    outputs: Sequence[tuple[Port, bool]]
    seconds: float | None
    known: Any = None
    answer: int = 0


def call_of(body: Content, header: bytes | None, inputs: Ports, outputs: Ports, most: int) -> Call:
    """The call in the body of a request.

    Args:
        body: JSON, or JSON and then the bytes of tensors.
        header: the value of `Inference-Header-Content-Length`, the length of the JSON; None for all of it.
        inputs: the inputs of the model.
        outputs: the outputs of the model.
        most: the most items.

    Raises:
        Refused: it does not fit the model.
    """
    length = len(body) if header is None else header_length(header, len(body))
    if header is not None and length == 0:
        return _raw(body, inputs, outputs, most)
    return call_of_document(parsed(bytes(body[:length])), body, length, inputs, outputs, most=most)


def call_of_document(document: Any, body: Content, length: int, inputs: Ports, outputs: Ports, *, most: int) -> Call:
    """The call in the body of a request whose JSON has been parsed.

    Args:
        document: the JSON. Tensors in it are lists, or arrays as the model wants them.
        body: the JSON, and then the bytes of tensors.
        length: the length of the JSON.
        inputs: the inputs of the model.
        outputs: the outputs of the model.
        most: the most items.

    Raises:
        Refused: it does not fit the model.
    """
    if document.__class__ is not dict:
        raise Refused(400, f"the request must be a JSON object, got {_brief(document)}")
    listed = document.get("inputs")
    if listed.__class__ is not list:
        raise Refused(400, f'"inputs" must be a list of tensors, got {_brief(listed)}')
    arrays: dict[str, Array] = {}
    at = length
    items = 0
    for entry in listed:
        wanted = port_of(entry, inputs, "input")
        if wanted.name in arrays:
            raise Refused(400, f"input {wanted.name!r} is given twice")
        parameters = _parameters(entry)
        size = parameters.get(BINARY_SIZE)
        port = wanted.sent_as(entry.get("datatype"), binary=size is not None)
        count = items_of(entry, port, most)
        if port.batched:
            if items and items != count:
                raise Refused(400, f"input {port.name!r} has {count} items, and an input before it has {items}")
            items = count
        if size is None:
            values = _from_json(entry, port, count)
        else:
            values = _from_bytes(body, at, size, port, count, both="data" in entry)
            at += size
        arrays[port.name] = values if port is wanted else wanted.widened(values, port.datatype)
    if len(arrays) != len(inputs):
        missing = ", ".join(repr(name) for name in inputs if name not in arrays)
        raise Refused(400, f"the request lacks the input {missing}")
    if at != len(body):
        raise Refused(
            400,
            f"{len(body) - at} bytes follow the JSON and the binary tensors that it announces;"
            " is Inference-Header-Content-Length that of another request?",
        )
    parameters = _parameters(document)
    name = document.get("id")
    if name is not None and name.__class__ is not str:
        raise Refused(400, f'"id" must be a text, got {_brief(name)}')
    if name is not None and not name.isascii() and any("\ud800" <= c <= "\udfff" for c in name):
        raise Refused(400, f'"id" is not valid Unicode: {_brief(name)}')
    return Call(name, arrays, items or 1, _wanted(document, parameters, outputs), _seconds(parameters))


def header_length(header: bytes, most: int) -> int:
    """The length of the JSON in a body of `most` bytes, from the header that gives it."""
    # Not int(): it takes signs, spaces and underscores, and any number of digits.
    if not header.isdigit() or len(header) > 18:
        raise Refused(
            400, f"Inference-Header-Content-Length must be a number of bytes, got {shown(header.decode('latin-1'))}"
        )
    length = int(header)
    if length > most:
        raise Refused(
            400,
            f"Inference-Header-Content-Length is {length}, but the body has {most} bytes;"
            " is it that of another request?",
        )
    return length


def _raw(body: Content, inputs: Ports, outputs: Ports, most: int) -> Call:
    """The call of a body that is nothing but the bytes of the only input."""
    if len(inputs) != 1:
        raise Refused(400, f"a body without JSON is for models of one input; this one has {len(inputs)}")
    (port,) = inputs.values()
    one = port.elements * port.dtype.itemsize
    items = max(1, len(body) // one) if port.batched else 1
    if items > most:
        raise Refused(400, f"input {port.name!r}: {items} items, at most {most} are taken at once")
    values = _from_bytes(body, 0, len(body), port, items, both=False)
    return Call(None, {port.name: values}, items, [(each, True) for each in outputs.values()], None)


def port_of(entry: Any, ports: Ports, what: str) -> Port:
    """The port that an entry of `inputs` or `outputs` names."""
    if entry.__class__ is not dict:
        raise Refused(400, f"each {what} must be a JSON object, got {_brief(entry)}")
    name = entry.get("name")
    port = ports.get(name) if name.__class__ is str else None
    if port is None:
        known = ", ".join(map(repr, ports))
        raise Refused(400, f"the model has no {what} named {_brief(name)}; it has {known}")
    return port


def items_of(entry: dict[str, Any], port: Port, most: int) -> int:
    """The number of items of an input, whose data type and shape fit."""
    datatype = entry.get("datatype")
    if datatype != port.datatype:
        hint = f"; {Unsupported[datatype]}" if isinstance(datatype, str) and datatype in Unsupported else ""
        raise Refused(400, f"input {port.name!r}: the model takes {port.datatype}, got {_brief(datatype)}{hint}")
    shape = entry.get("shape")
    if shape.__class__ is list and len(shape) == len(port.shape):
        if tuple(shape) == port.shape and all(size.__class__ is int for size in shape):
            return 1
        first, *rest = shape
        if port.batched and first.__class__ is int and first >= 0 and rest == list(port.shape[1:]):
            if first == 0:
                raise Refused(400, f"input {port.name!r}: the shape {_brief(shape)} has no items, at least 1 is needed")
            if first > most:
                raise Refused(400, f"input {port.name!r}: {_brief(first)} items, at most {most} are taken at once")
            return int(first)
    raise Refused(400, f"input {port.name!r}: the shape must be {port.open_shape}, got {_brief(shape)}")


def _parameters(entry: dict[str, Any]) -> dict[str, Any]:
    parameters = entry.get("parameters")
    if parameters is None:
        return {}
    if parameters.__class__ is not dict:
        raise Refused(400, f'"parameters" must be a JSON object, got {_brief(parameters)}')
    if not parameters.keys().isdisjoint(_UNKNOWN):
        for name, hint in _UNKNOWN.items():
            if parameters.get(name):
                raise Refused(400, f"parameter {name!r}: {hint}")
    return parameters


def _from_bytes(body: Content, at: int, size: Any, port: Port, items: int, *, both: bool) -> Array:
    if both:
        raise Refused(400, f'input {port.name!r} has both "data" and {BINARY_SIZE!r}')
    wanted = items * port.elements * port.dtype.itemsize
    if size.__class__ is not int or size != wanted:
        raise Refused(
            400, f"input {port.name!r}: {port.datatype} {port.open_shape} takes {wanted} bytes, got {_brief(size)}"
        )
    if len(body) - at < wanted:
        raise Refused(
            400, f"input {port.name!r}: {wanted} bytes are announced, and {max(0, len(body) - at)} follow the JSON"
        )
    values = np.frombuffer(body, port.dtype, items * port.elements, at)
    return values.reshape(items, *port.shape[1:]) if port.batched else values.reshape(port.shape)


def _from_json(entry: dict[str, Any], port: Port, items: int) -> Array:
    """The array of the numbers in `data`, flat or nested."""
    if "data" not in entry:
        raise Refused(400, f'input {port.name!r} has neither "data" nor the parameter {BINARY_SIZE!r}')
    data = entry["data"]
    if data.__class__ is np.ndarray:
        return data
    if data.__class__ is not list:
        raise Refused(400, f'input {port.name!r}: "data" must be a list of numbers, got {_brief(data)}')
    shape = port.shape_of(items)
    if data and data[0].__class__ is list:
        data = _flat(data, shape, port)
    if len(data) != items * port.elements:
        raise Refused(
            400, f"input {port.name!r}: shape {list(shape)} takes {items * port.elements} numbers, got {len(data)}"
        )
    return flat_numbers(data, port).reshape(shape)


def flat_numbers(data: list[Any], port: Port) -> Array:
    """An array of numbers in the data type of the model.

    Raises:
        Refused: some are no numbers, or out of its range.
    """
    floating = port.dtype.kind == "f"
    try:
        # Not NumPy: it makes texts as long as the longest one, and numbers of texts.
        if port.datatype == "FP32":
            # Without a copy, in which NumPy would let other threads run: that costs the event loop more than the copy.
            given = array("f", data)
            content = given.tobytes()
            if _INFINITY not in content and _MINUS_INFINITY not in content:
                return np.frombuffer(content, port.dtype)
        given = array("d" if floating else "Q" if port.datatype == "UINT64" else "q", data)
    except TypeError:
        nouns, wanted = ("numbers", int | float) if floating else ("integers", int)
        wrong = next(value for value in data if not isinstance(value, wanted))
        raise Refused(400, f"input {port.name!r}: {port.datatype} takes {nouns}, got {_brief(wrong)}") from None
    except OverflowError:
        _refuse_range(max(data, key=abs) if floating else max(data) if max(data) > _LONG else min(data), port)
    numbers = np.frombuffer(given, given.typecode)
    return _cast(numbers, port)


def _flat(data: list[Any], shape: Sequence[int], port: Port) -> list[Any]:
    """The numbers of lists that are nested as `shape`."""
    for i, size in enumerate(shape):
        if i:
            data = list(chain.from_iterable(data))
        lists = i + 1 < len(shape)
        if lists and not all(part.__class__ is list and len(part) == shape[i + 1] for part in data):
            break
        if i == 0 and len(data) != size:
            break
    else:
        return data
    raise wrong_nesting(port, shape)


def wrong_nesting(port: Port, shape: Sequence[int]) -> Refused:
    """The answer where numbers are nested in another way than a tensor of `shape`."""
    return Refused(400, f'input {port.name!r}: "data" must be flat, or nested as its shape {list(shape)}')


def _cast(numbers: Array, port: Port) -> Array:
    """`numbers` in the data type of the model. Those that are out of its range are refused."""
    if port.dtype.kind == "f":
        try:
            with np.errstate(over="raise"):
                return numbers.astype(port.dtype)
        except FloatingPointError:
            finite = numbers[np.isfinite(numbers)]
            _refuse_range(finite[np.abs(finite).argmax()].item(), port)
    limits = np.iinfo(port.dtype)
    if numbers.itemsize != port.dtype.itemsize and numbers.size:
        for worst in (numbers.min().item(), numbers.max().item()):
            if not limits.min <= worst <= limits.max:
                _refuse_range(worst, port)
    return numbers.astype(port.dtype, copy=False)


def _refuse_range(worst: float, port: Port) -> NoReturn:
    if port.dtype.kind == "f":
        low, high = (f"{float(limit):.8g}" for limit in (np.finfo(port.dtype).min, np.finfo(port.dtype).max))
    else:
        low, high = str(np.iinfo(port.dtype).min), str(np.iinfo(port.dtype).max)
    raise Refused(400, f"input {port.name!r}: {_brief(worst)} is out of the range of {port.datatype}, {low} to {high}")


def _wanted(document: dict[str, Any], parameters: dict[str, Any], outputs: Ports) -> Sequence[tuple[Port, bool]]:
    """The outputs to return, and whether each goes as bytes."""
    binary = _flag(parameters, "binary_data_output", False)
    listed = document.get("outputs")
    if listed is None:
        return [(port, binary) for port in outputs.values()]
    if listed.__class__ is not list:
        raise Refused(400, f'"outputs" must be a list, got {_brief(listed)}')
    wanted: dict[str, tuple[Port, bool]] = {}
    for entry in listed:
        port = port_of(entry, outputs, "output")
        if port.name in wanted:
            raise Refused(400, f"output {port.name!r} is wanted twice")
        wanted[port.name] = port, _flag(_parameters(entry), "binary_data", binary)
    return list(wanted.values()) or [(port, binary) for port in outputs.values()]


def _flag(parameters: dict[str, Any], name: str, default: bool) -> bool:
    value = parameters.get(name, default)
    if value.__class__ is not bool:
        raise Refused(400, f"parameter {name!r} must be true or false, got {_brief(value)}")
    return value


def _seconds(parameters: dict[str, Any]) -> float | None:
    """The client's limit, which the protocol has in microseconds; 0 is none."""
    value = parameters.get("timeout")
    if value is None or (value.__class__ is int and value == 0):
        return None
    if value.__class__ is not int or value < 0:
        raise Refused(400, f"parameter 'timeout' must be a number of microseconds, got {_brief(value)}")
    return min(value, 10**12) / 1e6


def _brief(value: Any) -> str:
    """A JSON value for messages; the kind of it if it may be long."""
    if value is None or value.__class__ is bool:
        return {None: "null", True: "true", False: "false"}[value]
    if value.__class__ is dict:
        return "an object"
    if value.__class__ is list:
        plain = len(value) <= 8 and all(each.__class__ in (int, float) for each in value)
        return shown(value) if plain else f"a list of {len(value)}"
    return shown(value[:80] if value.__class__ is str else value)


def numbers_in_json(call: Call) -> int:
    """The numbers that the answer to `call` has as JSON."""
    return sum(port.elements for port, binary in call.outputs if not binary) * call.items


def answer_size(call: Call) -> int:
    """About the most bytes that the answer to `call` takes, with the arrays that become JSON."""
    return sum(
        (call.items if port.batched else 1) * port.elements * (port.dtype.itemsize + (0 if binary else _DIGITS))
        for port, binary in call.outputs
    )


def answer(
    model: str, version: str, call: Call, results: Mapping[str, Array]
) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """The headers and the body of the answer to `call`.

    Args:
        model: its name.
        version: the version of the model.
        call: the request.
        results: the outputs of the run.
    """
    document: dict[str, Any] = {"model_name": model, "model_version": version}
    if call.id is not None:
        document["id"] = call.id
    listed = document["outputs"] = []
    parts: list[Any] = []
    finite = True
    for port, binary in call.outputs:
        values = results[port.name]
        entry: dict[str, Any] = {"name": port.name, "datatype": port.datatype, "shape": values.shape}
        if binary:
            entry["parameters"] = {BINARY_SIZE: values.nbytes}
            parts.append(values.tobytes())
        else:
            entry["data"] = values.reshape(-1)
            finite = finite and (values.dtype.kind != "f" or bool(np.isfinite(values).all()))
        listed.append(entry)
    head = written(document, finite=finite)
    if not parts:
        return [(b"content-type", JSON), (b"content-length", b"%d" % len(head))], head
    body = b"".join((head, *parts))
    headers = [
        (b"content-type", OCTETS),
        (HEADER_LENGTH, b"%d" % len(head)),
        (b"content-length", b"%d" % len(body)),
    ]
    return headers, body
