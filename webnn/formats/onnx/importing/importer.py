"""The import of an ONNX graph into a builder, node by node.

A value of the ONNX graph is either known (a constant, a shape, or computed from these) or an operand. Nodes whose
inputs are all known are folded, within limits; the others are imported by the function in the table. Unsupported nodes
do not stop the walk: their outputs are marked as missing, and all of these nodes are reported at the end.

Nodes that no output needs are skipped. No function here recurses per node or value, since hostile models are deep;
subgraphs and functions recurse up to a limit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from itertools import zip_longest
from typing import Any, Final

import numpy as np

from webnn.backends.onnx.messages import AttributeProto, FunctionProto, GraphProto, NodeProto, OperatorSetIdProto
from webnn.errors import DataError, MLError, NotSupportedError, ValidationError
from webnn.forking import import_lock
from webnn.formats.onnx.file.reading import OLDEST_OPSET, Model
from webnn.formats.onnx.importing.budget import Budget
from webnn.formats.onnx.importing.computed import computed_from, remember
from webnn.formats.onnx.importing.data_types import held
from webnn.formats.onnx.importing.inputs import Inputs, warn_of_wrong_declaration
from webnn.formats.onnx.importing.node import OnnxNode
from webnn.formats.onnx.importing.operator_table import import_function_for
from webnn.formats.onnx.importing.ordering import MAX_DEPTH, needed_nodes, producers_of
from webnn.formats.onnx.importing.problems import (
    MOST_NAMES,
    OnnxNotSupportedError,
    Problem,
    UnsupportedNodeError,
    label_of,
    node_title,
    qualified_type,
    shown_name,
    unknown_operator,
)
from webnn.formats.onnx.importing.values import ABSENT, Scope, Value, as_value, literal
from webnn.graph.arguments import data_type_named
from webnn.graph.builder import MLGraphBuilder
from webnn.graph.dtypes import ALL, DataTypeLike
from webnn.graph.operand import MLOperand
from webnn.graph.operator import default_label

__all__ = ["Importer"]

_MAX_NODES: Final = 250_000
"""The most nodes of all calls and iterations: nested functions and loops ask for any number in a few bytes."""
_NOT_CONVERTED: Final = frozenset(["PRelu"])
"""Operators of which onnx.version_converter 1.23.2 raises the version and does not change the node, as it should."""
_FILL: Final = 16 << 20
"""Bytes up to which a repeated number becomes a whole constant; above, the graph expands it."""


class Importer:
    """One import of one model into one builder."""

    def __init__(
        self,
        model: Model,
        builder: MLGraphBuilder[Any],
        *,
        shapes: Mapping[str, int | Sequence[int]],
        dtypes: Mapping[str, DataTypeLike],
        constants: Mapping[str, Any],
        inputs: Mapping[str, MLOperand],
    ) -> None:
        _check_opset(model)
        self.model = model
        self.builder = builder
        self.budget = Budget()
        self.problems: list[Problem] = []
        self.scope = Scope()
        """The scope of the node that is being imported; another one inside subgraphs and functions."""
        self._cut_points: list[str] = []
        """The values that unsupported nodes would read, at which the model can be cut."""
        self._call_attributes: Mapping[str, AttributeProto] = {}
        """The attributes of the call whose function body is being imported."""
        self._graph = model.proto.graph
        self._dtypes = dtypes
        self._versions = _versions(model.proto.opset_import)
        self._functions = {(f.domain, f.name, f.overload): f for f in model.proto.functions}
        self._initializers = {tensor.name: tensor for tensor in self._graph.initializer}
        self._sparse = {tensor.values.name: tensor for tensor in self._graph.sparse_initializer}
        self._inputs = Inputs(
            self._graph,
            self,
            shapes=shapes,
            dtypes=dtypes,
            constants=constants,
            operands=inputs,
            defaults=self._initializers.keys() | self._sparse.keys(),
        )
        self._bodies: dict[int, tuple[GraphProto, list[NodeProto], dict[str, Value]]] = {}
        """For each subgraph that was run: its nodes in order, and its weights, so that they become constants once."""
        self._literals: dict[int, tuple[NodeProto, list[Value | None]]] = {}
        """The values of Constant nodes, which the body of a loop reaches many times."""
        self._computed = computed_from(model)
        given = {info.name for info in self._graph.input}
        self._fixed = {name for name in self._initializers if name not in given}
        """The values that depend on the weights alone, whatever the options of this import are."""
        self._depth = 0
        self._nodes = 0
        self._label: str | None = None
        """The label of the node whose decomposition is being imported."""

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
        producers = producers_of(self._graph.node)
        for name in wanted:
            if name not in producers and not self._is_given(name):
                has = ", ".join(shown_name(info.name) for info in self._graph.output)
                raise ValidationError(f"outputs: the model has no value {name!r}; its outputs are {has}")
        if self._computed:
            for name in list(producers):
                if (array := self._computed.get(name)) is not None:
                    del producers[name]
                    self.scope.values[name] = Value(array)
                    self._fixed.add(name)
        read = set(wanted)
        order = needed_nodes(producers, wanted, read)
        self.scope.values.update(self._inputs.values([info for info in self._graph.input if info.name in read]))
        for node in order:
            self._import_node(node)
        results = [self._output(name) for name in wanted]
        if None in results:
            reached = [name for name, operand in zip(wanted, results, strict=True) if operand is not None]
            before = [name for name in self._cut_points if name in producers]
            raise OnnxNotSupportedError(self.problems, list(dict.fromkeys([*before, *reached])))
        outputs = {name: operand for name, operand in zip(wanted, results, strict=True) if operand is not None}
        declared = {info.name: info for info in self._graph.output}
        for name, operand in outputs.items():
            if name in declared and name not in self._dtypes:
                warn_of_wrong_declaration(declared[name], operand)
        return outputs

    def _output(self, name: str) -> MLOperand | None:
        value = self._value(name)
        if value.missing:
            return None
        try:
            operand = self.operand_of(value)
            if name in self._dtypes:
                wanted = data_type_named(f"dtypes[{name!r}]", self._dtypes[name], ALL)
                if name not in self._inputs.names and wanted != operand.data_type:
                    operand = self.builder.cast(operand, wanted)
            if operand.node is None or operand.data_type in ("int4", "uint4"):
                operand = self.builder.identity(operand, label=name)
        except (UnsupportedNodeError, MLError) as error:
            nearest = error.nearest if isinstance(error, UnsupportedNodeError) else ""
            self.problems.append(Problem(shown_name(name), "output", str(error), nearest))
            return None
        return operand

    def _is_given(self, name: str) -> bool:
        return name in self._initializers or name in self._sparse or name in self._inputs.names

    # Values.

    def _value(self, name: str) -> Value:
        scope = self.scope.holding(name)
        if scope is not None:
            if name in scope.unsupported:
                self.problems.append(scope.unsupported.pop(name))
            return scope.values[name]
        if name in self._initializers:
            value = Value(self.model.array(self._initializers[name]))
        elif name in self._sparse:
            value = Value(self.model.dense(self._sparse[name]))
        else:
            raise DataError(f"no node computes {name!r}")
        outermost = self.scope
        while outermost.outer is not None:
            outermost = outermost.outer
        outermost.values[name] = value
        return value

    def _read(self, name: str) -> Value | None:
        """The value of a node's input, or None if the input is omitted."""
        if not name:
            return None
        # Most names are in this scope.
        value = (None if self.scope.unsupported else self.scope.values.get(name)) or self._value(name)
        return None if value is ABSENT else value

    def operand_of(self, value: Value) -> MLOperand:
        """`value` as an operand; a known one becomes a constant, once."""
        if value.operand is None:
            if value.items is not None:
                raise UnsupportedNodeError(
                    f"it is a sequence of {len(value.items)} tensors, which no WebNN operand can be",
                    f"its tensors{self._names_of(value.items)}, or the sequence joined by ConcatFromSequence",
                )
            if value.array is None:
                raise UnsupportedNodeError("it is an optional without a value, which no WebNN operand can be")
            value.operand = self._constant(value.array)
        return value.operand

    def _names_of(self, items: Sequence[Value]) -> str:
        """The tensors of a sequence as an `outputs` argument, if they have names."""
        names = {id(value): name for name, value in self.scope.values.items()}
        found = [names.get(id(item)) for item in items[:MOST_NAMES]]
        return f": outputs={found}" if found and None not in found else ""

    def _constant(self, array: np.ndarray[Any, Any]) -> MLOperand:
        if array.size == 0:
            raise UnsupportedNodeError(
                f"a value of shape {list(array.shape)} has no elements, which no WebNN operand can be"
            )
        repeated = [size > 1 and stride == 0 for size, stride in zip(array.shape, array.strides, strict=True)]
        if True in repeated and (array.nbytes > _FILL or not self.budget.take(array.nbytes)):
            once = array[tuple(slice(0, 1) if again else slice(None) for again in repeated)]
            return self.builder.expand(self.builder.constant(held(once)), array.shape)
        return self.builder.constant(held(array))

    # Nodes.

    def _import_node(self, proto: NodeProto) -> None:
        """Compute or mark as missing the outputs of a node."""
        is_literal = proto.op_type == "Constant" and not self._depth and not self._functions
        if is_literal and (value := literal(self.model, proto)) is not None:
            self.scope.values[proto.output[0]] = value
            self._fixed.add(proto.output[0])
            return
        domain = "" if proto.domain == "ai.onnx" else proto.domain
        inputs = [self._read(name) for name in proto.input]
        outputs = list(proto.output)
        results: Sequence[Value | None] | None = None
        if True in [value.missing for value in inputs if value is not None]:
            if not self._is_importable(proto, domain):
                self._report(proto, domain, UnsupportedNodeError(*unknown_operator(domain, proto.op_type)))
        else:
            node = OnnxNode(
                self,
                op_type=proto.op_type,
                domain=domain,
                version=self._version(domain, proto.op_type),
                inputs=inputs,
                attributes=self._attributes(proto),
                outputs=outputs,
            )
            try:
                results = self._results(node, proto)
            except (UnsupportedNodeError, NotSupportedError, ValidationError) as error:
                results = self._without_elements(node)
                if results is None:
                    self._report(proto, domain, error)
            except DataError as error:
                raise DataError(f"{node_title(proto)}: {error}") from None
            except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
                # Numbers of invalid models. Checks for each kind of these would make the operators hard to read.
                raise DataError(f"{node_title(proto)} is invalid: {error}") from error
        if results is None and not self._depth:
            self._cut_points += [
                name
                for name, value in zip(proto.input, inputs, strict=True)
                if value is not None and not value.missing and value.operand is not None and value.array is None
            ]
        for i, name in enumerate(outputs):
            if name:
                result = results[i] if results is not None and i < len(results) else None
                self.scope.values[name] = result if result is not None else Value(missing=True)
                why = result.why if result is not None else None
                if results is not None and (result is None or why is not None):
                    reason = f"its output {i} ({shown_name(name)}) is used, and WebNN cannot compute it"
                    reason, nearest = (f"{reason}: {why.reason}", why.nearest) if why is not None else (reason, "")
                    self.scope.unsupported[name] = Problem(
                        shown_name(label_of(proto)), qualified_type(proto, domain), reason, nearest
                    )

    def _attributes(self, proto: NodeProto) -> dict[str, AttributeProto]:
        """The attributes of a node; inside a function, some refer to attributes of the call, which may be absent."""
        attributes = {}
        for attribute in proto.attribute:
            if not attribute.ref_attr_name:
                attributes[attribute.name] = attribute
            elif attribute.ref_attr_name in self._call_attributes:
                found = AttributeProto()
                found.CopyFrom(self._call_attributes[attribute.ref_attr_name])
                found.name = attribute.name
                attributes[attribute.name] = found
        return attributes

    def _version(self, domain: str, op_type: str) -> int:
        if self.model.converted_from is not None and domain == "" and op_type in _NOT_CONVERTED:
            return self.model.converted_from
        return self._versions.get(domain, 1)

    def _is_importable(self, proto: NodeProto, domain: str) -> bool:
        version = self._versions.get(domain, 1)
        if import_function_for(domain, proto.op_type, version) is not None:
            return True
        if (domain, proto.op_type, proto.overload) in self._functions:
            return True
        with import_lock:  # here, since most models have no such node
            from webnn.formats.onnx.importing.standard_functions import has_standard_function  # noqa: PLC0415

        return has_standard_function(domain, proto.op_type, version)

    def _report(self, proto: NodeProto, domain: str, error: Exception) -> None:
        if isinstance(error, OnnxNotSupportedError):
            self.problems += error.problems
            return
        nearest, inputs = (error.nearest, error.inputs) if isinstance(error, UnsupportedNodeError) else ("", ())
        problem = Problem(shown_name(label_of(proto)), qualified_type(proto, domain), str(error), nearest, inputs)
        self.problems.append(problem)

    def _results(self, node: OnnxNode, proto: NodeProto) -> Sequence[Value | None]:
        function = self._functions.get((node.domain, proto.op_type, proto.overload))
        if function is not None:  # a function of the model takes precedence over an operator of the same name
            return self._call(function, node)
        if id(proto) in self._literals:
            return self._literals[id(proto)][1]
        if node.inputs and False not in [value is None or value.array is not None for value in node.inputs]:
            folded = _folding()(node)
            if folded is not None:
                self._note_fixed(proto, folded)
                return [Value(array) for array in folded]
        import_function = import_function_for(node.domain, node.op_type, node.version)
        if import_function is None:
            return self._decomposed(node)
        with default_label(self.builder, self._label or label_of(proto)):
            imported = import_function(node)
            results = list(imported) if isinstance(imported, list | tuple) else [imported]
            values = [as_value(result) for result in results]
            if any(value is not None and value.narrow for value in node.inputs):
                with import_lock:  # here, since most models have no such types
                    from webnn.formats.onnx.importing.bfloat16 import rounded_outputs  # noqa: PLC0415
                    from webnn.formats.onnx.importing.narrow_integers import wrapped_outputs  # noqa: PLC0415

                values = wrapped_outputs(node, rounded_outputs(node, values))
        if node.op_type != "Constant":
            self.budget.spend(sum(r.nbytes for r in results if isinstance(r, np.ndarray) and r.base is None))
        elif not self._depth:
            self._fixed.update(proto.output)
        if node.op_type == "Constant" and self._depth and not any(a.ref_attr_name for a in proto.attribute):
            self._literals[id(proto)] = proto, values
        return values

    def _without_elements(self, node: OnnxNode) -> Sequence[Value] | None:
        """The outputs of a node that cannot be expressed, if its inputs leave them without elements."""
        with import_lock:  # here, since most models have no such node
            from webnn.formats.onnx.importing.empty_results import empty_results  # noqa: PLC0415

        found = empty_results(node)
        return None if found is None else [Value(array) for array in found]

    def _note_fixed(self, proto: NodeProto, arrays: Sequence[np.ndarray[Any, Any]]) -> None:
        """Keep the results of a node for other imports of the file if they depend on its weights alone."""
        if self._computed is not None and not self._depth and self._fixed.issuperset(filter(None, proto.input)):
            for name, array in zip(proto.output, arrays, strict=False):
                self._fixed.add(name)
                remember(self._computed, name, array)

    def _decomposed(self, node: OnnxNode) -> Sequence[Value | None]:
        """The outputs of a node by the standard's definition of its operator as a function of others."""
        with import_lock:  # here, since most models have no such node
            from webnn.formats.onnx.importing.standard_functions import standard_function  # noqa: PLC0415

        function = standard_function(node)
        if function is None:
            raise UnsupportedNodeError(*unknown_operator(node.domain, node.op_type))
        outer, before = self._label, len(self.problems)
        self._label = outer or next(name for name in node.outputs if name)
        try:
            return self._call(function, node)
        finally:
            self._label = outer
            inside, self.problems[before:] = self.problems[before:], []
            if inside:
                reasons = "; ".join(sorted({f"{p.op_type}: {p.reason}" for p in inside}))
                raise UnsupportedNodeError(
                    f"it is composed of other operators, some of which are not supported: {reasons}",
                    "; ".join(dict.fromkeys(problem.nearest for problem in inside if problem.nearest)),
                    inputs=list(dict.fromkeys(name for problem in inside for name in problem.inputs)),
                )

    def run_graph(self, graph: GraphProto, inputs: Sequence[Value] = ()) -> list[Value]:
        """The outputs for these inputs of a subgraph, which sees the values around its node."""
        if len(graph.input) != len(inputs):
            raise DataError(f"the graph {shown_name(graph.name)} takes {len(graph.input)} inputs, got {len(inputs)}")
        wanted = [info.name for info in graph.output]
        if id(graph) not in self._bodies:
            weights = {tensor.name: Value(self.model.array(tensor)) for tensor in graph.initializer}
            weights.update((tensor.values.name, Value(self.model.dense(tensor))) for tensor in graph.sparse_initializer)
            self._bodies[id(graph)] = graph, needed_nodes(producers_of(graph.node), wanted), weights
        _, order, weights = self._bodies[id(graph)]
        scope = Scope(self.scope)
        scope.values.update(weights)
        scope.values.update((info.name, value) for info, value in zip(graph.input, inputs, strict=True))
        return self._run(scope, order, wanted, self._call_attributes)

    def tried_graph(self, graph: GraphProto, inputs: Sequence[Value]) -> list[Value] | None:
        """`run_graph` for the shapes and types of its outputs only: None, and no problem, if that is impossible."""
        problems, scopes = len(self.problems), []
        scope: Scope | None = self.scope
        while scope is not None:
            scopes.append((scope, dict(scope.unsupported)))
            scope = scope.outer
        try:
            return self.run_graph(graph, inputs)
        except MLError:
            return None
        finally:
            del self.problems[problems:]
            for scope, unsupported in scopes:
                scope.unsupported = unsupported

    def _call(self, function: FunctionProto, node: OnnxNode) -> list[Value | None]:
        """The outputs of a function, whose body sees its inputs only."""
        if len(node.inputs) > len(function.input):
            raise DataError(f"expected at most {len(function.input)} inputs, got {len(node.inputs)}")
        scope = Scope()
        for name, value in zip_longest(function.input, node.inputs):
            scope.values[name] = value if value is not None else ABSENT
        bound = {**{a.name: a for a in function.attribute_proto}, **node.attributes}
        wanted = [name for name, given in zip(function.output, node.outputs, strict=False) if given]
        caller_versions, self._versions = self._versions, {**self._versions, **_versions(function.opset_import)}
        try:
            order = needed_nodes(producers_of(function.node), wanted)
            found = dict(zip(wanted, self._run(scope, order, wanted, bound), strict=True))
        finally:
            self._versions = caller_versions
        return [found.get(name) for name in function.output]

    def _run(
        self, scope: Scope, order: Sequence[NodeProto], wanted: Sequence[str], bound: Mapping[str, AttributeProto]
    ) -> list[Value]:
        """The values called `wanted`, computed by the nodes in `order` in a scope of their own."""
        self._nodes += len(order)
        if self._nodes > _MAX_NODES:
            raise DataError(f"the functions and loops of the model expand to more than {_MAX_NODES} nodes")
        if self._depth == MAX_DEPTH:
            raise DataError(f"graphs and functions are nested more than {MAX_DEPTH} deep")
        outer, outer_bound = self.scope, self._call_attributes
        self.scope, self._call_attributes = scope, bound
        self._depth += 1
        try:
            for proto in order:
                self._import_node(proto)
            return [self._value(name) for name in wanted]
        finally:
            self._depth -= 1
            self.scope, self._call_attributes = outer, outer_bound


@cache
def _folding() -> Callable[[OnnxNode], list[np.ndarray[Any, Any]] | None]:
    with import_lock:  # here, since many models have no such node
        from webnn.formats.onnx.importing.constant_folding import fold  # noqa: PLC0415

    return fold


def _versions(imported: Iterable[OperatorSetIdProto]) -> dict[str, int]:
    versions = {"" if entry.domain == "ai.onnx" else entry.domain: entry.version for entry in imported}
    return {"": OLDEST_OPSET, **versions}


def _check_opset(model: Model) -> None:
    """Raise an error for a model in an old opset that could not be converted."""
    if model.too_old:
        reason = (
            f"is written in opset {_versions(model.proto.opset_import)['']}, and onnx.version_converter cannot bring it"
            f" to opset {OLDEST_OPSET}: {model.too_old}"
        )
        nearest = f"the model exported again, in opset {OLDEST_OPSET} or newer"
        raise OnnxNotSupportedError([Problem("the model", "opset", reason, nearest)])
