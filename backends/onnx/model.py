"""Writing an ONNX model from a graph.

A `Model` is filled by the lowerings of the families: they ask for the name of an operand (`model[operand]`) and `emit`
nodes. The model knows the type of every value, so `emit` takes a concern off the lowerings: where the runtime that will
load the model has no kernel of an operator for a data type, it casts the inputs to the nearest wider type that has one,
and the outputs back. 32- and 64-bit integers are never widened to floats.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from functools import cache
from math import prod
from typing import Any, Final, Literal, NamedTuple

import numpy as np

from webnn.backends.onnx import messages
from webnn.backends.onnx.messages import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto
from webnn.backends.onnx.signatures import OPSET, Kernels, signature
from webnn.errors import NotSupportedError
from webnn.forking import import_whole
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.dtypes import dtype_name
from webnn.graph.ir import Graph, Node
from webnn.graph.lean_imports import SMALL_TYPES, small_dtype
from webnn.graph.operand import MLOperand
from webnn.graph.rewriting import MADE_BYTES

__all__ = ["IR_VERSION", "OPSET", "Model", "Part", "onnx_type", "standard_types"]

IR_VERSION: Final = 10
INLINE_BYTES: Final = 1024
"""Constants up to this size are written into the model; larger ones stay in the caller's memory."""
TOGETHER_BYTES: Final = 256 * 1024 * 1024
"""Constants that lowerings make are together at most this large, so that a small graph never becomes a large model."""

_ONNX_TYPES: Final[dict[str, int]] = {
    "float32": TensorProto.FLOAT,
    "float16": TensorProto.FLOAT16,
    "float64": TensorProto.DOUBLE,
    "int32": TensorProto.INT32,
    "uint32": TensorProto.UINT32,
    "int64": TensorProto.INT64,
    "uint64": TensorProto.UINT64,
    "int16": TensorProto.INT16,
    "uint16": TensorProto.UINT16,
    "int8": TensorProto.INT8,
    "uint8": TensorProto.UINT8,
    "int4": TensorProto.INT4,
    "uint4": TensorProto.UINT4,
    "bool": TensorProto.BOOL,
}
_BY_STRING: Final = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    **{f"tensor({name})": name for name in _ONNX_TYPES if not name.startswith("float")},
    "tensor(float16)": "float16",
}
_WIDER: Final[dict[str, tuple[str, ...]]] = {
    "float16": ("float32",),
    "int8": ("int16", "int32", "int64", "float32"),
    "uint8": ("int16", "int32", "int64", "float32"),
    "int32": ("int64",),
    "uint32": ("int64",),
    "bool": ("uint8", "int32", "int64"),
    "int4": ("int8",),
    "uint4": ("uint8",),
}
"""The types to compute in when a type has no kernel: they hold all its values, narrowest first."""
_FLOATS: Final = ("float32", "float16", "float64")
_SAME_BITS: Final = {"uint64": "int64"}
_MOVING_BOOL: Final = frozenset(
    {"Concat", "Expand", "Gather", "GatherElements", "GatherND", "Reshape", "Slice", "Split", "Tile", "Transpose"}
)
"""Operators that move truth values as they are, where `Kernels.keeps_bool` allows it."""
_MOVING: Final = frozenset({"Expand", "Gather", "Pad", "Slice", "Tile", "Transpose", "Trilu", "Where"})
"""Operators that only move elements. A type of the same size will do, since they read no bit of them."""


def onnx_type(name: str) -> int:
    """The `TensorProto.DataType` of a type name."""
    return _ONNX_TYPES[name]


class StandardKernels(Kernels):
    """All types that the ONNX standard has for an operator."""

    def types(self, op_type: str, domain: str, variable: str) -> frozenset[str] | None:
        """The types that the ONNX standard lets stand for the schema's type `variable`; None if it is not known."""
        return standard_types(op_type, domain, variable)


@cache
def standard_types(op_type: str, domain: str, variable: str) -> frozenset[str] | None:
    """The types that the ONNX standard lets stand for the schema's type `variable`; None if it is not known."""
    for constraint in import_whole("onnx.defs").get_schema(op_type, OPSET, domain).type_constraints:
        if constraint.type_param_str == variable:
            return frozenset(_BY_STRING[name] for name in constraint.allowed_type_strs if name in _BY_STRING)
    return None


