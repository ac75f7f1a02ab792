"""From an ONNX graph to operators of a builder, one node after the other.

A value of the ONNX graph is known (a constant, a shape, what follows from these) or an operand. Nodes whose inputs are
all known are computed here, within bounds; for the others the table has a function. Nodes that cannot be expressed do
not stop the walk: their outputs are marked as missing, and all of them are reported in the end.

Nodes that nothing needs are never looked at. No function here calls itself for each node or each value, since hostile
models are deep; subgraphs and functions call each other, to a limit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Final

import numpy as np
import onnx
from onnx import AttributeProto, FunctionProto, GraphProto, NodeProto, TypeProto, ValueInfoProto

from webnn.errors import DataError, MLError, NotSupportedError, ValidationError
from webnn.formats.onnx import families as _families  # noqa: F401 (fills the table)
from webnn.formats.onnx.folding import Budget, fold
from webnn.formats.onnx.reading import DTYPES, Model
from webnn.formats.onnx.table import importer_of
from webnn.formats.onnx.values import OnnxNode, UnsupportedNodeError, Value, data_type_for, held
from webnn.graph.arguments import enum_value, printable, unsigned, unsigned_list
from webnn.graph.builder import MLGraphBuilder
from webnn.graph.dtypes import ALL, DataType, numpy_dtype
from webnn.graph.operand import MLOperand

__all__ = ["Importer", "OnnxNotSupportedError", "Problem"]

OLDEST_OPSET: Final = 7

_MAX_NODES: Final = 250_000
"""Functions that call functions can announce any number of nodes in a few bytes."""
_MAX_DEPTH: Final = 24
"""Subgraphs in subgraphs, functions in functions."""
_FILL: Final = 16 << 20
"""Bytes up to which numbers that are repeated are spelled out as a constant; above, the graph expands them."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One node that WebNN cannot express."""

    node: str
    """Its name, or that of its first output."""
    op_type: str
    """With the domain in front, unless it is the standard's own."""
    reason: str
    nearest: str
    """What could be used in its place; "" if nothing is known."""

    def __str__(self) -> str:
        return f"{self.node} ({self.op_type}): {self.reason}" + (f"; nearest: {self.nearest}" if self.nearest else "")


class OnnxNotSupportedError(NotSupportedError):
    """A model has nodes that WebNN cannot express: all of them are in `problems`."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        lines = "\n".join(f"  {problem}" for problem in problems)
        many = "1 node" if len(problems) == 1 else f"{len(problems)} nodes"
        super().__init__(f"{many} of the ONNX model cannot be expressed in WebNN:\n{lines}")
        self.problems = tuple(problems)


class Scope:
    """The values of one graph by name. The graph of an `If` sees those around it, the body of a function does not."""

    __slots__ = ("outer", "values")

    def __init__(self, outer: Scope | None = None) -> None:
        self.outer = outer
        self.values: dict[str, Value] = {}

    def find(self, name: str) -> Value | None:
        """The value called `name`, here or around."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.values:
                return scope.values[name]
            scope = scope.outer
        return None


_ABSENT: Final = Value()
"""Inside of a function: an input that the call leaves out."""


