"""The messages of an ONNX model, and functions that make them, without the rest of the onnx package.

Importing the package takes longer than most small models take to load and compile: it comes with a checker, a parser, a
text format and converters. Only the module that protobuf has generated for the messages is imported here. The classes
are the same as those of the package, whichever is imported first. Code that needs schemas, shape inference or the
reference evaluator imports the package when it does.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from numbers import Integral, Real
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np

from webnn.forking import import_whole
from webnn.graph.dtypes import dtype_name

if TYPE_CHECKING:
    from onnx import (
        AttributeProto,
        FunctionProto,
        GraphProto,
        ModelProto,
        NodeProto,
        OperatorSetIdProto,
        SparseTensorProto,
        StringStringEntryProto,
        TensorProto,
        TypeProto,
        ValueInfoProto,
    )

__all__ = [
    "AttributeProto",
    "FunctionProto",
    "GraphProto",
    "ModelProto",
    "NodeProto",
    "OperatorSetIdProto",
    "SparseTensorProto",
    "StringStringEntryProto",
    "TensorProto",
    "TypeProto",
    "ValueInfoProto",
    "attribute",
    "fill_node",
    "graph",
    "model",
    "node",
    "number_array",
    "tensor",
    "value_info",
    "varint",
    "varints",
]

_GENERATED: Final = "onnx_ml_pb2"
_FLOATS: Final = 7
_INTS: Final = 8
"""The numbers of the fields of an attribute that hold lists."""
_NUMBERS: Final = {"floats": "<f4", "float_data": "<f4", "double_data": "<f8", "uint64_data": "<u8"}
"""The types of repeated fields; others hold signed integers."""
_FEW: Final = 64
"""Numbers that are read one by one: a copy of the message takes longer."""


def _messages() -> Any:
    """The module of the messages: generated code, or the package if it is imported already or looks different."""
    spec = None if "onnx" in sys.modules else find_spec("onnx")  # which finds a package without importing it
    for folder in spec.submodule_search_locations or () if spec is not None else ():
        path = Path(folder) / f"{_GENERATED}.py"
        if path.is_file():
            # Under a name of its own: the package does not expect a module of its own to be there before it is.
            generated = spec_from_file_location(f"webnn.backends.onnx.{_GENERATED}", path)
            assert generated is not None
            assert generated.loader is not None
            try:
                return _classes(generated)
            except Exception:  # another version of protobuf, or another implementation: the module knows the way
                module = module_from_spec(generated)
                generated.loader.exec_module(module)
                return module
    return import_whole("onnx")


def _classes(generated: ModuleSpec) -> SimpleNamespace:
    """The classes of the messages from the description in the generated module, without running that module.

    It imports 30 modules of protobuf, which took 4 ms of the time to the first result. The implementation in C needs
    none of them to make the same classes, which protobuf finds again when the module is run later.
    """
    if os.environ.get("PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION", "upb") != "upb":
        raise ImportError("protobuf is asked for another implementation")
    protobuf = import_whole("google._upb._message")
    base = import_whole("google.protobuf.message").Message
    code = cast("SourceFileLoader", generated.loader).get_code(generated.name)
    assert code is not None
    description = max((constant for constant in code.co_consts if isinstance(constant, bytes)), key=len)

    def made(message: Any) -> Any:
        members = {"DESCRIPTOR": message, "__module__": f"onnx.{_GENERATED}"}
        members |= {inner.name: made(inner) for inner in message.nested_types}
        return protobuf.MessageMeta(message.name, (base,), members)

    file = protobuf.default_pool.AddSerializedFile(description)
    return SimpleNamespace(**{name: made(message) for name, message in file.message_types_by_name.items()})


if not TYPE_CHECKING:
    _module = _messages()
    AttributeProto = _module.AttributeProto
    FunctionProto = _module.FunctionProto
    GraphProto = _module.GraphProto
    ModelProto = _module.ModelProto
    NodeProto = _module.NodeProto
    OperatorSetIdProto = _module.OperatorSetIdProto
    SparseTensorProto = _module.SparseTensorProto
    StringStringEntryProto = _module.StringStringEntryProto
    TensorProto = _module.TensorProto
    TypeProto = _module.TypeProto
    ValueInfoProto = _module.ValueInfoProto


def attribute(name: str, value: Any) -> AttributeProto:
    """An attribute of the kind that `value` has: a number, a string, a tensor, a graph, or a list of the first two.

    Raises:
        TypeError: `value` is something else, or an empty list, which has no kind.
    """
    made = AttributeProto()
    _fill(made, name, value)
    return made


def _fill(made: AttributeProto, name: str, value: Any) -> None:
    made.name = name
    if type(value) is int:  # the usual cases first
        made.i, made.type = value, AttributeProto.INT
        return
    if isinstance(value, np.ndarray):
        if value.size and value.dtype.kind in "bfiu" and value.dtype != np.uint64:
            _fill_numbers(made, value)
            return
        value = value.tolist()
    values = value if isinstance(value, list | tuple) else None
    kinds = set(map(type, values or ()))  # few, whereas trees have lists of 100,000 items
    if isinstance(value, Integral):
        made.i, made.type = int(value), AttributeProto.INT
    elif isinstance(value, Real):
        made.f, made.type = float(value), AttributeProto.FLOAT
    elif isinstance(value, str | bytes):
        made.s, made.type = _bytes(value), AttributeProto.STRING
    elif isinstance(value, TensorProto):
        made.t.CopyFrom(value)
        made.type = AttributeProto.TENSOR
    elif isinstance(value, GraphProto):
        made.g.CopyFrom(value)
        made.type = AttributeProto.GRAPH
    elif values and (kinds == {int} or all(issubclass(kind, Integral) for kind in kinds)):
        made.ints.extend(map(int, values))
        made.type = AttributeProto.INTS
    elif values and all(issubclass(kind, Real) for kind in kinds):
        made.floats.extend(map(float, values))
        made.type = AttributeProto.FLOATS
    elif values and all(issubclass(kind, str | bytes) for kind in kinds):
        made.strings.extend(values if kinds == {bytes} else map(_bytes, values))
        made.type = AttributeProto.STRINGS
    else:
        raise TypeError(f"attribute {name!r}: {value!r} is of no kind that an attribute can have")


def _fill_numbers(made: AttributeProto, numbers: np.ndarray[Any, Any]) -> None:
    """Set the list of an attribute. It is parsed: protobuf takes 50 times as long for numbers of Python."""
    if numbers.dtype.kind == "f":
        made.type, field, content = AttributeProto.FLOATS, _FLOATS, numbers.astype("<f4").tobytes()
    else:
        made.type, field, content = AttributeProto.INTS, _INTS, varints(numbers)
    made.MergeFromString(bytes([field << 3 | 2]) + varint(len(content)) + content)


def varint(value: int) -> bytes:
    """A number of 0 or more in protobuf's wire format: 7 bits in each byte, the lowest first."""
    result = bytearray()
    while value > 127:
        result.append(value & 127 | 128)
        value >>= 7
    result.append(value)
    return bytes(result)


