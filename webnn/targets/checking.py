"""A graph held against a target: everything that the target would refuse, and what it would compute differently."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from webnn.errors import ValidationError
from webnn.graph.arguments import described
from webnn.graph.composites.composite import expanded
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.dtypes import DATA_TYPES, DataType
from webnn.graph.ir import Graph, Node
from webnn.graph.limits import Limits
from webnn.graph.operand import MLOperand
from webnn.runtime.graph import MLGraph
from webnn.runtime.parts import operators_of
from webnn.targets.notes import NOTES
from webnn.targets.rules import RULES
from webnn.targets.target import Target, target_named

__all__ = [
    "Note",
    "Problem",
    "Verdict",
    "check",
    "graph_of",
    "named_operands",
    "named_outputs",
    "node_notes",
    "node_problems",
    "notes",
    "problems",
]


@dataclass(frozen=True, slots=True)
class Problem:
    """One reason why a target would not build a graph.

    Attributes:
        node: the operator's place in the graph's order; None if it is about an input, a constant or an output.
        label: the operator's label; the name of the input or output; may be empty.
        operator: the operator's method name; `"input"` or `"output"` for those of the graph.
        operand: which operand of the operator, in Python's spelling; empty if it is about the operator itself.
        kind: `"operator"` (the target has none), `"type"`, `"rank"`, `"size"`, or `"rule"` (refused though the limits
            allow it).
        given: the property of the graph: "is float16".
        allowed: the limit of the target: "takes float32".
        proposal: the nearest form that the target takes; may be empty.
        rule: the name of the rule, if it is one.
        answer: the browser's own error, as it was recorded; empty if it follows from the limits.
    """

    node: int | None
    label: str
    operator: str
    operand: str
    kind: str
    given: str
    allowed: str
    proposal: str
    rule: str = ""
    answer: str = ""

    @property
    def where(self) -> str:
        """The operator, with its label or else its place; or the input or output."""
        return _where(self.node, self.label, self.operator)

    @property
    def reason(self) -> str:
        """The property of the graph and the limit of the target, in one line."""
        return f"{self.operand + ' ' if self.operand else ''}{self.given}; the target {self.allowed}"

    def message(self, target: str) -> str:
        """The whole in one line, for a target of that name."""
        subject = f"{self.where}: {self.operand}" if self.operand else self.where
        return f"{subject} {self.given}; {target} {self.allowed}"


@dataclass(frozen=True, slots=True)
class Note:
    """An operator that a target builds, and may compute differently.

    Attributes:
        node: the operator's place in the graph's order.
        label: the operator's label; may be empty.
        operator: the operator's method name.
        given: the property of the graph: "has 3 scales".
        difference: how the target's results differ: "rounds halves away from zero, ...".
        proposal: the nearest form whose results do not differ.
        name: the name of the note, as targets list it.
    """

    node: int
    label: str
    operator: str
    given: str
    difference: str
    proposal: str
    name: str

    @property
    def where(self) -> str:
        """The operator, with its label or else its place."""
        return _where(self.node, self.label, self.operator)

    def message(self, target: str) -> str:
        """The whole in one line, for a target of that name."""
        return f"{self.where} {self.given}; {target} {self.difference}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer of `check`. Its `str` is meant to be read.

    Attributes:
        target: the target's name.
        description: the target in words.
        nodes: how many operators the graph has.
        problems: the reasons against building it, in the graph's order; none if it builds.
        notes: the operators that it would compute differently.
    """

    target: str
    description: str
    nodes: int
    problems: tuple[Problem, ...]
    notes: tuple[Note, ...]

    @property
    def builds(self) -> bool:
        """Whether the target builds the graph."""
        return not self.problems

    @property
    def nodes_refused(self) -> int:
        """How many operators have a problem."""
        return len({problem.node for problem in self.problems if problem.node is not None})

    def __str__(self) -> str:
        outcome = "builds" if self.builds else f"is refused, {self.nodes_refused} of {self.nodes} operators"
        lines = [f"{self.target}: {outcome}", *(problem.message(self.target) for problem in self.problems)]
        return "\n".join([*lines, *(f"note: {note.message(self.target)}" for note in self.notes)])


def check(graph: MLGraph | Graph, target: str | Target) -> Verdict:
    """Whether a target would build `graph`, and every reason against it.

    Nothing is run. The rules of a recorded browser, beyond its limits, were tried out in that browser.

    Args:
        graph: a graph of any context.
        target: a recorded browser by the beginning of its name, such as `"chromium-153"`; a backend of this machine; or
            the path of a JSON file with a browser's `opSupportLimits()`.

    Raises:
        NotSupportedError: no target has that name, or several have.
        DataError: the file does not hold limits.
        OSError: it cannot be read.

    Example:
        >>> import webnn
        >>> with webnn.create_context() as context:
        ...     builder = context.create_graph_builder()
        ...     x = builder.input("x", [2, 3], "float32")
        ...     graph = builder.build({"y": builder.pad(x, [0, 1], [0, 1], mode="edge", label="border")})
        ...     verdict = webnn.check(graph, "chromium-153")
        >>> verdict.builds
        False
        >>> (problem,) = verdict.problems
        >>> print(problem.message(verdict.target))
        [border] pad has the mode "edge"; chromium-153-linux-litert takes "constant" and "reflection"
    """
    held = target_named(target)
    bare = graph_of(graph)
    return Verdict(held.name, held.description, len(bare.nodes), tuple(problems(bare, held)), tuple(notes(bare, held)))