class Importer:
    """One import of one model into one builder."""

    def __init__(
        self,
        model: Model,
        builder: MLGraphBuilder[Any],
        *,
        shapes: Mapping[str, int | Sequence[int]],
        dtypes: Mapping[str, DataType],
        constants: Mapping[str, Any],
        inputs: Mapping[str, MLOperand],
    ) -> None:
        self.model = model
        self.builder = builder
        self.budget = Budget()
        self.problems: list[Problem] = []
        self.scope = Scope()
        """That of the node which is being imported; changes inside of subgraphs and functions."""
        self._partial: dict[str, Problem] = {}
        """Outputs that WebNN cannot compute of nodes that it can: problems as soon as something reads them."""
        self._bound: Mapping[str, AttributeProto] = {}
        """The attributes of the call of a function whose body is being imported."""
        self._graph = model.proto.graph
        self._dtypes = dtypes
        self._versions = _versions(model.proto.opset_import)
        self._functions = {(f.domain, f.name, f.overload): f for f in model.proto.functions}
        self._initializers = {tensor.name: tensor for tensor in self._graph.initializer}
        self._sparse = {tensor.values.name: tensor for tensor in self._graph.sparse_initializer}
        self._declared = {info.name: info for info in self._graph.input}
        self._shapes = shapes
        self._constants = constants
        self._operands = inputs
        self._depth = 0
        self._nodes = 0
        self._label: str | None = None
        """That of the node whose decomposition is being imported."""
        self._check_names(shapes, dtypes, constants, inputs)

    def _check_names(self, shapes: object, *by_input: object) -> None:
        known = set(self._declared)
        outputs = {info.name for info in self._graph.output}
        symbols = {d.dim_param for info in self._graph.input for d in info.type.tensor_type.shape.dim if d.dim_param}
        for option, given, allowed, what in (
            ("shapes", shapes, known | symbols, "input or dimension"),
            ("dtypes", by_input[0], known | outputs, "input or output"),
            ("constants", by_input[1], known, "input"),
            ("inputs", by_input[2], known, "input"),
        ):
            if not isinstance(given, Mapping):
                raise ValidationError(f"{option} must be a mapping of names, got {type(given).__name__}")
            for name in given:
                if name not in allowed:
                    has = ", ".join(sorted(map(_text, allowed))[:20])
                    raise ValidationError(f"{option}: the model has no {what} {name!r}; it has {has or 'none'}")

    # From the model to its outputs.

    def outputs(self, names: Sequence[str] | None) -> dict[str, MLOperand]:
        """The model's outputs called `names`, or all of them."""
        if names is None:
            wanted = [info.name for info in self._graph.output]
        elif isinstance(names, str) or not isinstance(names, Sequence):
            raise ValidationError(f"outputs must be a list of names, got {names!r}")
        else:
            wanted = list(names)
        if not wanted:
            raise ValidationError("the model has no outputs" if names is None else "outputs must not be empty")
        producers = _producers(self._graph.node)
        for name in wanted:
            if name not in producers and not self._is_given(name):
                has = ", ".join(_text(info.name) for info in self._graph.output)
                raise ValidationError(f"outputs: the model computes no {name!r}; its outputs are {has}")
        order = _needed(producers, wanted)
        self._declare(order, wanted)
        for node in order:
            self._import_node(node)
        results = [self._output(name) for name in wanted]
        if self.problems and (None in results or any(p.node in wanted for p in self.problems)):
            raise OnnxNotSupportedError(self.problems)
        return {name: operand for name, operand in zip(wanted, results, strict=True) if operand is not None}

    def _output(self, name: str) -> MLOperand | None:
        value = self._value(name)
        if value.missing:
            return None
        try:
            operand = self.operand_of(value)
            if name in self._dtypes:
                wanted = enum_value(f"dtypes[{name!r}]", self._dtypes[name], ALL)
                if name not in self._declared and wanted != operand.data_type:
                    operand = self.builder.cast(operand, wanted)
            if operand.node is None or operand.data_type in ("int4", "uint4"):
                operand = self.builder.identity(operand, label=name)
        except (UnsupportedNodeError, MLError) as error:
            self.problems.append(Problem(name, "output", str(error), ""))
            return None
        return operand

    def _is_given(self, name: str) -> bool:
        return name in self._initializers or name in self._sparse or name in self._declared

    def _declare(self, order: Sequence[NodeProto], wanted: Sequence[str]) -> None:
        """Make operands of the inputs that are needed; all dimensions without a size are reported together."""
        needed = {name for node in order for name in _reads(node)} | set(wanted)
        infos = [
            info
            for info in self._graph.input
            if info.name in needed and info.name not in self._initializers and info.name not in self._sparse
        ]
        sizes = self._sizes(infos)
        open_dimensions: list[str] = []
        for info in infos:
            value = self._given(info)
            if value is None:
                shape = self._shape(info, sizes)
                if isinstance(shape, str):
                    open_dimensions.append(shape)
                    continue
                value = self._input(info, shape)
            self.scope.values[info.name] = value
        if open_dimensions:
            raise ValidationError(
                f"the model leaves dimensions open: {'; '.join(open_dimensions)}. "
                "Give them sizes, by name or for a whole input: shapes={'batch': 1, 'x': [1, 3, 224, 224]}"
            )

    def _given(self, info: ValueInfoProto) -> Value | None:
        """The value of an input that the caller has fixed, or an operand that stands for it."""
        name = info.name
        if name in self._constants:
            dtype = DTYPES.get(_tensor_type(info).elem_type)
            try:
                return Value(np.asarray(self._constants[name], dtype))
            except (ValueError, TypeError, OverflowError) as error:
                raise ValidationError(f"constants[{name!r}] is no {dtype} array: {error}") from None
        if name in self._operands:
            operand = self._operands[name]
            if not isinstance(operand, MLOperand):
                raise ValidationError(f"inputs[{name!r}] must be an MLOperand, got {type(operand).__name__}")
            wanted = self._held_type(info)
            return Value(operand=operand if operand.data_type == wanted else self.builder.cast(operand, wanted))
        return None

    def _held_type(self, info: ValueInfoProto) -> DataType:
        try:
            return data_type_for(_tensor_type(info).elem_type)
        except UnsupportedNodeError as error:
            raise OnnxNotSupportedError([Problem(info.name, "input", error.reason, error.nearest)]) from None

    def _input(self, info: ValueInfoProto, shape: tuple[int, ...]) -> Value:
        held_type = self._held_type(info)
        name = info.name
        wanted = enum_value(f"dtypes[{name!r}]", self._dtypes.get(name, held_type), ALL)
        operand = self.builder.input(name, shape, wanted)
        return Value(operand=operand if wanted == held_type else self.builder.cast(operand, held_type))

    def _sizes(self, infos: Sequence[ValueInfoProto]) -> dict[str, int]:
        """The size of each named dimension, given by its name or by the shape of an input that has it."""
        sizes: dict[str, int] = {}
        for name, given in self._shapes.items():
            if name not in self._declared:
                sizes[name] = unsigned(f"shapes[{name!r}]", given)
        for info in infos:
            dims = _tensor_type(info).shape.dim
            shape: Any = self._shapes.get(info.name)
            if info.name in self._operands:
                shape = self._operands[info.name].shape
            elif info.name in self._constants:
                shape = np.shape(self._constants[info.name])
            if shape is None:
                continue
            for dim, size in zip(dims, unsigned_list(f"shapes[{info.name!r}]", shape), strict=False):
                if dim.dim_param and sizes.setdefault(dim.dim_param, size) != size:
                    raise ValidationError(
                        f"shapes[{info.name!r}] {list(shape)}: dimension {dim.dim_param!r} is {sizes[dim.dim_param]}"
                    )
        return sizes

    def _shape(self, info: ValueInfoProto, sizes: Mapping[str, int]) -> tuple[int, ...] | str:
        """The shape of an input, or a word on what is open in it."""
        tensor = _tensor_type(info)
        declared = [(d.dim_value if d.HasField("dim_value") else 0, d.dim_param) for d in tensor.shape.dim]
        given = self._shapes.get(info.name)
        if given is not None:
            shape = unsigned_list(f"shapes[{info.name!r}]", given)
            fits = not tensor.HasField("shape") or (
                len(shape) == len(declared)
                and all(size <= 0 or size == s for (size, _), s in zip(declared, shape, strict=True))
            )
            if not fits:
                raise ValidationError(f"shapes[{info.name!r}] is {list(shape)}, the model says {_written(declared)}")
            return shape
        if not tensor.HasField("shape"):
            return f"input {info.name!r} has no shape at all"
        shape = tuple(size if size > 0 else sizes.get(symbol, 0) for size, symbol in declared)
        if any(size <= 0 for size in shape):
            return f"input {info.name!r} {_written(declared)}"
        return shape

    # Values.

    def _value(self, name: str) -> Value:
        value = self.scope.find(name)
        if name in self._partial:
            self.problems.append(self._partial.pop(name))
        if value is None:
            if name in self._initializers:
                value = Value(self.model.array(self._initializers[name]))
            elif name in self._sparse:
                value = Value(self.model.dense(self._sparse[name]))
            else:
                raise DataError(f"nothing computes {name!r}")
            outermost = self.scope
            while outermost.outer is not None:
                outermost = outermost.outer
            outermost.values[name] = value
        return value

    def _read(self, name: str) -> Value | None:
        """The value that an input of a node is called by, or None if the node leaves it out."""
        value = self._value(name) if name else _ABSENT
        return None if value is _ABSENT else value

    def operand_of(self, value: Value) -> MLOperand:
        """`value` as an operand; one that is known becomes a constant, once."""
        if value.operand is None:
            assert value.array is not None
            value.operand = self._constant(value.array)
        return value.operand

    def _constant(self, array: np.ndarray[Any, Any]) -> MLOperand:
        if array.size == 0:
            raise UnsupportedNodeError(
                f"a value of shape {list(array.shape)} has no elements, which no WebNN operand can be"
            )
        repeated = [size > 1 and stride == 0 for size, stride in zip(array.shape, array.strides, strict=True)]
        if any(repeated) and (array.nbytes > _FILL or not self.budget.take(array.nbytes)):
            once = array[tuple(slice(0, 1) if again else slice(None) for again in repeated)]
            return self.builder.expand(self.builder.constant(held(once)), array.shape)
        return self.builder.constant(held(array))

    # Nodes.

    def _import_node(self, proto: NodeProto) -> None:
        """Give values to the outputs of a node."""
        domain = "" if proto.domain == "ai.onnx" else proto.domain
        inputs = [self._read(name) for name in proto.input]
        if any(value.missing for value in inputs if value is not None):
            results: Sequence[Value | None] = []
            if not self._is_importable(proto, domain):
                self._report(proto, domain, UnsupportedNodeError(*_unknown(domain, proto.op_type)))
        else:
            attributes = {
                a.name: self._bound.get(a.ref_attr_name, a) if a.ref_attr_name else a for a in proto.attribute
            }
            attributes = {name: a for name, a in attributes.items() if not a.ref_attr_name}
            node = OnnxNode(
                self,
                op_type=proto.op_type,
                domain=domain,
                version=self._versions.get(domain, 1),
                inputs=inputs,
                attributes=attributes,
                outputs=list(proto.output),
            )
            try:
                results = self._results(node, proto)
            except (UnsupportedNodeError, NotSupportedError, ValidationError) as error:
                results = []
                self._report(proto, domain, error)
            except DataError as error:
                raise DataError(f"{_where(proto)}: {error}") from None
            except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
                # Numbers that no valid model has; each kind could be checked for, at the cost of what is readable.
                raise DataError(f"{_where(proto)} is not valid: {error}") from error
        for i, name in enumerate(proto.output):
            if name:
                result = results[i] if i < len(results) else None
                self.scope.values[name] = result if result is not None else Value(missing=True)
                if result is None and any(results):
                    reason = f"its output {i} ({_text(name)}) is used, and WebNN cannot compute it"
                    self._partial[name] = Problem(_text(_label(proto)), _qualified(proto, domain), reason, "")

    def _is_importable(self, proto: NodeProto, domain: str) -> bool:
        return (
            importer_of(domain, proto.op_type, self._versions.get(domain, 1)) is not None
            or (domain, proto.op_type, proto.overload) in self._functions
        )

    def _report(self, proto: NodeProto, domain: str, error: Exception) -> None:
        if isinstance(error, OnnxNotSupportedError):
            self.problems += error.problems
            return
        nearest = error.nearest if isinstance(error, UnsupportedNodeError) else ""
        self.problems.append(Problem(_text(_label(proto)), _qualified(proto, domain), str(error), nearest))

    def _results(self, node: OnnxNode, proto: NodeProto) -> Sequence[Value | None]:
        function = self._functions.get((node.domain, proto.op_type, proto.overload))
        if function is not None:  # a model's own function hides an operator of the same name
            return self._call(function, node)
        if all(value is None or value.array is not None for value in node.inputs):
            folded = fold(node, proto, self.budget)
            if folded is not None:
                return [Value(array) for array in folded]
        import_function = importer_of(node.domain, node.op_type, node.version)
        if import_function is None:
            return self._decomposed(node)
        imported = import_function(node)
        results = list(imported) if isinstance(imported, list | tuple) else [imported]
        made = sum(r.nbytes for r in results if isinstance(r, np.ndarray) and r.base is None)
        if node.op_type != "Constant" and not self.budget.take(made):
            raise UnsupportedNodeError("the constants to spell out take too much memory")
        _put_label(self._label or _label(proto), results, {id(v.operand) for v in node.inputs if v is not None})
        return [_as_value(result) for result in results]

    def _decomposed(self, node: OnnxNode) -> Sequence[Value | None]:
        """The outputs of a node by the standard's own definition of its operator in terms of others."""
        function = _standard_function(node, node.outputs)
        if function is None:
            raise UnsupportedNodeError(*_unknown(node.domain, node.op_type))
        outer, before = self._label, len(self.problems)
        self._label = outer or next(name for name in node.outputs if name)
        try:
            return self._call(function, node)
        finally:
            self._label = outer
            inside, self.problems[before:] = self.problems[before:], []
            if inside:
                reasons = "; ".join(sorted({f"{p.op_type}: {p.reason}" for p in inside}))
                raise UnsupportedNodeError(f"it is composed of operators of which some cannot be expressed: {reasons}")

    def run_graph(self, graph: GraphProto) -> list[Value]:
        """The outputs of a graph inside of a node, which sees the values around it."""
        if graph.input:
            raise DataError(f"the graph {graph.name!r} of a branch has inputs")
        scope = Scope(self.scope)
        for tensor in graph.initializer:
            scope.values[tensor.name] = Value(self.model.array(tensor))
        return self._run(scope, graph.node, [info.name for info in graph.output], self._bound)

    def _call(self, function: FunctionProto, node: OnnxNode) -> list[Value | None]:
        """The outputs of a function, whose body sees nothing but its inputs."""
        if len(node.inputs) > len(function.input):
            raise DataError(f"takes {len(function.input)} inputs, got {len(node.inputs)}")
        scope = Scope()
        for name, value in zip_longest(function.input, node.inputs):
            scope.values[name] = value if value is not None else _ABSENT
        bound = {**{a.name: a for a in function.attribute_proto}, **node.attributes}
        wanted = [name for name, given in zip(function.output, node.outputs, strict=False) if given]
        caller_versions, self._versions = self._versions, {**self._versions, **_versions(function.opset_import)}
        try:
            found = dict(zip(wanted, self._run(scope, function.node, wanted, bound), strict=True))
        finally:
            self._versions = caller_versions
        return [found.get(name) for name in function.output]

    def _run(
        self, scope: Scope, nodes: Sequence[NodeProto], wanted: Sequence[str], bound: Mapping[str, AttributeProto]
    ) -> list[Value]:
        """The values called `wanted` that `nodes` compute in a scope of their own."""
        self._nodes += len(nodes)
        if self._nodes > _MAX_NODES:
            raise DataError(f"the functions of the model spell out more than {_MAX_NODES} nodes")
        if self._depth == _MAX_DEPTH:
            raise DataError(f"graphs and functions are nested more than {_MAX_DEPTH} deep")
        outer, outer_bound = self.scope, self._bound
        self.scope, self._bound = scope, bound
        self._depth += 1
        try:
            for proto in _needed(_producers(nodes), wanted):
                self._import_node(proto)
            return [self._value(name) for name in wanted]
        finally:
            self._depth -= 1
            self.scope, self._bound = outer, outer_bound