def varints(integers: np.ndarray[Any, Any]) -> bytes:
    """Integers in protobuf's wire format, one after the other; negative ones are written as 64 bits."""
    rest: np.ndarray[Any, Any] = integers.reshape(-1).astype(np.int64).view(np.uint64)
    largest = int(rest.max(initial=0))
    if largest < 128:
        return rest.astype(np.uint8).tobytes()
    if largest < 1 << 32:
        rest = rest.astype(np.uint32)
    content = np.empty((len(rest), -(-largest.bit_length() // 7)), np.uint8)
    written = np.empty(content.shape, np.bool_)
    is_written = np.ones(len(rest), np.bool_)
    for place in range(content.shape[1]):
        written[:, place] = is_written
        following = rest >> 7
        is_written = following > 0
        content[:, place] = rest.astype(np.uint8) & 127 | is_written.astype(np.uint8) << 7  # another byte follows
        rest = following
    encoded: bytes = content[written].tobytes()
    return encoded


def number_array(message: Any, field: str) -> np.ndarray[Any, Any]:
    """The numbers of a repeated field as an array; integers as int64, those of an unsigned field as uint64.

    They are read from the wire format: numbers of Python take up to eight times as long, and trees have 100,000s.
    """
    dtype = np.dtype(_NUMBERS.get(field, "<i8"))
    held = getattr(message, field)
    if len(held) < _FEW:
        return np.array(held[:], dtype)
    alone = type(message)()
    alone.CopyFrom(message)
    for other, _ in alone.ListFields():
        if other.name != field:
            alone.ClearField(other.name)
    alone.DiscardUnknownFields()
    content = np.frombuffer(alone.SerializeToString(), np.uint8)
    is_packed = content[0] & 7 == 2  # one length for all numbers, instead of a tag for each
    if is_packed:
        content = content[2 + int(np.argmax(content[1:] < 128)) :]
    if dtype.kind == "f":
        fields = content.reshape(len(held), -1)[:, 0 if is_packed else 1 :]
        return np.ascontiguousarray(fields).view(dtype).reshape(-1)
    # The last byte of a varint has no highest bit, nor has a tag.
    ends = np.flatnonzero(content < 128)
    first, last = (np.append(0, ends[:-1] + 1), ends) if is_packed else (ends[::2] + 1, ends[1::2])
    result = (content[first] & 127).astype(np.uint64)
    longer, place = np.flatnonzero(last > first), 1
    while longer.size:
        result[longer] |= (content[first[longer] + place] & 127).astype(np.uint64) << np.uint64(7 * place)
        place += 1
        longer = longer[last[longer] >= first[longer] + place]
    return result.view(dtype)


def node(
    op_type: str, inputs: Sequence[str], outputs: Sequence[str], *, name: str = "", domain: str = "", **attributes: Any
) -> NodeProto:
    """A node. Attributes that are None are left out."""
    made = NodeProto()
    fill_node(made, op_type, inputs, outputs, name=name, domain=domain, **attributes)
    return made


def fill_node(
    made: NodeProto,
    op_type: str,
    inputs: Sequence[str],
    outputs: Sequence[str],
    *,
    name: str = "",
    domain: str = "",
    **attributes: Any,
) -> None:
    """As `node`, in a message that a graph has added: protobuf copies what it is given."""
    made.op_type, made.name, made.domain = op_type, name, domain
    made.input.extend(inputs)
    made.output.extend(outputs)
    for key, value in sorted(attributes.items()):
        if value is not None:
            _fill(made.attribute.add(), key, value)


def tensor(name: str, array: np.ndarray[Any, Any], element_type: int) -> TensorProto:
    """A tensor that holds the elements of `array`, which are of the type `element_type`."""
    if array.dtype.itemsize == 1 and dtype_name(array.dtype) in ("int4", "uint4"):  # two to a byte in ONNX
        packed: TensorProto = import_whole("onnx.numpy_helper").from_array(array, name)
        return packed
    content = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    return TensorProto(name=name, dims=array.shape, data_type=element_type, raw_data=content)


def value_info(name: str, element_type: int, shape: Sequence[int]) -> ValueInfoProto:
    """The declaration of a tensor, with its type and shape."""
    info = ValueInfoProto(name=name)
    kind = info.type.tensor_type
    kind.elem_type = element_type
    kind.shape.SetInParent()  # the shape of a scalar has no dimensions, and is not a missing shape
    for size in shape:
        kind.shape.dim.add().dim_value = size
    return info


def graph(
    nodes: Sequence[NodeProto],
    name: str,
    inputs: Sequence[ValueInfoProto],
    outputs: Sequence[ValueInfoProto],
    initializers: Sequence[TensorProto] = (),
) -> GraphProto:
    """A graph."""
    return GraphProto(node=nodes, name=name, input=inputs, output=outputs, initializer=initializers)


def branch(*nodes: NodeProto, kind: int) -> GraphProto:
    """A branch of an `If` that computes elements of a kind, of any shape: the output of the last node."""
    output = ValueInfoProto(name=nodes[-1].output[0])
    output.type.tensor_type.elem_type = kind
    return graph(nodes, "branch", [], [output])


def model(main: GraphProto, opsets: Mapping[str, int], ir_version: int) -> ModelProto:
    """A model of the graph `main`, with the version of each domain of operators in it."""
    imports = [OperatorSetIdProto(domain=domain, version=version) for domain, version in opsets.items()]
    return ModelProto(ir_version=ir_version, graph=main, opset_import=imports)


def _bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value
