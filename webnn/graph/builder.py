"""`MLGraphBuilder`: inputs, constants, the operators of all families, and `build`.

Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from mmap import mmap
from typing import Any, ClassVar, Final, Generic, Protocol, TypeVar, overload

import numpy as np

from webnn.errors import InvalidStateError, ValidationError
from webnn.graph.arguments import data_type_named, number, shown
from webnn.graph.arrays import array_from, owner_of
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.dtypes import DATA_TYPES, DataTypeLike, Number, cast_number, data_type_of
from webnn.graph.ir import Graph
from webnn.graph.limits import LimitsTable
from webnn.graph.operand import MLOperand, Owner
from webnn.graph.operator import OPERATORS
from webnn.graph.operators.activation import Activation
from webnn.graph.operators.convolution import Convolution
from webnn.graph.operators.elementwise import Elementwise
from webnn.graph.operators.gathering import Gathering
from webnn.graph.operators.logic import Logic
from webnn.graph.operators.matrix import Matrix
from webnn.graph.operators.movement import Movement
from webnn.graph.operators.normalization import Normalization
from webnn.graph.operators.pooling import Pooling
from webnn.graph.operators.quantization import Quantization
from webnn.graph.operators.recurrent import Recurrent
from webnn.graph.operators.reduction import Reduction
from webnn.graph.operators.resampling import Resampling
from webnn.graph.other_names import BUILDER
from webnn.graph.spelling import explained, named_elsewhere, names_in_camel_case
from webnn.graph.unpicklable import Unpicklable

__all__ = ["COPIED_BYTES", "GraphHost", "MLGraphBuilder", "declare_inputs", "descriptor_from", "keep_open_dimensions"]

COPIED_BYTES: Final = 64 * 1024
"""Constants up to this size are copied: graphs that are given equal ones can share what is compiled."""

G_co = TypeVar("G_co", covariant=True)


class GraphHost(Protocol[G_co]):
    """The part of a context that a builder uses: the limits to validate against, and compilation."""

    @property
    def limits(self) -> LimitsTable:
        """The limits of the context's backend."""
        ...

    @property
    def composites(self) -> Collection[str]:
        """The composites that the context's backend takes as they are. See `webnn.graph.composites`."""
        ...

    def check_not_lost(self) -> None:
        """Raise `InvalidStateError` if the context is lost."""
        ...

    def compile(self, graph: Graph) -> G_co:
        """Start compiling `graph`. The result can be used at once and awaited."""
        ...


def descriptor_from(value: object, data_type: object = None) -> MLOperandDescriptor:
    """A descriptor from a shape and a data type, from a descriptor, or from a mapping with the specification's keys."""
    if isinstance(value, MLOperandDescriptor):
        if data_type is not None and data_type_named("data_type", data_type) != value.data_type:
            raise ValidationError(
                f"the descriptor is {value.data_type}, but the argument data_type is {shown(data_type)};"
                " leave the argument out"
            )
        return value
    if not isinstance(value, list) and isinstance(value, Mapping):  # the test for a mapping is slow
        unknown = set(value) - {"data_type", "dataType", "shape"}
        if unknown or "shape" not in value:
            raise ValidationError(f"a descriptor must have the keys 'data_type' and 'shape', got {shown(list(value))}")
        data_type = value.get("data_type", value.get("dataType", data_type))
        value = value["shape"]
    return MLOperandDescriptor(data_type, value)  # type: ignore[call-overload,no-any-return]