def _versions(imported: Iterable[onnx.OperatorSetIdProto]) -> dict[str, int]:
    versions = {"" if entry.domain == "ai.onnx" else entry.domain: entry.version for entry in imported}
    if versions.get("", OLDEST_OPSET) < OLDEST_OPSET:
        raise OnnxNotSupportedError(
            [
                Problem(
                    "the model",
                    "opset",
                    f"is written in opset {versions['']}, the oldest that is read is {OLDEST_OPSET}",
                    f"onnx.version_converter.convert_version(model, {OLDEST_OPSET})",
                )
            ]
        )
    return {"": OLDEST_OPSET, **versions}


def _tensor_type(info: ValueInfoProto) -> TypeProto.Tensor:
    if not info.type.HasField("tensor_type"):
        kind = info.type.WhichOneof("value") or "nothing"
        raise OnnxNotSupportedError([Problem(_text(info.name), "input", f"is no tensor but {kind}", "")])
    return info.type.tensor_type


def _written(declared: Sequence[tuple[int, str]]) -> str:
    return "[" + ", ".join(str(size) if size > 0 else _text(symbol or "?") for size, symbol in declared) + "]"


def _text(name: object) -> str:
    """A name for a message; protobuf gives bytes where a file has a name that is no UTF-8."""
    return printable(name if isinstance(name, str) else repr(name))