def graph_of(graph: MLGraph | Graph) -> Graph:
    """The operators of `graph`, with composites in the form in which they are saved."""
    if isinstance(graph, MLGraph):
        graph = operators_of(graph)
    if not isinstance(graph, Graph):
        raise ValidationError(f"graph: an MLGraph is expected, got {described(graph)}")
    return expanded(graph)


def _where(node: int | None, label: str, operator: str) -> str:
    if node is None:
        return f"{operator} {label!r}"
    return f"[{label}] {operator}" if label else f"{operator} (node {node})"


def problems(graph: Graph, target: Target) -> Iterator[Problem]:
    """Every reason why `target` would not build `graph` as it is; none if it would."""
    for name, operand in graph.inputs.items():
        place = Problem(None, name, "input", "", "", "", "", "")
        yield from _exceeded(target, "input", operand.descriptor, place)
    seen: set[int] = set()
    for index, node in enumerate(graph.nodes):
        yield from node_problems(node, target, index, seen)
    for name, operand in graph.outputs.items():
        place = Problem(None, name, "output", "", "", "", "", "")
        yield from _exceeded(target, "output", operand.descriptor, place)


def node_problems(node: Node, target: Target, index: int = 0, seen: set[int] | None = None) -> Iterator[Problem]:
    """The problems of one node at `index`, but those of its constants that are in `seen`, which are put there."""
    place = Problem(index, node.label, node.op, "", "", "", "", "")
    seen = set() if seen is None else seen
    for name, operand in named_operands(node):
        if operand.constant is not None and id(operand) not in seen:
            seen.add(id(operand))
            constant = replace(place, operand=f"constant {name}")
            yield from _exceeded(target, "constant", operand.descriptor, constant)
    rows = target.limits.get(node.op)
    if rows is None:
        others = f"has {len(target.limits)} other operators"
        yield replace(place, kind="operator", given="is missing", allowed=others)
        return
    for name, operand in [*named_operands(node), *named_outputs(node)]:
        row = rows.get(name) or rows.get(name.partition("[")[0])
        if row is not None:
            yield from _outside(row, operand.descriptor, replace(place, operand=name))
    for name, answer in target.rules.items():
        rule = RULES[name]
        given = rule.breach(node) if node.op in rule.operators else None
        if given is not None:
            found = replace(place, kind="rule", given=given, allowed=rule.allowed)
            yield replace(found, proposal=rule.proposal, rule=rule.name, answer=answer)


def notes(graph: Graph, target: Target) -> Iterator[Note]:
    """The operators of `graph` that `target` builds, and may compute differently."""
    for index, node in enumerate(graph.nodes):
        yield from node_notes(node, target, index)


def node_notes(node: Node, target: Target, index: int = 0) -> Iterator[Note]:
    """The notes about one node at `index`."""
    for name in target.notes:
        note = NOTES[name]
        given = note.touches(node) if node.op in note.operators else None
        if given is not None:
            yield Note(index, node.label, node.op, given, note.difference, note.proposal, note.name)


def named_operands(node: Node) -> Iterator[tuple[str, MLOperand]]:
    """The operands by the names that problems have for them."""
    for name, operands in node.operands.items():
        if isinstance(operands, MLOperand):
            yield name, operands
        else:
            yield from ((f"{name}[{i}]", operand) for i, operand in enumerate(operands))


def named_outputs(node: Node) -> Iterator[tuple[str, MLOperand]]:
    """The outputs under every name that limits may have for them; a table has but one of these."""
    for i, output in enumerate(node.outputs):
        yield "output", output
        yield f"output{i}", output
        yield f"outputs[{i}]", output


def _exceeded(target: Target, member: str, descriptor: MLOperandDescriptor, place: Problem) -> Iterator[Problem]:
    """The problems with an input, a constant or an output of the graph."""
    yield from _outside(target.members[member], descriptor, place)
    if descriptor.byte_length > target.largest:
        yield replace(
            place,
            kind="size",
            given=f"has {descriptor.byte_length} bytes",
            allowed=f"takes up to {target.largest}",
            proposal="divide it into parts, and concatenate their results",
        )


def _outside(row: Limits, descriptor: MLOperandDescriptor, place: Problem) -> Iterator[Problem]:
    """The problems of a descriptor with a row of the limits."""
    if descriptor.data_type not in row.allowed:
        nearest = nearest_type(descriptor.data_type, row.allowed)
        yield replace(
            place,
            kind="type",
            given=f"is {descriptor.data_type}",
            allowed=f"takes {' or '.join(row.allowed) or 'nothing'}",
            proposal=f"cast to {nearest}, and back after it" if nearest else "",
        )
    low, high = row.ranks
    if not low <= descriptor.rank <= high:
        yield replace(
            place,
            kind="rank",
            given=f"{list(descriptor.shape)} has rank {descriptor.rank}",
            allowed=f"takes rank {low}" + (f" to {high}" if high != low else ""),
            proposal=f"reshape to rank {high if descriptor.rank > high else low}, and back after it",
        )


def nearest_type(data_type: DataType, allowed: tuple[DataType, ...]) -> DataType | None:
    """Of `allowed`, the smallest type that holds all values of `data_type`; else the largest of its kind."""
    kind = "float" if data_type.startswith("float") else "int"
    bits, signed = DATA_TYPES[data_type].bits, not data_type.startswith("u")
    alike = sorted((t for t in allowed if kind in t), key=lambda t: DATA_TYPES[t].bits)
    alike = [t for t in alike if not (signed and t.startswith("u"))] or alike
    return next((t for t in alike if DATA_TYPES[t].bits > bits), alike[-1] if alike else None)
