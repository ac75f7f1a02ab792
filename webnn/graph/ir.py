"""The graph as backends see it: immutable, without a builder or a context.

A `Node` is one operator with every option resolved: defaults are filled in and sizes are computed, so that backends
do not repeat the work of validation. A `Graph` holds the nodes that its outputs need, producers first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import Any, TypeAlias

from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.frozen import setters
from webnn.graph.lean_imports import sha256
from webnn.graph.operand import MLOperand
from webnn.graph.quick_dataclass import dataclass

__all__ = ["Attribute", "Graph", "Node", "Operands", "inputs_of"]

Attribute: TypeAlias = bool | int | float | str | tuple[int, ...] | tuple[float, ...] | tuple[str, ...] | None
Operands: TypeAlias = MLOperand | tuple[MLOperand, ...]
"""One parameter of an operator: an operand, or a list of them, such as the `inputs` of `concat`."""


@dataclass(frozen=True, slots=True, eq=False, init=False, repr=False)
class Node:
    """One operator of a graph. It never changes; `replace` makes another one.

    Args:
        op: the operator's method name, e.g. `conv2d`.
        operands: by the specification's parameter names in snake_case, without those that were not given, in the
            order of the method's signature.
        attributes: every other parameter and option, resolved, in the order of the method's signature.
        label: shown in messages; may be empty.
        outputs: the data type and shape of each output. The node makes the operands.
        owner: the token of the builder that the outputs belong to.
    """

    op: str
    operands: Mapping[str, Operands]
    attributes: Mapping[str, Any]
    """Typed for its readers: the operator's method has fixed the type of each value."""
    label: str
    outputs: tuple[MLOperand, ...]
    _read: tuple[MLOperand, ...]

    def __init__(
        self,
        op: str,
        operands: Mapping[str, Operands],
        attributes: Mapping[str, Attribute],
        label: str,
        *,
        outputs: Iterable[MLOperandDescriptor],
        owner: object,
    ) -> None:
        _set_op(self, op)
        _set_operands(self, MappingProxyType(dict(operands)))
        # What a node has kept, nothing can change: `replace` passes it on.
        is_kept = isinstance(attributes, MappingProxyType)
        _set_attributes(self, attributes if is_kept else MappingProxyType(dict(attributes)))
        _set_label(self, label)
        read: list[MLOperand] = []
        for operand in operands.values():
            if isinstance(operand, MLOperand):
                read.append(operand)
            else:
                read += operand
        _set_read(self, tuple(read))
        _set_outputs(self, tuple([MLOperand(owner, descriptor, node=self) for descriptor in outputs]))

    def replace(
        self,
        *,
        op: str | None = None,
        operands: Mapping[str, Operands] | None = None,
        attributes: Mapping[str, Attribute] | None = None,
        label: str | None = None,
        outputs: Iterable[MLOperandDescriptor] | None = None,
    ) -> Node:
        """A new node like this one in everything that is not given, with outputs of its own.

        Example:
            >>> from webnn.graph.descriptor import MLOperandDescriptor
            >>> x, y = (MLOperand(None, MLOperandDescriptor("float32", [2]), name=name) for name in "xy")
            >>> node = Node("pow", {"a": x, "b": y}, {}, "", outputs=[x.descriptor], owner=None)
            >>> squared = node.replace(operands={**node.operands, "b": x})
            >>> squared["b"] is x, squared.output is node.output
            (True, False)
        """
        return Node(
            self.op if op is None else op,
            self.operands if operands is None else operands,
            self.attributes if attributes is None else attributes,
            self.label if label is None else label,
            outputs=[output.descriptor for output in self.outputs] if outputs is None else outputs,
            owner=self.outputs[0].owner,
        )

    def __getitem__(self, name: str) -> MLOperand:
        """The single operand called `name`."""
        operand = self.operands[name]
        assert isinstance(operand, MLOperand)
        return operand

    def get(self, name: str) -> MLOperand | None:
        """The single operand called `name`, or None if it was not given."""
        return self[name] if name in self.operands else None

    def many(self, name: str) -> tuple[MLOperand, ...]:
        """The operands of a list parameter, e.g. the `inputs` of `concat`."""
        operands = self.operands[name]
        assert isinstance(operands, tuple)
        return operands

    def inputs(self) -> Iterator[MLOperand]:
        """Every operand that the node reads, in order."""
        return iter(self._read)

    @property
    def output(self) -> MLOperand:
        """The first output. Most operators have only one."""
        return self.outputs[0]

    @property
    def where(self) -> str:
        """The node's name in messages: the label in brackets, if there is one, and the operator."""
        return f"[{self.label}] {self.op}" if self.label else self.op

    def __repr__(self) -> str:
        return f"<Node {self.where}>"


_set_op, _set_operands, _set_attributes, _set_label, _set_outputs, _set_read = setters(Node)