def _label(proto: NodeProto) -> str:
    label: object = proto.name or next((name for name in proto.output if name), proto.op_type)
    return label if isinstance(label, str) else repr(label)


def _qualified(proto: NodeProto, domain: str) -> str:
    return _text(f"{domain}.{proto.op_type}" if domain else proto.op_type)


def _where(proto: NodeProto) -> str:
    return f"node {_text(_label(proto))} ({_text(proto.op_type)})"


def _unknown(domain: str, op_type: str) -> tuple[str, str]:
    if domain:
        return f"the importer knows no {op_type} of the domain {domain}", ""
    return f"WebNN has no {op_type}, and it cannot be composed of what it has", _NEAREST.get(op_type, "")


_NEAREST: Final[Mapping[str, str]] = {
    "Loop": "unroll it when exporting the model",
    "Scan": "unroll it when exporting the model, or use LSTM, GRU or RNN",
    "NonMaxSuppression": "take the boxes and scores as outputs=[...] and select outside of the graph",
    "TopK": "take its input as outputs=[...] and sort outside of the graph, or ArgMax for k = 1",
    "NonZero": "Where with a mask",
    "Unique": "",
    "Compress": "Where with a mask, or Gather with constant indices",
    "RandomNormal": "an input that is given random numbers",
    "RandomUniform": "an input that is given random numbers",
    "RandomNormalLike": "an input that is given random numbers",
    "RandomUniformLike": "an input that is given random numbers",
    "Multinomial": "take the logits as outputs=[...] and draw outside of the graph",
    "Bernoulli": "an input that is given random numbers, and Less",
    "StringNormalizer": "prepare text outside of the graph",
    "TfIdfVectorizer": "prepare text outside of the graph",
    "ImageDecoder": "decode images outside of the graph",
    "Conv3D": "",
}


