"""The values of an ONNX graph during the import: known now, computed by the WebNN graph, or missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from webnn.backends.onnx.messages import AttributeProto, NodeProto
from webnn.errors import DataError
from webnn.formats.onnx.importing.data_types import NARROW, held_dtype
from webnn.formats.onnx.importing.problems import Problem, UnsupportedNodeError
from webnn.graph.dtypes import DataType, data_type_of, dtype_name
from webnn.graph.operand import MLOperand

__all__ = ["ABSENT", "Levels", "Scope", "Value", "as_value", "literal"]

if TYPE_CHECKING:
    from webnn.formats.onnx.file.reading import Model

_NARROW: Final = frozenset(NARROW.values())


class Levels(NamedTuple):
    """How integers of 16 bits were made of a float32 tensor: with one scale and zero point for all of it."""

    x: MLOperand
    scale: float
    zero_point: int
    data_type: str


class Value:
    """One value of the ONNX graph: known (`array`), computed by the WebNN graph (`operand`), or missing.

    It may also be a sequence of such values (`items`), whose length is always known.

    A value is missing if its node cannot be expressed; nodes that read it are not reported again. `why` is the reason
    if only this output of a node cannot be computed.
    """

    __slots__ = ("_narrow", "array", "floats", "items", "levels", "missing", "operand", "why")

    def __init__(
        self,
        array: np.ndarray[Any, Any] | None = None,
        operand: MLOperand | None = None,
        *,
        items: tuple[Value, ...] | None = None,
        floats: MLOperand | None = None,
        levels: Levels | None = None,
        narrow: str = "",
        missing: bool = False,
        why: UnsupportedNodeError | None = None,
    ) -> None:
        self.array = array
        self.operand = operand
        """For a known value: its constant, once a node needed it in the graph."""
        self.items = items
        self.floats = floats
        """The floats from which integers were cast, so that a cast back needs no operator."""
        self.levels = levels
        """What was quantized to these integers, so that dequantizing them is known to give it back in steps."""
        self.missing = missing or why is not None
        self.why = why
        self._narrow = narrow

    @property
    def narrow(self) -> str:
        """The type that it has in ONNX if that is bfloat16, int16 or uint16, else "".

        Its operand is float32 or int32 then, and holds values of that type only.
        """
        if self.array is None:
            return self._narrow
        name = dtype_name(self.array.dtype)
        return name if name in _NARROW else ""

    @property
    def is_bfloat16(self) -> bool:
        """Whether it is bfloat16 in ONNX."""
        return self.narrow == "bfloat16"

    @property
    def shape(self) -> tuple[int, ...]:
        """The dimensions."""
        if self.array is not None:
            return tuple(self.array.shape)
        assert self.operand is not None
        return self.operand.shape

    @property
    def kind(self) -> str:
        """A description for messages."""
        if self.items is not None:
            return f"a sequence of {len(self.items)} tensors"
        return "nothing" if self.array is None and self.operand is None else f"of shape {list(self.shape)}"

    @property
    def data_type(self) -> DataType:
        """The WebNN type that holds it."""
        if self.array is not None:
            return data_type_of(held_dtype(self.array.dtype))
        assert self.operand is not None
        return self.operand.data_type


class Scope:
    """The values of one graph by name. A subgraph sees the values around it, the body of a function does not."""

    __slots__ = ("outer", "unsupported", "values")

    def __init__(self, outer: Scope | None = None) -> None:
        self.outer = outer
        self.values: dict[str, Value] = {}
        self.unsupported: dict[str, Problem] = {}
        """Unsupported outputs of supported nodes: each becomes a problem when something reads it."""

    def holding(self, name: str) -> Scope | None:
        """The scope with the value called `name`: this one or an outer one."""
        scope: Scope | None = self
        while scope is not None and name not in scope.values:
            scope = scope.outer
        return scope


def as_value(result: object) -> Value | None:
    """An operand, an array or a value as a value; None stays."""
    if result is None or isinstance(result, Value):
        return result
    return Value(operand=result) if isinstance(result, MLOperand) else Value(np.asarray(result))


def literal(model: Model, proto: NodeProto) -> Value | None:
    """The value of a `Constant` node outside of functions, if it holds a tensor, as nearly all do; None if not.

    In some files every other node is one. The general way takes four times as long, and reports what is invalid.
    """
    if len(proto.attribute) != 1 or len(proto.output) != 1 or proto.input or proto.domain not in ("", "ai.onnx"):
        return None
    (attribute,) = proto.attribute
    if attribute.name != "value" or attribute.type != AttributeProto.TENSOR or attribute.ref_attr_name:
        return None
    try:
        return Value(np.asarray(model.array(attribute.t))) if proto.output[0] else None
    except (DataError, ValueError):
        return None


ABSENT: Final = Value()
"""An omitted input of a function call, or an optional without a value."""