@dataclass(frozen=True, eq=False, init=False, repr=False)
class Graph:
    """The named outputs and everything that they need. It never changes; a pass makes another one.

    Args:
        inputs: the inputs that the outputs may depend on, in the order of the graph's `inputs`.
        outputs: by name.
        open_dimensions: for inputs of a file that may have other sizes, the name of each dimension: "" for an open one
            without a name, None for a fixed one.
        declared: the names of all inputs of the file that the graph is read from.

    Attributes:
        inputs: the inputs that an output depends on, by name, in the order in which they were made.
        outputs: the outputs by name, in the order given to `build`.
        nodes: every node needed, each after those whose outputs it reads.
        constants: every constant needed, in the order in which the nodes first read them.
        duplicate_input: a name that two of the inputs share, or None. A graph with such a name cannot be run.
    """

    inputs: Mapping[str, MLOperand]
    outputs: Mapping[str, MLOperand]
    nodes: tuple[Node, ...]
    constants: tuple[MLOperand, ...]
    duplicate_input: str | None
    open_dimensions: Mapping[str, Sequence[str | None]]
    """What backends may use to serve other sizes, too; the graph itself has the sizes of its descriptors."""
    unread_inputs: frozenset[str]
    """Names of inputs of the file that no output depends on. Programs written for the file give them, too."""

    def __init__(
        self,
        inputs: Iterable[MLOperand],
        outputs: Mapping[str, MLOperand],
        open_dimensions: Mapping[str, Sequence[str | None]] = MappingProxyType({}),
        declared: Iterable[str] = (),
    ) -> None:
        nodes = tuple(_needed(outputs.values()))
        read = {id(operand): operand for node in nodes for operand in node._read}
        needed = [(operand.name, operand) for operand in inputs if operand.name is not None and id(operand) in read]
        repeated = [name for name, count in Counter(name for name, _ in needed).items() if count > 1]
        constants = tuple([operand for operand in read.values() if operand.constant is not None])
        object.__setattr__(self, "inputs", MappingProxyType(dict(needed)))
        object.__setattr__(self, "outputs", MappingProxyType(dict(outputs)))
        object.__setattr__(self, "nodes", nodes)
        object.__setattr__(self, "constants", constants)
        object.__setattr__(self, "open_dimensions", MappingProxyType(dict(open_dimensions)))
        object.__setattr__(self, "unread_inputs", frozenset(declared).difference(self.inputs))
        object.__setattr__(self, "duplicate_input", repeated[0] if repeated else None)

    @property
    def input_descriptors(self) -> Mapping[str, MLOperandDescriptor]:
        """The data type and shape of each tensor that `dispatch` reads, by name."""
        return {name: operand.descriptor for name, operand in self.inputs.items()}

    @property
    def output_descriptors(self) -> Mapping[str, MLOperandDescriptor]:
        """The data type and shape of each tensor that `dispatch` writes, by name."""
        return {name: operand.descriptor for name, operand in self.outputs.items()}

    @cached_property
    def constant_bytes(self) -> int:
        """The size of all constants together."""
        return sum([operand.descriptor.byte_length for operand in self.constants])

    @cached_property
    def structure_hash(self) -> str:
        """A digest of operators, options, names, shapes and data types, without labels and the content of constants.

        It depends on how operands are connected, and not on the order in which they were made.
        """
        digest = sha256()
        number: dict[int, int] = {}

        def refer(operand: MLOperand) -> str:
            if id(operand) not in number:  # an input or a constant; a node's outputs are numbered before they are read
                number[id(operand)] = len(number)
                kind = f"input {operand.name!r}" if operand.name is not None else "constant"
                digest.update(f"{number[id(operand)]} = {kind} {operand.descriptor.key}\n".encode())
            return str(number[id(operand)])

        for node in self.nodes:
            operands = {
                name: refer(o) if isinstance(o, MLOperand) else [refer(i) for i in o]
                for name, o in node.operands.items()
            }
            for output in node.outputs:
                number[id(output)] = len(number)
            results = [(number[id(output)], output.descriptor.key) for output in node.outputs]
            digest.update(f"{results} = {node.op} {operands} {dict(node.attributes)}\n".encode())
        named_outputs = [(name, number[id(operand)]) for name, operand in self.outputs.items()]
        digest.update(f"{list(self.inputs)} {named_outputs}".encode())
        hexadecimal: str = digest.hexdigest()
        return hexadecimal

    def __repr__(self) -> str:
        return f"<Graph {list(self.inputs)} -> {list(self.outputs)}, {len(self.nodes)} nodes>"


def _needed(outputs: Iterable[MLOperand]) -> Iterator[Node]:
    """The nodes that `outputs` depend on, producers first. Graphs can be too deep for recursion."""
    done: set[int] = set()
    for output in outputs:
        stack = [output.node] if output.node is not None else []
        while stack:
            node = stack[-1]
            if id(node) in done:
                stack.pop()
                continue
            missing = [o.node for o in node._read if o.node is not None and id(o.node) not in done]
            if missing:
                stack.extend(reversed(missing))
            else:
                stack.pop()
                done.add(id(node))
                yield node


def inputs_of(operand: MLOperand) -> list[str]:
    """The names of the inputs that `operand` is computed from; of an input, its own."""
    found: dict[str, None] = {}
    seen, waiting = {id(operand)}, [operand]
    while waiting:
        each = waiting.pop()
        if each.name is not None:
            found[each.name] = None
        for source in () if each.node is None else each.node.inputs():
            if id(source) not in seen:
                seen.add(id(source))
                waiting.append(source)
    return list(found)
