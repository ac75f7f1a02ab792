"""A graph as an ONNX model that TensorRT's parser reads, in the data types that a strongly typed network computes in.

TensorRT computes in floats, int32, int64 and truth values. It has uint8 only for inputs and outputs, and casts it to
floats alone. So uint8 is held as int32 inside of the model. Quantized weights become floats when a graph is compiled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from webnn.backends.base import Cancellation
from webnn.backends.files import write_elements
from webnn.backends.onnx import messages
from webnn.backends.onnx.lower import lower
from webnn.backends.onnx.lowerings import OnnxLowering, lowerings
from webnn.backends.onnx.messages import ModelProto, NodeProto, TensorProto
from webnn.backends.onnx.model import Model, onnx_type
from webnn.backends.onnx.portable import PortableKernels
from webnn.errors import NotSupportedError
from webnn.graph.broadcasting import plain_broadcast
from webnn.graph.dtypes import ALL, DataType
from webnn.graph.ir import Graph, Node
from webnn.graph.limits import ALGORITHM_GAPS, LimitsTable, narrowed

__all__ = ["Lowered", "TensorRtKernels", "lowered", "tensorrt_limits"]

_WEIGHTS: Final = "weights"
"""The name of the second file of a model."""

_TYPES: Final = frozenset({"float32", "float16", "int32", "int64", "bool"})
_NONE: Final[tuple[DataType, ...]] = ("uint32", "uint64", "int8", "int4", "uint4")
"""The data types that nothing computes in; as quantized weights, some are read all the same."""
_QUANTIZED: Final[tuple[DataType, ...]] = ("int8", "uint8", "int4", "uint4")
# fmt: off
_ON_BYTES: Final = (
    "cast", "concat", "equal", "expand", "gather", "gather_elements", "gather_nd", "greater", "greater_or_equal",
    "identity", "is_infinite", "is_nan", "lesser", "lesser_or_equal", "logical_and", "logical_not", "logical_or",
    "logical_xor", "max", "min", "not_equal", "pad", "reshape", "reverse", "slice", "split", "tile", "transpose",
    "where",
)
# fmt: on
"""Operators that are right on uint8 held as int32: no result goes beyond 8 bits."""


class TensorRtKernels(PortableKernels):
    """Those of many runtimes, in TensorRT's data types."""

    opset = 20
    kept_as: Mapping[str, str] = {"uint8": "int32"}

    def types(self, op_type: str, domain: str, variable: str) -> frozenset[str] | None:
        """The types of the standard that TensorRT has too."""
        standard = super().types(op_type, domain, variable)
        if standard is None:
            return None
        types = standard & _TYPES
        return types | {"uint8"} if "int32" in types else types


def tensorrt_limits() -> LimitsTable:
    """The specification's table, without the data types that TensorRT lacks."""
    table = narrowed(ALGORITHM_GAPS)
    gaps: dict[str, dict[str, Sequence[DataType]]] = {
        op: dict.fromkeys(rows, _NONE if op in _ON_BYTES else (*_NONE, "uint8")) for op, rows in table.items()
    }
    others = tuple(each for each in ALL if each not in _QUANTIZED)
    return narrowed({**gaps, "dequantize_linear": dict.fromkeys(("input", "zero_point"), others)}, table)


@dataclass(frozen=True, slots=True)
class Lowered:
    """A graph as an ONNX model.

    Args:
        model: with the names of its inputs and outputs.
        proto: the message, without the large weights.
    """

    model: Model
    proto: ModelProto

    def serialized(self) -> bytes:
        """The message without the large weights: equal for graphs that differ in these alone."""
        for tensor in self._weights():
            _refer(tensor, 0, self.model.external[tensor.name].nbytes)
        content: bytes = self.proto.SerializeToString()
        return content

    def write(self, folder: Path) -> Path:
        """Write the model, and its weights to a second file, which may exceed 2 GB; gives the path of the first."""
        with open(folder / _WEIGHTS, "wb") as file:
            for tensor in self._weights():
                array = self.model.external[tensor.name]
                file.write(b"\0" * (-file.tell() % 64))
                _refer(tensor, file.tell(), array.nbytes)
                write_elements(file, array)
        path = folder / "model.onnx"
        path.write_bytes(self.proto.SerializeToString())
        return path

    def _weights(self) -> list[TensorProto]:
        return [tensor for tensor in self.proto.graph.initializer if tensor.name in self.model.external]


def lowered(graph: Graph, cancellation: Cancellation) -> Lowered:
    """`graph` for TensorRT's parser."""
    model = lower(graph, TensorRtKernels(), cancellation.checkpoint, _LOWERINGS)
    proto = model.finish()
    _give_bytes_at_the_ends(proto, model)
    return Lowered(model, proto)


def _cast(node: Node, model: Model) -> None:
    """Of integers to uint8 TensorRT has no cast that wraps around."""
    if node.output.data_type == "uint8" and node["input"].data_type in ("int32", "int64"):
        raise NotSupportedError(
            f"{node.where}: TensorRT cannot cast {node['input'].data_type} to uint8; cast it to a float before"
        )
    lowerings[node](node, model)


def _dequantize_linear(node: Node, model: Model) -> None:
    """Weights as floats."""
    operands = [node[name] for name in ("input", "scale", "zero_point")]
    if any(operand.constant is None for operand in operands):
        raise NotSupportedError(f"{node.where}: on TensorRT its input, scale and zero point must be constants")

    def floats(*arrays: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        x, scale, zero_point = arrays
        blocks, values = plain_broadcast(scale.shape, x.shape)
        factor = scale.reshape(blocks)
        numbers = x.reshape(values).astype(factor.dtype) - zero_point.reshape(blocks).astype(factor.dtype)
        return np.asarray(numbers * factor).reshape(x.shape)

    model.set(node.output, model.derived(operands, "dequantized", floats))


_LOWERINGS: Final[Mapping[str, OnnxLowering]] = {"cast": _cast, "dequantize_linear": _dequantize_linear}


def _refer(tensor: TensorProto, offset: int, length: int) -> None:
    del tensor.external_data[:]
    for key, value in (("location", _WEIGHTS), ("offset", str(offset)), ("length", str(length))):
        tensor.external_data.add(key=key, value=value)


def _give_bytes_at_the_ends(proto: ModelProto, model: Model) -> None:
    """Declare inputs and outputs of uint8 as such, with casts by way of floats, which TensorRT has."""
    graph = proto.graph
    first, last = [], []
    for info in (*graph.input, *graph.output):
        is_input = info in graph.input
        names, operands = (
            (model.input_names, model.graph.inputs) if is_input else (model.output_names, model.graph.outputs)
        )
        if not any(names[name] == info.name and operand.data_type == "uint8" for name, operand in operands.items()):
            continue
        inner, between = f"{info.name} as int32", f"{info.name} as float32"
        for node in graph.node:
            for values in (node.input, node.output):
                for i in (i for i, value in enumerate(values) if value == info.name):
                    values[i] = inner
        if is_input:
            first += [_cast_node(info.name, between, "float32"), _cast_node(between, inner, "int32")]
        else:
            last += [_cast_node(inner, between, "float32"), _cast_node(between, info.name, "uint8")]
        info.type.tensor_type.elem_type = onnx_type("uint8")
    nodes = [*first, *graph.node, *last]
    del graph.node[:]
    graph.node.extend(nodes)


def _cast_node(value: str, result: str, to: str) -> NodeProto:
    return messages.node("Cast", [value], [result], name=f"cast of {value}", to=onnx_type(to))