class Part(NamedTuple):
    """An ONNX node that belongs to a node of the graph."""

    node: Node
    number: int
    """The number at the end of its name."""
    op_type: str
    data_type: str
    """Of the values that it computes with; empty for a cast."""


class Model:
    """An ONNX model in the making.

    Args:
        graph: the graph to lower; its inputs and outputs keep their names where ONNX can hold them.
        kernels: the kernels of the runtime; None writes standard ONNX, with casts only where the standard needs them.
    """

    def __init__(self, graph: Graph, kernels: Kernels | None = None) -> None:
        self.graph = graph
        self.kernels = kernels if kernels is not None else StandardKernels()
        self.input_names: dict[str, str] = {}
        """The graph's input names, and their names in the model."""
        self.output_names: dict[str, str] = {}
        """Likewise for the outputs."""
        self.external: dict[str, np.ndarray[Any, Any]] = {}
        """Constants without data in the model: initializer name to array."""
        self._proto = ModelProto(ir_version=IR_VERSION, producer_name="webnn-runtime")
        """Filled in place: protobuf copies what it is given."""
        self._proto.graph.name = "webnn"
        self._nodes: list[NodeProto] = []
        """Those of `_proto`, and those that `finish` has removed from it."""
        self._with_bodies: set[int] = set()  # the numbers of nodes that hold graphs, which few do
        self._parts: list[Part | None] = []
        """Of each ONNX node; None for those that only give an output its name."""
        self._types: dict[str, str] = {}
        self._cast_from: dict[str, str] = {}
        self._names: dict[int, str] = {}
        self._derived: dict[tuple[tuple[int, ...], Hashable], str] = {}
        self._taken: dict[str, int] = {}
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._where = ""
        self._node_begun: Node | None = None
        self._made = 0
        self._domains: set[str] = set()
        self._versions: dict[str, int] = {}
        self._opset = self.kernels.opset
        for name, operand in graph.inputs.items():
            self.input_names[name] = self._names[id(operand)] = self.fresh(_spelled(name) or "input")
            self._types[self.input_names[name]] = operand.data_type
        for name in graph.outputs:  # before a value of a lowering takes the name
            self.output_names[name] = self.fresh(_spelled(name) or "output")

    def __getitem__(self, operand: MLOperand) -> str:
        """The name of an operand's value in the model."""
        name = self._names.get(id(operand))
        if name is None:
            assert operand.constant is not None, f"{operand!r} is read before it is computed"
            name = self._names[id(operand)] = self._weight(operand.constant)
        return name

    def data_type(self, name: str) -> str:
        """The type of the value called `name`."""
        return self._types[name]

    def typed(self, name: str, data_type: str) -> str:
        """The value called `name`, which is of that type whatever the schema of its operator says, as for an `If`."""
        self._types[name] = data_type
        return name

    def begin(self, node: Node) -> None:
        """Set the node that the next `emit` calls belong to; their ONNX nodes carry its label."""
        self._where, self._node_begun = node.where, node

    def parts(self) -> Iterator[Part]:
        """The ONNX nodes in the finished model that nodes of the graph have become."""
        read = self._numbers_read()
        for part in self._parts:
            if part is not None and part.number in read:
                yield part

    def constant(self, value: Any, data_type: str = "int64") -> str:
        """A constant that the graph does not have: a shape, axes, a bound, a filling."""
        dtype = small_dtype(data_type) if data_type in SMALL_TYPES else np.dtype(data_type)
        array = np.asarray(value, dtype=dtype, order="C")
        key = (data_type, array.shape, array.tobytes())
        name = self._constants.get(key)
        if name is None:
            self.expect(array.nbytes)
            self._made += array.nbytes
            # A list of integers may be sizes, and shape inference reads only what is inside the model.
            sizes = data_type == "int64" and array.ndim == 1
            name = self._constants[key] = self._weight(array, "constant", inline=sizes)
        return name

    def require(self, opset: int, domain: str = "") -> None:
        """Declare a later operator set than `OPSET`, or than 1 for other domains, for a node that is new in it."""
        if domain:
            self._versions[domain] = max(self._versions.get(domain, 1), opset)
        else:
            self._opset = max(self._opset, opset)

    def expect(self, byte_length: int) -> None:
        """Raise `NotSupportedError` if a constant of that size is more than a lowering may still make."""
        total = self._made + byte_length
        if total > TOGETHER_BYTES:
            raise NotSupportedError(
                f"{self._where}: in ONNX this takes constants of {total} bytes that the graph does not have;"
                f" at most {TOGETHER_BYTES} bytes of them are made for one graph"
            )

    def full(self, number: int, shape: Sequence[int], data_type: str) -> str:
        """A constant of one number; where it would be large, an `Expand` of the number."""
        if prod(shape) * np.dtype(data_type).itemsize <= MADE_BYTES:
            return self.constant(np.full(shape, number), data_type)
        return self.emit("Expand", [self.constant(number, data_type), self.constant(list(shape))])

    def derived(
        self, operands: Sequence[MLOperand], how: Hashable, make: Callable[..., np.ndarray[Any, Any]], /
    ) -> str:
        """A weight that is computed from constants now and not in each run: `make` of the operands' values.

        It is made once for the same operands and the same `how`, a key for the function `make`.
        """
        key = (tuple(id(operand) for operand in operands), how)
        name = self._derived.get(key)
        if name is None:
            array = make(*(operand.constant for operand in operands))
            name = self._derived[key] = self._weight(np.asarray(array, order="C"))
        return name

    def emit(
        self,
        op_type: str,
        inputs: Sequence[str],
        /,
        *,
        to: MLOperand | None = None,
        domain: str = "",
        **attributes: Any,
    ) -> str:
        """Add a node with one output and return that output's name.

        Args:
            op_type: the ONNX operator.
            inputs: names of values; "" for an optional input that is not given.
            to: the operand that the output is the value of, if it is one.
            domain: the domain of the operator, "" for the standard one.
            **attributes: the node's attributes, without those that are None.
        """
        return self.emit_many(op_type, inputs, [to], domain=domain, **attributes)[0]

    def emit_many(
        self,
        op_type: str,
        inputs: Sequence[str],
        outputs: Sequence[MLOperand | Literal[""] | None],
        /,
        *,
        domain: str = "",
        **attributes: Any,
    ) -> list[str]:
        """Add a node with several outputs, each the value of an operand, or of no operand (None), or not made ("")."""
        compose = None if domain else self.kernels.composition(op_type, self._types.get(inputs[op_type == "Where"], ""))
        if compose is not None:
            (operand,) = outputs
            name = compose(self, inputs, attributes)
            if isinstance(operand, MLOperand):
                self.set(operand, name)
            return [name]
        given, inputs = inputs, self._as_bool(op_type, inputs)
        cast_inputs, variables = self._cast_inputs(op_type, domain, inputs)
        names, results = [], []
        for i, operand in enumerate(outputs):
            name = made = final = ""
            if operand != "":
                untold = operand.data_type if operand is not None else self._types.get(inputs[0], "")
                made, final = self._output_types(op_type, domain, i, variables, untold)
                if given is not inputs:
                    final = self._types[given[0]]
                name = self.fresh(f"{op_type}{len(self._nodes)}")
                self._types[name] = made
            names.append(name)
            results.append((name, made, final))
        self._node(op_type, cast_inputs, names, domain, attributes)
        self._domains.add(domain)
        finished = [name if made == final else self.cast(name, final) for name, made, final in results]
        for operand, name in zip(outputs, finished, strict=True):
            if isinstance(operand, MLOperand):
                self.set(operand, name)
        return finished

    def _as_bool(self, op_type: str, inputs: Sequence[str]) -> Sequence[str]:
        """The inputs of an operator that moves truth values, before they were cast from bool; else `inputs`."""
        if op_type not in _MOVING_BOOL or not self.kernels.keeps_bool:
            return inputs
        moved = len(inputs) if op_type == "Concat" else 1
        sources = [self._bool_source(name) for name in inputs[:moved]]
        return inputs if None in sources else [*filter(None, sources), *inputs[moved:]]

    def _bool_source(self, name: str) -> str | None:
        """The truth values that the value called `name` was cast from."""
        source = self._cast_from.get(name)
        return source if source is not None and self._types[source] == "bool" else None

    def _cast_inputs(self, op_type: str, domain: str, inputs: Sequence[str]) -> tuple[list[str], dict[str, str]]:
        """The inputs in types that have a kernel; and the type of each of the schema's variables before."""
        types = signature(op_type) if not domain else None
        if types is None:
            return list(inputs), {}
        in_types, _, variadic = types
        cast_inputs = list(inputs)
        variables: dict[str, str] = {}
        for i, name in enumerate(inputs):
            variable = in_types[min(i, len(in_types) - 1)] if variadic else in_types[i]
            if name and not variable.startswith("tensor("):
                variables.setdefault(variable, self._types[name])
                cast_inputs[i] = self.cast(name, self._computed_in(op_type, domain, variable, self._types[name]))
        return cast_inputs, variables

    def _output_types(
        self, op_type: str, domain: str, index: int, variables: Mapping[str, str], untold: str
    ) -> tuple[str, str]:
        """The type in which an output is computed, and its final type; `untold` if no schema has one."""
        types = signature(op_type) if not domain else None
        out_types = types.outputs if types is not None else ()
        variable = out_types[min(index, len(out_types) - 1)] if out_types else ""
        if variable in variables:
            final = variables[variable]
            return self._computed_in(op_type, domain, variable, final), final
        final = _BY_STRING.get(variable, untold)
        return final, final

    def set(self, operand: MLOperand, name: str) -> None:
        """Make the value called `name` the value of `operand`, cast to the operand's type if need be."""
        self._names[id(operand)] = self.cast(name, operand.data_type)

    def cast(self, name: str, data_type: str) -> str:
        """The value as another type: itself if it has that type, or the value that it was widened from."""
        if self._types[name] == data_type:
            return name
        source = self._cast_from.get(name)
        if source is not None and self._types[source] == data_type and self._types[name] in _WIDER.get(data_type, ()):
            return source
        if self.kernels.keeps_bool:
            name = self._bool_source(name) or name
        kept_as = self.kernels.kept_as.get(data_type)
        wraps = kept_as is not None and self._types[name] not in (*_FLOATS, "bool")
        to = [data_type] if kept_as is None else [data_type, kept_as] if wraps else [kept_as]
        result = name
        for each in to:
            result, before = self.fresh(f"Cast{len(self._nodes)}"), result
            self._node("Cast", [before], [result], "", {"to": onnx_type(each)})
            self._types[result] = data_type
        self._cast_from[result] = name
        return result

    def reshape(self, name: str, shape: Sequence[int], *, to: MLOperand | None = None) -> str:
        """The value with another shape."""
        return self.emit("Reshape", [name, self.constant(list(shape))], to=to)

    def transpose(self, name: str, permutation: Sequence[int]) -> str:
        """The value with its axes in another order; the value itself if they are in that order."""
        if list(permutation) == list(range(len(permutation))):
            return name
        return self.emit("Transpose", [name], perm=list(permutation))

    def finish(self) -> ModelProto:
        """The model. Constants in `external` are declared in it but carry no data."""
        graph = self._proto.graph
        computed = {value for node in self._nodes for value in node.output}
        renamed: dict[str, str] = {}
        for name, operand in self.graph.outputs.items():
            value, spelled = self[operand], self.output_names[name]
            if self.kernels.keeps_bool and operand.data_type == "uint8":
                value = self._bool_source(value) or value
            if value in computed and value not in renamed:
                renamed[value] = spelled
            else:  # an input, a constant, or an output under another name too
                self._where, self._node_begun = "output", None
                self._node("Identity", [value], [spelled], "", {})
            graph.output.append(self._value_info(spelled, operand.descriptor, self._types[value]))
        for number, node in enumerate(self._nodes):
            if number in self._with_bodies or not renamed.keys().isdisjoint((*node.input, *node.output)):
                _rename(node, renamed)
        graph.input.extend(
            self._value_info(self.input_names[name], o.descriptor, o.data_type) for name, o in self.graph.inputs.items()
        )
        for domain in ["", *sorted(self._domains - {""})]:
            self._proto.opset_import.add(
                domain=domain, version=self._versions.get(domain, 1) if domain else self._opset
            )
        read = self._numbers_read()
        for number in reversed(range(len(self._nodes))):
            if number not in read:
                del graph.node[number]
        return self._proto

    def _node(
        self, op_type: str, inputs: Sequence[str], outputs: Sequence[str], domain: str, attributes: Mapping[str, Any]
    ) -> None:
        number = len(self._nodes)
        name = f"{_spelled(self._where) or op_type}#{number}"
        data_type = "" if op_type == "Cast" else self._types.get(inputs[1 if op_type == "Where" else 0], "")
        begun = self._node_begun
        self._parts.append(None if begun is None else Part(begun, number, op_type, data_type))
        made = self._proto.graph.node.add()
        self._nodes.append(made)
        if GraphProto in map(type, attributes.values()):
            self._with_bodies.add(number)
        messages.fill_node(made, op_type, inputs, outputs, name=name, domain=domain, **attributes)

    def _numbers_read(self) -> frozenset[int]:
        """Numbers of the nodes that an output needs; runtimes would compute the others too, such as unread casts."""
        read = set(self.output_names.values())
        kept: list[int] = []
        for number in reversed(range(len(self._nodes))):
            node = self._nodes[number]
            if not read.isdisjoint(node.output):
                read.update(filter(None, node.input))
                if number in self._with_bodies:
                    read.update(name for a in node.attribute for inner in a.g.node for name in inner.input if name)
                kept.append(number)
        return frozenset(kept)

    def _computed_in(self, op_type: str, domain: str, variable: str, data_type: str) -> str:
        """The type to compute in for `data_type`: itself, or the nearest wider one that has a kernel."""
        if not data_type or data_type in self.kernels.everywhere:
            return data_type
        types = self.kernels.types(op_type, domain, variable)
        if types is None or data_type in types:
            return data_type
        for wider in _WIDER.get(data_type, ()):
            if wider in types:
                return wider
        if op_type in _MOVING and _SAME_BITS.get(data_type) in types:
            return _SAME_BITS[data_type]
        raise NotSupportedError(
            f"{self._where}: runtimes have no kernel of {op_type} for {data_type} or a wider type; cast its operands"
        )

    def _value_info(self, name: str, descriptor: MLOperandDescriptor, data_type: str) -> ValueInfoProto:
        kept_as = self.kernels.kept_as.get(data_type, data_type)
        return messages.value_info(name, onnx_type(kept_as), descriptor.shape)

    def fresh(self, name: str) -> str:
        """`name`, or one like it if a value of the model has that name already."""
        candidate = name
        while candidate in self._taken:
            self._taken[name] += 1
            candidate = f"{name}.{self._taken[name]}"
        self._taken[candidate] = 0
        return candidate

    def as_stored(self, array: np.ndarray[Any, Any]) -> str:
        """A weight of its own data type, also where the runtime keeps values of that type as another one."""
        return self._weight(array, convert=False)

    def _weight(
        self, array: np.ndarray[Any, Any], kind: str = "weight", *, inline: bool = False, convert: bool = True
    ) -> str:
        name = self.fresh(kind)
        data_type = dtype_name(array.dtype)
        kept_as = self.kernels.kept_as.get(data_type) if convert else None
        if kept_as is not None:
            array = array.astype(kept_as)
        if inline or array.nbytes <= INLINE_BYTES or data_type in ("int4", "uint4"):
            self._inline(name, array, data_type)
            return name
        kind_of_element = onnx_type(kept_as or data_type)
        self._proto.graph.initializer.add(
            name=name, data_type=kind_of_element, dims=array.shape, data_location=TensorProto.EXTERNAL
        )
        self.external[name] = array
        self._types[name] = data_type
        return name

    def _inline(self, name: str, array: np.ndarray[Any, Any], data_type: str) -> None:
        self._proto.graph.initializer.append(messages.tensor(name, array, onnx_type(dtype_name(array.dtype))))
        self._types[name] = data_type


def _rename(node: NodeProto, renamed: Mapping[str, str]) -> None:
    """Rename values in `node` and in its bodies."""
    for names in (node.input, node.output):
        for i, name in enumerate(names):
            if name in renamed:
                names[i] = renamed[name]
    for attribute in node.attribute:
        for inner in attribute.g.node:
            _rename(inner, renamed)


def _spelled(name: str) -> str | None:
    """`name` as ONNX can hold it; None if it cannot."""
    return name if name.isprintable() else None  # (which unpaired surrogates are not)
