"""What an importer's functions see: values that are known or computed, and the node they belong to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import ml_dtypes
import numpy as np
from onnx import AttributeProto, GraphProto, TensorProto

from webnn.errors import DataError
from webnn.formats.onnx.file.reading import DTYPES, type_name
from webnn.graph.builder import MLGraphBuilder
from webnn.graph.dtypes import DataType, Number, data_type_of
from webnn.graph.operand import MLOperand

if TYPE_CHECKING:
    from webnn.formats.onnx.importing.importer import Importer

__all__ = ["ABSENT", "HELD_AS", "OnnxNode", "UnsupportedNodeError", "Value", "as_value", "data_type_for", "held"]

HELD_AS: Final[Mapping[np.dtype[Any], np.dtype[Any]]] = {
    np.dtype(np.bool_): np.dtype(np.uint8),
    np.dtype(np.float64): np.dtype(np.float32),
    np.dtype(ml_dtypes.bfloat16): np.dtype(np.float32),
    np.dtype(np.int16): np.dtype(np.int32),
    np.dtype(np.uint16): np.dtype(np.int32),
}
"""The neighbours that hold the types which WebNN lacks. A uint16 is held by int32 so that it may be signed where
quantization subtracts a zero point from it."""

_ELEMENT_TYPES: Final[Mapping[int, DataType]] = {
    TensorProto.FLOAT: "float32",
    TensorProto.FLOAT16: "float16",
    TensorProto.DOUBLE: "float32",
    TensorProto.BFLOAT16: "float32",
    TensorProto.BOOL: "uint8",
    TensorProto.INT8: "int8",
    TensorProto.INT16: "int32",
    TensorProto.INT32: "int32",
    TensorProto.INT64: "int64",
    TensorProto.UINT8: "uint8",
    TensorProto.UINT16: "int32",
    TensorProto.UINT32: "uint32",
    TensorProto.UINT64: "uint64",
    TensorProto.INT4: "int4",
    TensorProto.UINT4: "uint4",
}


class UnsupportedNodeError(Exception):
    """WebNN cannot express a node: the reason, and the nearest form that it could."""

    def __init__(self, reason: str, nearest: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.nearest = nearest


def data_type_for(element_type: int) -> DataType:
    """The WebNN type that holds ONNX's `element_type`."""
    if element_type not in _ELEMENT_TYPES:
        raise UnsupportedNodeError(f"no WebNN type holds {type_name(element_type)}")
    return _ELEMENT_TYPES[element_type]