def _producers(nodes: Iterable[NodeProto]) -> dict[str, NodeProto]:
    """Each value's node; a value has one."""
    producers: dict[str, NodeProto] = {}
    for node in nodes:
        for name in node.output:
            if name:
                if name in producers:
                    raise DataError(f"{_where(node)} and {_where(producers[name])} both compute {_text(name)}")
                producers[name] = node
    return producers


def _reads(node: NodeProto) -> Iterator[str]:
    """The names that a node reads, also inside of its graphs (and there also some that are not from outside)."""
    yield from (name for name in node.input if name)
    graphs = [(a.g, 0) for a in node.attribute if a.HasField("g")]
    while graphs:
        graph, depth = graphs.pop()
        if depth > _MAX_DEPTH:
            raise DataError(f"graphs are nested more than {_MAX_DEPTH} deep")
        yield from (info.name for info in graph.output)
        for inner in graph.node:
            yield from (name for name in inner.input if name)
            graphs += [(a.g, depth + 1) for a in inner.attribute if a.HasField("g")]


def _needed(producers: Mapping[str, NodeProto], wanted: Iterable[str]) -> list[NodeProto]:
    """The nodes behind `wanted`, each after those that it reads from."""
    order: list[NodeProto] = []
    done: dict[int, bool] = {}  # False: what the node reads is being looked at; met again like this, it is a cycle
    for name in wanted:
        stack = [producers[name]] if name in producers else []
        while stack:
            node = stack[-1]
            if done.get(id(node)):
                stack.pop()
                continue
            missing = [producers[read] for read in _reads(node) if read in producers]
            missing = [producer for producer in missing if not done.get(id(producer))]
            if not missing:
                stack.pop()
                done[id(node)] = True
                order.append(node)
            elif id(node) in done:
                raise DataError(f"{_where(node)} needs what is computed from its own output")
            else:
                done[id(node)] = False
                stack.extend(reversed(missing))
    return order


