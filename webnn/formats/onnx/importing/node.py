"""One node of an ONNX graph, as the function that imports it sees it. Inputs and attributes are checked when read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from webnn.backends.onnx.messages import AttributeProto, GraphProto, number_array
from webnn.errors import DataError
from webnn.formats.onnx.file.element_types import element_dtype
from webnn.formats.onnx.importing.data_types import data_type_for
from webnn.formats.onnx.importing.problems import UnsupportedNodeError, shown_name
from webnn.formats.onnx.importing.values import Value
from webnn.graph.builder import MLGraphBuilder
from webnn.graph.dtypes import DataType, Number
from webnn.graph.ir import inputs_of
from webnn.graph.operand import MLOperand

if TYPE_CHECKING:
    from webnn.formats.onnx.importing.protocol import Importing

__all__ = ["OnnxNode"]


class OnnxNode:
    """One node, as the function that imports it sees it.

    The function adds operators to `builder` and returns the outputs: operands, or arrays if they are known. It raises
    `UnsupportedNodeError` if WebNN cannot express the node.
    """

    def __init__(
        self,
        importer: Importing,
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
        """All given attributes, as protos of the model."""
        self.op_type = op_type
        self.domain = domain
        """"" for the standard's own operators."""
        self.version = version
        """The version of the domain's operators that the model is written in."""
        self.inputs = inputs
        """None for an omitted optional input."""
        self.outputs = outputs
        """The names of the outputs; "" for one that is not read."""

    @property
    def builder(self) -> MLGraphBuilder[Any]:
        """The builder to add operators to. The importer labels them afterwards."""
        return self.importer.builder

    # Inputs.

    def has(self, index: int) -> bool:
        """Whether input `index` is given."""
        return index < len(self.inputs) and self.inputs[index] is not None

    def reads(self, output: int) -> bool:
        """Whether output `output` is read."""
        return output < len(self.outputs) and bool(self.outputs[output])

    def given(self, index: int) -> Value:
        """Input `index`, of any kind."""
        value = self.inputs[index] if index < len(self.inputs) else None
        if value is None:
            raise DataError(f"input {index} is missing")
        return value

    def value(self, index: int) -> Value:
        """Input `index`, a tensor."""
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
        """Input `index` as an operand, or None if it is omitted."""
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
        """The value of input `index`, or None if it is unknown or omitted."""
        return self.value(index).array if self.has(index) else None

    def array(self, index: int, what: str) -> np.ndarray[Any, Any]:
        """The value of input `index`, which must be known; `what` names it in the error."""
        array = self.value(index).array
        if array is None:
            operand = self.value(index).operand
            inputs = [] if operand is None else inputs_of(operand)
            values = ", ".join(f"{shown_name(name)!r}: ..." for name in inputs) or "..."
            raise UnsupportedNodeError(
                f"{what} (input {index}) is computed when the model runs, but WebNN needs it when the graph is built",
                f"give the inputs it depends on as constants={{{values}}}, or make it an initializer of the model",
                inputs=inputs,
            )
        return array

    def integers(self, index: int, what: str) -> list[int]:
        """The value of input `index` as integers."""
        array = self.array(index, what)
        if array.dtype.kind not in "iub" or array.size > 65536:
            raise DataError(f"{what} (input {index}) is {array.dtype} {list(array.shape)}, not a list of integers")
        return [int(item) for item in array.reshape(-1)]

    def find_list(self, index: int, name: str) -> list[int] | None:
        """A list of integers that newer versions take as input `index`, older ones as the attribute `name`."""
        if self.has_attribute(name):
            return self.get_ints(name)
        return self.integers(index, name) if self.has(index) else None

    def number(self, index: int, what: str) -> Number:
        """The value of input `index`, which must be known and have one element."""
        array = self.array(index, what)
        if array.size != 1:
            raise DataError(f"{what} (input {index}) must be one number, got shape {list(array.shape)}")
        item = array.reshape(-1)[0]
        return int(item) if array.dtype.kind in "iub" else float(item)

    @staticmethod
    def element_dtype(element_type: int) -> np.dtype[Any]:
        """The NumPy type of ONNX's `element_type`."""
        data_type_for(element_type)
        dtype = element_dtype(element_type)
        assert dtype is not None
        return dtype

    def constant(self, array: np.ndarray[Any, Any]) -> MLOperand:
        """`array` as a constant of the graph, in the type that holds its own."""
        self.importer.budget.spend(array.nbytes)
        return self.importer.operand_of(Value(array))

    def scalar(self, like: MLOperand, number: Number) -> MLOperand:
        """`number` as a scalar constant in the type of `like`."""
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
            raise DataError(f"attribute {name} must be of type {expected}")
        return attribute

    def get_int(self, name: str, default: int | None = None) -> int:
        """An integer attribute; required if it has no default."""
        found = self._attribute(name, AttributeProto.INT, default is None)
        return found.i if found is not None else default or 0

    def is_one(self, name: str, default: int) -> bool:
        """Whether an integer attribute is 1. The standard defines only 0 and 1; ONNX Runtime reads any other as 0."""
        return self.get_int(name, default) == 1

    def get_float(self, name: str, default: float | None = None) -> float:
        """A float attribute; required if it has no default."""
        found = self._attribute(name, AttributeProto.FLOAT, default is None)
        return found.f if found is not None else default or 0.0

    def get_string(self, name: str, default: str | None = None) -> str:
        """A string attribute; required if it has no default."""
        found = self._attribute(name, AttributeProto.STRING, default is None)
        return found.s.decode("utf-8", "replace") if found is not None else default or ""

    def get_ints(self, name: str, default: Sequence[int] | None = None) -> list[int]:
        """A list of integers; required if it has no default."""
        found = self._attribute(name, AttributeProto.INTS, default is None)
        return list(found.ints) if found is not None else list(default or ())

    def get_int_array(self, name: str, default: Sequence[int] | None = None) -> np.ndarray[Any, Any]:
        """A list of integers that may be long, as int64; required if it has no default."""
        found = self._attribute(name, AttributeProto.INTS, default is None)
        return number_array(found, "ints") if found is not None else np.array(default or (), np.int64)

    def get_float_array(self, name: str, default: Sequence[float] | None = None) -> np.ndarray[Any, Any]:
        """A list of floats that may be long, as float32; required if it has no default."""
        found = self._attribute(name, AttributeProto.FLOATS, default is None)
        return number_array(found, "floats") if found is not None else np.array(default or (), np.float32)

    def find_ints(self, name: str) -> list[int] | None:
        """A list of integers, or None if the attribute is not given."""
        return self.get_ints(name) if self.has_attribute(name) else None

    def get_floats(self, name: str, default: Sequence[float] | None = None) -> list[float]:
        """A list of floats; required if it has no default."""
        found = self._attribute(name, AttributeProto.FLOATS, default is None)
        return list(found.floats) if found is not None else list(default or ())

    def get_strings(self, name: str, default: Sequence[str] | None = None) -> list[str]:
        """A list of strings; required if it has no default."""
        found = self._attribute(name, AttributeProto.STRINGS, default is None)
        if found is None:
            return list(default or ())
        items = list(found.strings)
        decoded = {item: item.decode("utf-8", "replace") for item in set(items)}  # trees have millions, of few kinds
        return [decoded[item] for item in items]

    def get_tensor(self, name: str) -> np.ndarray[Any, Any]:
        """The value of a required tensor attribute."""
        found = self._attribute(name, AttributeProto.TENSOR, True)
        assert found is not None
        return self.importer.model.array(found.t)

    def get_graph(self, name: str) -> GraphProto:
        """A required graph attribute."""
        found = self._attribute(name, AttributeProto.GRAPH, True)
        assert found is not None
        return found.g

    # Results.

    def call(self, method: str, operands: int) -> MLOperand:
        """The result of the builder's method of that name for the first `operands` inputs."""
        result: MLOperand = getattr(self.builder, method)(*map(self.operand, range(operands)))
        return result

    # Axes.

    def axis(self, value: int, rank: int, name: str = "axis") -> int:
        """`value` as an axis of `rank` dimensions; negative ones count from the end."""
        if not -rank <= value < rank:
            raise DataError(f"{name} {value} is out of range for {rank} dimensions")
        return value + rank if value < 0 else value

    def axes(self, values: Sequence[int], rank: int, name: str = "axes") -> list[int]:
        """Each of `values` as an axis."""
        return [self.axis(value, rank, name) for value in values]
