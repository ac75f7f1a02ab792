"""Models whose sizes are left open, so that one session serves the graphs that a file gives for several sizes.

The graphs of a file for two sizes become models that differ in little: the shapes of inputs, the lists of sizes that
`Reshape` and others read, and constants that have as many elements, such as positions. All of these are found in one
model alone. The shapes are left open, and the rest become *parameters*: inputs that each graph binds to its own values.
A parameter that would not have to be one costs a run nothing. One that is missed leaves two models different, and then
they share nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any, Final, TypeAlias

import numpy as np

from webnn.backends.onnx import messages
from webnn.backends.onnx.messages import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto
from webnn.graph.quick_dataclass import dataclass

__all__ = ["OpenModel", "declaration", "declare", "open_sizes"]

Array: TypeAlias = np.ndarray[Any, Any]
Read: TypeAlias = tuple[int, int]
"""The number of a node, and of one of its inputs."""

_LISTS: Final = frozenset({("Expand", 1), ("Reshape", 1), ("Slice", 1), ("Slice", 2)})
"""The inputs of operators that take sizes or places, and whose kernels gain nothing from knowing them beforehand."""
_VALUES: Final = frozenset(
    {"Abs", "Add", "And", "Cast", "Clip", "Div", "Equal", "Greater", "GreaterOrEqual", "IsNaN", "Less", "LessOrEqual"}
    | {"Max", "Min", "Mul", "Neg", "Not", "Or", "Pow", "Sub", "Where", "Xor"}
)
"""Operators whose kernels do the same with constants as with other values."""
_INDICES: Final = frozenset({("Attention", 3), ("Gather", 1), ("GatherElements", 1), ("GatherND", 1)})
"""The inputs of other operators of which that is true."""
_DTYPES: Final[Mapping[int, np.dtype[Any]]] = {
    TensorProto.FLOAT: np.dtype(np.float32),
    TensorProto.FLOAT16: np.dtype(np.float16),
    TensorProto.BOOL: np.dtype(np.bool_),
    TensorProto.INT8: np.dtype(np.int8),
    TensorProto.UINT8: np.dtype(np.uint8),
    TensorProto.INT32: np.dtype(np.int32),
    TensorProto.UINT32: np.dtype(np.uint32),
    TensorProto.INT64: np.dtype(np.int64),
    TensorProto.UINT64: np.dtype(np.uint64),
}
"""The element types of parameters."""


@dataclass(frozen=True, slots=True)
class OpenModel:
    """What `open_sizes` has taken out of a model.

    Attributes:
        parameters: the values of new inputs of the model, by name.
        computed: a model of the nodes that depend on parameters and constants alone, and so are computed once for each
            size; None if there are none. Its outputs become parameters as well: see `declare`.
        operands: the values of the inputs of `computed`.
    """

    parameters: Mapping[str, Array]
    computed: ModelProto | None
    operands: Mapping[str, Array]


def open_sizes(
    model: ModelProto, external: dict[str, Array], dimensions: Mapping[str, Sequence[str | None]]
) -> OpenModel | None:
    """Leave the sizes of `model` open, in place; None, with all as it was, if that is not possible.

    Args:
        model: a finished model, in which no constant of `external` has a place yet.
        external: the constants that the model declares without data. Those that it no longer reads are removed.
        dimensions: for inputs, the name of each dimension: "" for an open one without a name, None for a fixed one.
    """
    graph, nodes = model.graph, list(model.graph.node)
    sizes = _sizes(graph.input, dimensions)
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    uses = _uses(nodes)
    kept = {value.name for value in graph.output} | _read_by_bodies(nodes)
    reads = {(number, i): name for name, places in uses.items() for number, i in places}
    values: dict[str, Array] = {}
    for name, tensor in tensors.items():
        places = uses.get(name, ())
        if name in kept or tensor.data_type not in _DTYPES:
            continue
        if tensor.data_type == TensorProto.INT64 and len(tensor.dims) == 1 and name not in external:
            # A parameter for each reader: lists that are equal for one size may differ for another.
            for number, i in places:
                if (nodes[number].op_type, i) in _LISTS:
                    own = reads[number, i] = f"{name} of {number}, {i}"
                    values[own] = _array(tensor, external)
        elif not sizes.isdisjoint(tensor.dims) and all(_takes_any(nodes[number], i) for number, i in places):
            values[name] = _array(tensor, external)
    names = [[reads[number, i] for i in range(len(node.input))] for number, node in enumerate(nodes)]
    varying, fixed = _computed_once(nodes, names, tensors.keys() - values.keys(), values.keys())
    inside = sorted(varying | fixed)
    made = {name for number in inside for name in nodes[number].output}
    leaves = sorted({name for number in inside for name in names[number] if name} - made)
    if kept & made or any(name in tensors and tensors[name].data_type not in _DTYPES for name in leaves):
        return None

    for (number, i), name in reads.items():
        nodes[number].input[i] = name
    operands = {name: values[name] if name in values else _array(tensors[name], external) for name in leaves}
    read, left_out = set(kept), set[int]()
    for number in reversed(range(len(nodes))):
        if number in varying or (number in fixed and read.isdisjoint(nodes[number].output)):
            left_out.add(number)
        else:
            read.update(nodes[number].input)
    computed = None
    if inside:
        inputs = [declaration(name, _type_of(value), value.ndim) for name, value in operands.items()]
        outputs = [ValueInfoProto(name=name) for number in sorted(varying) for name in nodes[number].output]
        outputs = [info for info in outputs if info.name in read]
        opsets = {entry.domain: entry.version for entry in model.opset_import}
        inner = messages.graph([nodes[number] for number in inside], "sizes", inputs, outputs)
        computed = messages.model(inner, opsets, model.ir_version)
    for number in reversed(range(len(nodes))):  # without copies, since trees are nodes of megabytes
        if number in left_out:
            del graph.node[number]
    for number in reversed(range(len(graph.initializer))):
        if (name := graph.initializer[number].name) not in read or name in values:
            del graph.initializer[number]
    for name in external.keys() - {tensor.name for tensor in graph.initializer}:
        del external[name]
    _open_shapes(graph, dimensions)
    parameters = {name: value for name, value in values.items() if name in read}
    declare(model, {name: (_type_of(value), value.ndim) for name, value in parameters.items()})
    return OpenModel(parameters, computed, operands)


def declare(model: ModelProto, inputs: Mapping[str, tuple[int, int]]) -> None:
    """Give `model` further inputs by name, each of an element type and a rank; their shapes stay open."""
    model.graph.input.extend([declaration(name, *declared) for name, declared in inputs.items()])


def declaration(name: str, element_type: int, rank: int) -> ValueInfoProto:
    """A value of an element type and a rank whose shape is open."""
    info = messages.value_info(name, element_type, [1] * rank)
    for dimension in info.type.tensor_type.shape.dim:
        dimension.ClearField("dim_value")
    return info


def _sizes(inputs: Iterable[ValueInfoProto], dimensions: Mapping[str, Sequence[str | None]]) -> set[int]:
    """The sizes of the open dimensions, but for 1, which is everywhere."""
    found = {dimension.dim_value for dimension, name in _open_dimensions(inputs, dimensions) if name is not None}
    return found - {1}


def _open_dimensions(
    inputs: Iterable[ValueInfoProto], dimensions: Mapping[str, Sequence[str | None]]
) -> list[tuple[Any, str | None]]:
    return [
        each
        for info in inputs
        if info.name in dimensions
        for each in zip(info.type.tensor_type.shape.dim, dimensions[info.name], strict=True)
    ]


def _open_shapes(graph: GraphProto, dimensions: Mapping[str, Sequence[str | None]]) -> None:
    """Leave open dimensions without a size, in inputs and outputs; those that have a name keep it if it is true."""
    found = _open_dimensions(graph.input, dimensions)
    of_name: dict[str, set[int]] = {}
    for dimension, name in found:
        of_name.setdefault(name or "", set()).add(dimension.dim_value)
    for dimension, name in found:
        if name is not None:
            dimension.ClearField("dim_value")
            if name and len(of_name[name]) == 1:  # exporters also give one name to dimensions that differ
                dimension.dim_param = name
    for info in graph.output:
        for dimension in info.type.tensor_type.shape.dim:
            dimension.ClearField("dim_value")


def _uses(nodes: Sequence[NodeProto]) -> dict[str, list[Read]]:
    """Where each value is read."""
    found: dict[str, list[Read]] = {}
    for number, node in enumerate(nodes):
        for i, name in enumerate(node.input):
            found.setdefault(name, []).append((number, i))
    return found


def _read_by_bodies(nodes: Iterable[NodeProto]) -> set[str]:
    return {
        name
        for node in nodes
        for attribute in node.attribute
        for inner in attribute.g.node
        for name in (*inner.input, *_read_by_bodies([inner]))
    }


def _takes_any(node: NodeProto, i: int) -> bool:
    return not node.domain and (node.op_type in _VALUES or (node.op_type, i) in _INDICES)


def _computed_once(
    nodes: Sequence[NodeProto], reads: Sequence[Sequence[str]], constants: Set[str], parameters: Set[str]
) -> tuple[set[int], set[int]]:
    """The nodes that depend on parameters and constants alone; and those of constants alone that they need."""
    known, made_by = set(constants), dict[str, int]()
    either = known.union(parameters)  # kept, since a union for each node would take quadratic time
    varying, fixed = set[int](), set[int]()
    for number, node in enumerate(nodes):
        names = {name for name in reads[number] if name}
        if not names or not names <= either or _read_by_bodies([node]):
            continue
        either.update(node.output)
        if names <= known:
            known.update(node.output)
            made_by.update(dict.fromkeys(node.output, number))
        else:
            varying.add(number)
    ahead = list(varying)
    while ahead:
        needed = {made_by[name] for name in reads[ahead.pop()] if name in made_by} - fixed
        fixed |= needed
        ahead += needed
    return varying, fixed


def _array(tensor: TensorProto, external: Mapping[str, Array]) -> Array:
    if tensor.name in external:
        return external[tensor.name]
    return np.frombuffer(tensor.raw_data, _DTYPES[tensor.data_type].newbyteorder("<")).reshape(tuple(tensor.dims))


def _type_of(array: Array) -> int:
    return next(number for number, dtype in _DTYPES.items() if dtype == array.dtype)