def held(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """`array` in a type that WebNN has, without a copy where it has one already."""
    target = HELD_AS.get(array.dtype)
    if target is None:
        return array
    with np.errstate(over="ignore"):  # what people write for minus infinity in float64 shall be it in float32
        return array.astype(target)


class Value:
    """One value of the ONNX graph: known now (`array`), computed by the WebNN graph (`operand`), or missing.

    Or a sequence of such values (`items`), whose length is always known.

    It is missing when the node that makes it cannot be expressed; nodes that read it are not to blame. `why` is
    for an output that cannot be computed of a node that can be expressed.
    """

    __slots__ = ("array", "floats", "items", "missing", "operand", "why")

    def __init__(
        self,
        array: np.ndarray[Any, Any] | None = None,
        operand: MLOperand | None = None,
        *,
        items: tuple[Value, ...] | None = None,
        floats: MLOperand | None = None,
        missing: bool = False,
        why: UnsupportedNodeError | None = None,
    ) -> None:
        self.array = array
        self.operand = operand
        """For a known value: the constant that it became, once a node needed it in the graph."""
        self.items = items
        self.floats = floats
        """Of integers that were computed as floats: these, for a cast back."""
        self.missing = missing or why is not None
        self.why = why

    @property
    def shape(self) -> tuple[int, ...]:
        """The dimensions."""
        if self.array is not None:
            return tuple(self.array.shape)
        assert self.operand is not None
        return self.operand.shape

    @property
    def kind(self) -> str:
        """What it is, in words."""
        if self.items is not None:
            return f"a sequence of {len(self.items)} tensors"
        return "nothing" if self.array is None and self.operand is None else f"of shape {list(self.shape)}"

    @property
    def data_type(self) -> DataType:
        """The WebNN type that holds it."""
        if self.array is not None:
            return data_type_of(HELD_AS.get(self.array.dtype, self.array.dtype))
        assert self.operand is not None
        return self.operand.data_type


def as_value(result: object) -> Value | None:
    """What an importer's function gives, or is given, as a value."""
    if result is None or isinstance(result, Value):
        return result
    return Value(operand=result) if isinstance(result, MLOperand) else Value(np.asarray(result))


ABSENT: Final = Value()
"""An input that the call of a function leaves out, and an optional without a value."""


class OnnxNode:
    """One node, as the function that imports it sees it.

    The function uses `builder` and gives back the outputs: operands, or arrays where it knows them. It raises
    `UnsupportedNodeError` where WebNN cannot express the node.
    """

    def __init__(
        self,
        importer: Importer,
        *,
        op_type: str,
        domain: str,
        version: int,
        inputs: Sequence[Value | None],
        attributes: Mapping[str, AttributeProto],
        outputs: Sequence[str],
    ) -> None:
        self.importer = importer
        self.attributes = attributes
        """All attributes that are given, as they stand in the model."""
        self.op_type = op_type
        self.domain = domain
        """"" for the standard's own operators."""
        self.version = version
        """The version of the domain's operators that the model is written in."""
        self.inputs = inputs
        """None for an optional input that is left out."""
        self.outputs = outputs
        """The names of the outputs; "" for one that nobody reads."""

    @property
    def builder(self) -> MLGraphBuilder[Any]:
        """The builder to add operators to. Labels are put on them afterwards."""
        return self.importer.builder

    # Inputs.

    def has(self, index: int) -> bool:
        """Whether input `index` is given."""
        return index < len(self.inputs) and self.inputs[index] is not None

    def reads(self, output: int) -> bool:
        """Whether anything reads output `output`."""
        return output < len(self.outputs) and bool(self.outputs[output])

    def given(self, index: int) -> Value:
        """Input `index`, of any kind."""
        value = self.inputs[index] if index < len(self.inputs) else None
        if value is None:
            raise DataError(f"input {index} is missing")
        return value

    def value(self, index: int) -> Value:
        """Input `index`, a tensor that is known or computed."""
        value = self.given(index)
        if value.items is not None:
            raise DataError(f"input {index} is a sequence of {len(value.items)} tensors, expected one tensor")
        return value

    def sequence(self, index: int) -> tuple[Value, ...]:
        """The tensors of input `index`."""
        items = self.given(index).items
        if items is None:
            raise DataError(f"input {index} is one tensor, expected a sequence of tensors")
        return items

    def operand(self, index: int) -> MLOperand:
        """Input `index` as an operand; a known value becomes a constant of the graph."""
        return self.importer.operand_of(self.value(index))

    def optional(self, index: int) -> MLOperand | None:
        """Input `index` as an operand, or None if it is not given."""
        return self.operand(index) if self.has(index) else None

    def operands(self, start: int = 0) -> list[MLOperand]:
        """All inputs from `start` on, as operands."""
        return [self.operand(i) for i in range(start, len(self.inputs))]

    def shape(self, index: int) -> tuple[int, ...]:
        """The dimensions of input `index`."""
        return self.value(index).shape

    def rank(self, index: int) -> int:
        """The number of dimensions of input `index`."""
        return len(self.shape(index))

    def data_type(self, index: int) -> DataType:
        """The WebNN type that holds input `index`."""
        return self.value(index).data_type

    def known(self, index: int) -> np.ndarray[Any, Any] | None:
        """The value of input `index` if it is known now and was given."""
        return self.value(index).array if self.has(index) else None

    def array(self, index: int, what: str) -> np.ndarray[Any, Any]:
        """The value of input `index`, called `what` in the message when it is not known."""
        array = self.value(index).array
        if array is None:
            raise UnsupportedNodeError(
                f"{what} (input {index}) is computed when the model runs, WebNN takes it when the graph is built",
                "give the inputs it depends on as constants={...}, or make it an initializer of the model",
            )
        return array

    def integers(self, index: int, what: str) -> list[int]:
        """The value of input `index` as integers."""
        array = self.array(index, what)
        if array.dtype.kind not in "iub" or array.size > 65536:
            raise DataError(f"{what} (input {index}) is {array.dtype} {list(array.shape)}, not a list of integers")
        return [int(item) for item in array.reshape(-1)]

    def find_list(self, index: int, name: str) -> list[int] | None:
        """A list of integers that newer versions give as input `index` and older ones as the attribute `name`."""
        if self.has_attribute(name):
            return self.get_ints(name)
        return self.integers(index, name) if self.has(index) else None

    def number(self, index: int, what: str) -> Number:
        """The value of input `index`, a scalar or an array of one element."""
        array = self.array(index, what)
        if array.size != 1:
            raise DataError(f"{what} (input {index}) must be one number, is of shape {list(array.shape)}")
        item = array.reshape(-1)[0]
        return int(item) if array.dtype.kind in "iub" else float(item)

    @staticmethod
    def element_dtype(element_type: int) -> np.dtype[Any]:
        """The NumPy type of ONNX's `element_type`."""
        data_type_for(element_type)
        return DTYPES[element_type]

    def constant(self, array: np.ndarray[Any, Any]) -> MLOperand:
        """A constant of the graph, in the type that holds the array's."""
        self.importer.budget.spend(array.nbytes)
        return self.importer.operand_of(Value(array))

    def scalar(self, like: MLOperand, number: Number) -> MLOperand:
        """`number` as a scalar constant of the type of `like`."""
        return self.builder.constant(like.data_type, number)

    # Attributes.

    def has_attribute(self, name: str) -> bool:
        """Whether the attribute is given."""
        return name in self.attributes

    def _attribute(self, name: str, kind: int, required: bool) -> AttributeProto | None:
        attribute = self.attributes.get(name)
        if attribute is None:
            if required:
                raise DataError(f"attribute {name} is missing")
            return None
        if attribute.type != kind:
            expected = AttributeProto.AttributeType.Name(kind)
            raise DataError(f"attribute {name} is not of the type {expected}")
        return attribute

    def get_int(self, name: str, default: int | None = None) -> int:
        """An integer attribute; one without a default must be there."""
        found = self._attribute(name, AttributeProto.INT, default is None)
        return found.i if found is not None else default or 0

    def get_float(self, name: str, default: float | None = None) -> float:
        """A float attribute; one without a default must be there."""
        found = self._attribute(name, AttributeProto.FLOAT, default is None)
        return found.f if found is not None else default or 0.0

    def get_string(self, name: str, default: str | None = None) -> str:
        """A string attribute; one without a default must be there."""
        found = self._attribute(name, AttributeProto.STRING, default is None)
        return found.s.decode("utf-8", "replace") if found is not None else default or ""

    def get_ints(self, name: str, default: Sequence[int] | None = None) -> list[int]:
        """A list of integers; one without a default must be there."""
        found = self._attribute(name, AttributeProto.INTS, default is None)
        return list(found.ints) if found is not None else list(default or ())

    def find_ints(self, name: str) -> list[int] | None:
        """A list of integers, or None if the attribute is not given."""
        return self.get_ints(name) if self.has_attribute(name) else None

    def get_floats(self, name: str, default: Sequence[float] | None = None) -> list[float]:
        """A list of floats; one without a default must be there."""
        found = self._attribute(name, AttributeProto.FLOATS, default is None)
        return list(found.floats) if found is not None else list(default or ())

    def get_strings(self, name: str, default: Sequence[str] | None = None) -> list[str]:
        """A list of strings; one without a default must be there."""
        found = self._attribute(name, AttributeProto.STRINGS, default is None)
        return [item.decode("utf-8", "replace") for item in found.strings] if found is not None else list(default or ())

    def get_tensor(self, name: str) -> np.ndarray[Any, Any]:
        """The value of a tensor attribute, which must be there."""
        found = self._attribute(name, AttributeProto.TENSOR, True)
        assert found is not None
        return self.importer.model.array(found.t)

    def get_graph(self, name: str) -> GraphProto:
        """A graph, which must be there."""
        found = self._attribute(name, AttributeProto.GRAPH, True)
        assert found is not None
        return found.g

    # What many functions need.

    def axis(self, value: int, rank: int, name: str = "axis") -> int:
        """`value` as an axis of `rank` dimensions, where negative ones count from the end."""
        if not -rank <= value < rank:
            raise DataError(f"{name} {value} is no axis of {rank} dimensions")
        return value + rank if value < 0 else value

    def axes(self, values: Sequence[int], rank: int, name: str = "axes") -> list[int]:
        """Each of `values` as an axis."""
        return [self.axis(value, rank, name) for value in values]
