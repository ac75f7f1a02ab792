"""The graph as backends see it: immutable, without builder or context.

A `Node` is one operator with every option resolved (defaults filled in, sizes computed), so that a backend never
repeats what validation has worked out. A `Graph` holds the nodes that its outputs need, producers first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from hashlib import sha256
from types import MappingProxyType
from typing import Any, TypeAlias

from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.operand import MLOperand

__all__ = ["Attribute", "Graph", "Node"]

Attribute: TypeAlias = bool | int | float | str | tuple[int, ...] | tuple[str, ...] | None


class Node:
    """One operator of a graph.

    `operands` has the specification's parameter names in snake_case; an operand that was not given is not in it.
    `attributes` has every other parameter and option, resolved. Both are in the order of the method's signature.
    """

    __slots__ = ("attributes", "label", "op", "operands", "outputs")

    def __init__(
        self,
        op: str,
        operands: Mapping[str, MLOperand | tuple[MLOperand, ...]],
        attributes: Mapping[str, Attribute],
        label: str,
    ) -> None:
        self.op = op
        """The operator's method name, e.g. `conv2d`."""
        self.operands = MappingProxyType(dict(operands))
        self.attributes: Mapping[str, Any] = MappingProxyType(dict(attributes))
        """Typed for its readers: the operator's method has fixed what each value is."""
        self.label = label
        self.outputs: tuple[MLOperand, ...] = ()
        """Set once, by the builder, right after the node is made."""

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
        """Every operand it reads, in order."""
        for operand in self.operands.values():
            if isinstance(operand, MLOperand):
                yield operand
            else:
                yield from operand

    @property
    def output(self) -> MLOperand:
        """The first output, which is the only one of most operators."""
        return self.outputs[0]

    @property
    def where(self) -> str:
        """How messages name it: the label in brackets, if there is one, and the operator."""
        return f"[{self.label}] {self.op}" if self.label else self.op

    def __repr__(self) -> str:
        return f"<Node {self.where}>"


class Graph:
    """What a builder has built: the named outputs and all that they need, and nothing else.

    Attributes:
        inputs: the inputs that an output depends on, by name, in the order in which they were made.
        outputs: the outputs by name, in the order given to `build`.
        nodes: every node needed, each after those whose outputs it reads.
        constants: every constant needed, in the order in which the nodes first read them.
    """

    def __init__(self, inputs: Sequence[MLOperand], outputs: Mapping[str, MLOperand]) -> None:
        self.outputs: Mapping[str, MLOperand] = MappingProxyType(dict(outputs))
        self.nodes: tuple[Node, ...] = tuple(_needed(outputs.values()))
        read = {id(operand): operand for node in self.nodes for operand in node.inputs()}
        needed = [(operand.name, operand) for operand in inputs if operand.name is not None and id(operand) in read]
        self.inputs: Mapping[str, MLOperand] = MappingProxyType(dict(needed))
        repeated = [name for name, count in Counter(name for name, _ in needed).items() if count > 1]
        self.duplicate_input = repeated[0] if repeated else None
        """A name that two of the inputs have, if there is one; such a graph cannot be run."""
        self.constants: tuple[MLOperand, ...] = tuple(o for o in read.values() if o.constant is not None)

    @property
    def input_descriptors(self) -> Mapping[str, MLOperandDescriptor]:
        """Name to data type and shape, for what `dispatch` must be given."""
        return {name: operand.descriptor for name, operand in self.inputs.items()}

    @property
    def output_descriptors(self) -> Mapping[str, MLOperandDescriptor]:
        """Name to data type and shape, for what `dispatch` fills."""
        return {name: operand.descriptor for name, operand in self.outputs.items()}

    @property
    def constant_bytes(self) -> int:
        """The size of all constants together."""
        return sum(operand.descriptor.byte_length for operand in self.constants)

    @cached_property
    def structure_hash(self) -> str:
        """A digest of everything except labels and the constants' content: operators, options, names, shapes, types.

        It does not depend on the order in which operands were made, only on how they are connected.
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
        return digest.hexdigest()

    def __repr__(self) -> str:
        return f"<Graph {list(self.inputs)} -> {list(self.outputs)}, {len(self.nodes)} nodes>"


def _needed(outputs: Any) -> Iterator[Node]:
    """The nodes behind `outputs`, producers first; without recursion, since graphs can be thousands of nodes deep."""
    done: set[int] = set()
    for output in outputs:
        stack = [output.node] if output.node is not None else []
        while stack:
            node = stack[-1]
            if id(node) in done:
                stack.pop()
                continue
            missing = [o.node for o in node.inputs() if o.node is not None and id(o.node) not in done]
            if missing:
                stack.extend(reversed(missing))
            else:
                stack.pop()
                done.add(id(node))
                yield node