def _standard_function(node: OnnxNode, outputs: Sequence[str]) -> FunctionProto | None:
    """The standard's own decomposition of a node, for operators that the table does not have."""
    try:
        schema: Any = onnx.defs.get_schema(node.op_type, node.version, node.domain)
    except (onnx.defs.SchemaError, TypeError):  # the latter for versions beyond 32 bits
        return None
    plain, dependent = schema.function_opset_versions, schema.context_dependent_function_opset_versions
    if dependent:
        proto = onnx.helper.make_node(node.op_type, [f"i{i}" if v else "" for i, v in enumerate(node.inputs)], outputs)
        proto.attribute.extend(node.attributes.values())
        types = [_type_of(value).SerializeToString() for value in node.inputs]
        body = schema.get_context_dependent_function_with_opset_version(
            _nearest(dependent, node.version), proto.SerializeToString(), types
        )
    elif plain:
        body = schema.get_function_with_opset_version(_nearest(plain, node.version))
    else:
        return None
    function = FunctionProto()
    function.ParseFromString(body)
    for row in schema.attributes.values():
        if row.default_value.name:
            function.attribute_proto.append(row.default_value)
    return function


def _nearest(versions: Sequence[int], version: int) -> int:
    return max((v for v in versions if v <= version), default=min(versions))


def _type_of(value: Value | None) -> TypeProto:
    if value is None:
        return TypeProto()
    dtype = value.array.dtype if value.array is not None else numpy_dtype(value.data_type)
    return onnx.helper.make_tensor_type_proto(onnx.helper.np_dtype_to_tensor_dtype(dtype), value.shape)


def _as_value(result: object) -> Value | None:
    if result is None or isinstance(result, Value):
        return result
    return Value(operand=result) if isinstance(result, MLOperand) else Value(np.asarray(result))


def _put_label(label: str, results: Iterable[object], known: set[int]) -> None:
    """Put `label` on the operators that were added for one node: those behind its results without a label."""
    stack = [result for result in results if isinstance(result, MLOperand)]
    while stack:
        operand = stack.pop()
        if operand.node is not None and not operand.node.label and id(operand) not in known:
            operand.node.label = label
            stack.extend(operand.node.inputs())