@named_elsewhere({**BUILDER, **names_in_camel_case([*OPERATORS], "builder")})
class MLGraphBuilder(
    Elementwise,
    Logic,
    Activation,
    Convolution,
    Pooling,
    Normalization,
    Reduction,
    Matrix,
    Movement,
    Gathering,
    Resampling,
    Quantization,
    Recurrent,
    Unpicklable,
    Generic[G_co],
):
    """Builds one graph: inputs and constants, then operators, then `build`.

    Every call is validated at once, as the specification requires. A failed call does not change the builder. A
    builder builds one graph; after that its methods raise `InvalidStateError`.

    Example:
        >>> import webnn
        >>> with webnn.create_context() as context:
        ...     builder = webnn.MLGraphBuilder(context)
        ...     x = builder.input("x", [2, 3], "float32")
        ...     graph = builder.build({"y": builder.relu(x)})
        ...     context.compute(graph, {"x": [[1, -2, 3], [-4, 5, -6]]})["y"].tolist()
        [[1.0, 0.0, 3.0], [0.0, 5.0, 0.0]]

    Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder
    """

    _why_unpicklable: ClassVar[str] = (
        "it builds one graph for a context of this process. Send a function that builds the graph, or save a built"
        " graph with graph.save(path) and send the path"
    )

    def __repr__(self) -> str:
        names = ", ".join(repr(operand.name) for operand in self._inputs)
        return f"<MLGraphBuilder, {f'inputs {names}' if names else 'no inputs'}{', built' if self._built else ''}>"

    def __init__(self, context: GraphHost[G_co]) -> None:
        """A builder for a graph of `context`. Raises `InvalidStateError` if the context is lost."""
        if not callable(getattr(context, "check_not_lost", None)):
            raise ValidationError(f"MLGraphBuilder: context must be an MLContext, got {shown(context)}")
        context.check_not_lost()
        self._host: GraphHost[G_co] = context
        self._owner = Owner(self)
        self._inputs: list[MLOperand] = []
        self._open_dimensions: dict[str, Sequence[str | None]] = {}
        """Of inputs of a file that leaves sizes open: see `Graph`."""
        self._declared: set[str] = set()
        """The names of the inputs of a file."""
        self._built = False
        self._copies: dict[tuple[int, np.dtype[Any], tuple[int, ...]], np.ndarray[Any, Any]] = {}

    def _check_can_build(self) -> None:
        if self._built:
            raise InvalidStateError(
                "this builder has built its graph: create another one with context.create_graph_builder()"
            )
        self._host.check_not_lost()

    @overload
    def input(self, name: str, shape: Sequence[int], data_type: DataTypeLike) -> MLOperand: ...
    @overload
    def input(self, name: str, shape: MLOperandDescriptor | Mapping[str, Any]) -> MLOperand: ...
    @explained
    def input(self, name: str, shape: object, data_type: DataTypeLike | None = None) -> MLOperand:
        """An operand whose value is given at each run.

        Args:
            name: not empty. Two inputs of one graph cannot share a name. `build` checks this, as browsers and the web
                platform tests do; the specification raises the error here.
            shape: the dimensions, each at least 1; or an `MLOperandDescriptor`, without `data_type`.
            data_type: the type of each element.

        Raises:
            ValidationError: the name is empty, or the descriptor is not valid.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-input
        """
        self._check_can_build()
        try:
            if not isinstance(name, str) or not name:
                raise ValidationError(f"the name must be a non-empty string, got {shown(name)}")
            descriptor = descriptor_from(shape, data_type)
            if descriptor.data_type in ("int4", "uint4"):
                raise ValidationError(f"an input cannot be {descriptor.data_type}; only constants can")
        except ValidationError as error:
            where = f"input {name!r}" if isinstance(name, str) else "input"
            raise ValidationError(f"{where}: {error}") from None
        operand = MLOperand(self._owner, descriptor, name=name)
        self._inputs.append(operand)
        return operand

    @overload
    def constant(self, value: DataTypeLike, number: Number, /) -> MLOperand: ...
    @overload
    def constant(self, value: MLOperandDescriptor | Mapping[str, Any], buffer: Any, /) -> MLOperand: ...
    @overload
    def constant(self, value: Any, /) -> MLOperand: ...
    @explained
    def constant(self, value: Any, data: Any = None, /) -> MLOperand:
        """An operand with a fixed value.

        - `constant(array)`: anything with `__dlpack__`, `__array__` or the buffer protocol. A C-contiguous array in
          native byte order of more than 64 KB, or in a mapped file, is **not copied**: do not change it while a graph
          that was built from it lives. A graph lives until it is destroyed and its queued runs have ended. After the
          last of these graphs, you may do anything with the array; a graph that is built later sees the elements as
          they are then. 4-bit types: `ml_dtypes` arrays.
        - `constant("float32", 0.5)`: a scalar, cast to the type as the specification says.
        - `constant(descriptor, buffer)`: the specification's form; the bytes are copied.
        - `constant(tensor)`: a constant tensor of the same context, from `create_constant_tensor`.

        Raises:
            ValidationError: the data does not match the type or the descriptor; the tensor is destroyed, or is not a
                constant tensor of this context.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-constant
        """
        self._check_can_build()
        try:
            array = self._constant_value(value, data)
            descriptor = MLOperandDescriptor(data_type_of(array.dtype), array.shape)
        except ValidationError as error:
            raise ValidationError(f"constant: {error}") from None
        return MLOperand(self._owner, descriptor, constant=self._kept(array))

    def _kept(self, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """`array`, or a copy of it that nothing can change; one copy for equal arrays at one place."""
        if array.nbytes > COPIED_BYTES or isinstance(owner_of(array), bytes | mmap):
            return array
        place = (array.ctypes.data, array.dtype, array.shape)
        copy = self._copies.get(place)
        if copy is None or copy.tobytes() != array.tobytes():
            copy = self._copies[place] = array.copy()
            copy.flags.writeable = False
        return copy

    def _constant_value(self, value: Any, data: Any) -> np.ndarray[Any, Any]:
        if isinstance(value, np.ndarray) and data is None:  # the usual case first
            return array_from(value)
        if isinstance(value, str | type | np.dtype):
            data_type = data_type_named("data type", value)
            if isinstance(data, str) or data is None:
                raise ValidationError(f'constant("{data_type}", number): the value must be a number, got {shown(data)}')
            return np.array(cast_number(number("value", data), data_type), DATA_TYPES[data_type].dtype)
        constant_for: Callable[[object], np.ndarray[Any, Any]] | None = getattr(value, "_constant_for", None)
        if constant_for is not None:  # a tensor; its class belongs to a package above this one
            return constant_for(self._host)
        if isinstance(value, MLOperandDescriptor | Mapping):
            descriptor = descriptor_from(value)
            return array_from(data, descriptor).copy()
        if data is not None:
            raise ValidationError(
                "a second argument needs a data type or a descriptor before it: constant('float32', 0.5)"
            )
        return array_from(value)

    @explained
    def build(self, outputs: Mapping[str, MLOperand]) -> G_co:
        """The graph that computes `outputs`, compiled in the background.

        The graph is returned at once and can be dispatched immediately. Awaiting it waits for the compilation and
        raises its error, if there is one. Inputs that no output depends on are dropped.

        Args:
            outputs: operands of this builder by name. Inputs and constants are not allowed; pass them through
                `identity` first.

        Raises:
            ValidationError: `outputs` is empty, or an item cannot be an output; two inputs that the outputs depend on
                have the same name.
            InvalidStateError: this builder has already built a graph, or the context is lost.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-build
        """
        self._check_can_build()
        if not isinstance(outputs, Mapping) or not outputs:
            raise ValidationError(
                f"build: outputs must be a non-empty mapping of names to operands, got {shown(outputs)};"
                " write build({'name': operand})"
            )
        for name, operand in outputs.items():
            if not isinstance(name, str) or not name:
                raise ValidationError(f"build: the name of an output must be a non-empty string, got {shown(name)}")
            where = f"build: output {name!r}"
            if not isinstance(operand, MLOperand):
                raise ValidationError(f"{where} must be an MLOperand, got {type(operand).__name__}")
            if operand.owner is not self._owner:
                raise ValidationError(f"{where} belongs to another builder; operands cannot be shared between builders")
            if operand.node is None:
                kind = "an input" if operand.name is not None else "a constant"
                raise ValidationError(
                    f"{where} is {kind}; pass it through identity(): build({{{name!r}: builder.identity(...)}})"
                )
            if operand.data_type in ("int4", "uint4"):
                raise ValidationError(
                    f"{where} is {operand.data_type}, but a graph cannot return it; apply dequantize_linear()"
                )
        graph = Graph(self._inputs, outputs, self._open_dimensions, self._declared)
        if graph.duplicate_input is not None:
            raise ValidationError(
                f"build: two inputs are named {graph.duplicate_input!r}; give each input a name of its own"
            )
        result = self._host.compile(graph)
        self._built = True
        return result


def declare_inputs(builder: MLGraphBuilder[Any], names: Iterable[str]) -> None:
    """Keep the names of a file's inputs, so that programs may also give those that no output depends on."""
    builder._declared.update(names)


def keep_open_dimensions(builder: MLGraphBuilder[Any], name: str, names: Sequence[str | None]) -> None:
    """Keep the names that the open dimensions of the input `name` have in the file that is read, to save them again.

    Args:
        builder: has the input.
        name: of the input.
        names: a name for each dimension, empty for one without; None for a dimension that is not open.
    """
    builder._open_dimensions[name] = names
