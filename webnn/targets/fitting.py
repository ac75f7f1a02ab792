"""A graph in a form that a target builds: each operator with a problem is replaced by others that compute the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, NamedTuple, TypeVar

import numpy as np

from webnn.errors import MLError
from webnn.graph.dtypes import numpy_dtype
from webnn.graph.ir import Graph, Node
from webnn.graph.operand import MLOperand
from webnn.graph.rewriting import Replacement, rewritten
from webnn.runtime.graph import MLGraph
from webnn.runtime.ml import create_context
from webnn.targets.checking import (
    Problem,
    Verdict,
    check,
    graph_of,
    named_operands,
    named_outputs,
    node_notes,
    node_problems,
)
from webnn.targets.data_types import with_other_type
from webnn.targets.decompositions import DECOMPOSITIONS
from webnn.targets.ranks import with_other_rank
from webnn.targets.remedies import REMEDIES
from webnn.targets.target import Target, target_named

__all__ = ["Change", "Difference", "Fit", "fit"]

G = TypeVar("G", MLGraph, Graph)
Array = np.ndarray[Any, Any]

ROUNDS: Final = 12
"""How often operators are replaced: those that stand for others may have problems of their own."""
TOLERANCES: Final[Mapping[str, float]] = {"float32": 1e-4, "float16": 1e-2}
"""How far outputs may be apart, relative to the largest magnitude in the output; other types must be equal."""
SMALL: Final = 0.1
"""Outputs whose largest magnitude is below are judged as if it were this: they are sums of larger numbers."""


@dataclass(frozen=True, slots=True)
class Change:
    """One operator that was replaced.

    Attributes:
        label: its label, or its name in the graph before.
        operator: its method name.
        reason: the problem: "input is uint8; the target takes float32".
        done: what stands in its place: "computed as int32".
        operators: the method names of the operators that were added.
    """

    label: str
    operator: str
    reason: str
    done: str
    operators: tuple[str, ...]

    def __str__(self) -> str:
        where = f"[{self.label}] {self.operator}" if self.label else self.operator
        return f"{where} {self.reason}: {self.done}"


@dataclass(frozen=True, slots=True)
class Difference:
    """How far an output is from the original's, on the same inputs, both on the `arrays` backend.

    Attributes:
        output: its name.
        largest: the largest difference.
        magnitude: the largest magnitude in the original's output.
        tolerance: how much of the magnitude is allowed.
    """

    output: str
    largest: float
    magnitude: float
    tolerance: float

    @property
    def equal(self) -> bool:
        """Whether the outputs are equal within the tolerance."""
        return self.largest <= self.tolerance * max(self.magnitude, SMALL)

    def __str__(self) -> str:
        verdict = "equal" if self.equal else "DIFFERENT"
        if self.equal and not self.magnitude:
            return (
                f"output {self.output!r}: equal, but all values are 0 or not finite; give other inputs to compare more"
            )
        return f"output {self.output!r}: {verdict}, at most {self.largest:.3g} apart of {self.magnitude:.3g}"


@dataclass(frozen=True, slots=True)
class Fit(Generic[G]):
    """The answer of `fit`. Its `str` is meant to be read.

    Attributes:
        graph: the graph with its operators replaced; the same object if none had to be.
        before: the verdict on the original.
        after: the verdict on `graph`.
        changes: the operators that were replaced, in the order in which it was done.
        differences: how far the outputs are from the original's; empty if nothing was replaced, or not verified.
    """

    graph: G
    before: Verdict
    after: Verdict
    changes: tuple[Change, ...]
    differences: tuple[Difference, ...]

    @property
    def builds(self) -> bool:
        """Whether the target builds `graph`."""
        return self.after.builds

    @property
    def equal(self) -> bool:
        """Whether all outputs that were compared are equal within their tolerance."""
        return all(difference.equal for difference in self.differences)

    def __str__(self) -> str:
        outcome = "builds" if self.builds else "is still refused"
        lines: list[str] = [f"{self.after.target}: {outcome}"]
        lines += [str(change) for change in self.changes]
        lines += [f"left: {problem.message(self.after.target)}" for problem in self.after.problems]
        return "\n".join([*lines, *[str(difference) for difference in self.differences]])


def fit(
    graph: G,
    target: str | Target,
    *,
    inputs: Mapping[str, Any] | None = None,
    notes: bool = True,
    verify: bool = True,
) -> Fit[G]:
    """The graph in a form that a target builds, with its inputs and outputs as they are.

    Each operator that `check` has a problem with is replaced by others: computed in another data type or with fewer
    dimensions, with explicit padding, or decomposed. The result is run beside the original on the `arrays` backend.

    Args:
        graph: a graph of any context. The result is a graph of the same one.
        target: as `check` takes it.
        inputs: an array for each input of the graph, to compare the results with. Default: random ones.
        notes: whether to replace also the operators that the target builds but computes differently.
        verify: whether to compare the results.

    Raises:
        NotSupportedError: no target has that name, or several have.
        DataError: the file of the target does not hold limits.
        OSError: it cannot be read.
        ValidationError: `inputs` do not fit the graph.

    Example:
        >>> import webnn
        >>> with webnn.create_context() as context:
        ...     builder = context.create_graph_builder()
        ...     x = builder.input("x", [2, 3], "float32")
        ...     graph = builder.build({"y": builder.pad(x, [0, 1], [0, 1], mode="edge", label="border")})
        ...     fit = webnn.fit(graph, "chromium-153")
        ...     print(fit)
        chromium-153-linux-litert: builds
        [border] pad has the mode "edge"; the target takes "constant" and "reflection": edges put in place by concat
        output 'y': equal, at most 0 apart of 1.39
    """
    held = target_named(target)
    original = graph_of(graph)
    before = check(original, held)
    fitted, changes = original, list[Change]()
    stuck: set[tuple[str, str, str]] = set()
    for _ in range(ROUNDS):
        step = _Step(held, notes, stuck)
        following = rewritten(fitted, step.chosen(fitted), step.replacement)
        changes += step.changes
        if following is fitted:
            break
        fitted = following
    if fitted is original:
        return Fit(graph, before, before, (), ())
    differences = tuple(_differences(original, fitted, inputs)) if verify else ()
    result: Any = graph.context.compile(fitted) if isinstance(graph, MLGraph) else fitted
    return Fit(result, before, check(fitted, held), tuple(changes), differences)


class _Way(NamedTuple):
    """A way around a problem: the outputs that stand for the node's, and what was done."""

    outputs: Sequence[MLOperand]
    done: str


class _Step:
    """One pass over a graph, in which every operator with a problem is replaced once.

    Args:
        target: the target.
        notes: whether notes are problems, too.
        stuck: the operators for which there is no way; they are added here.
    """

    def __init__(self, target: Target, notes: bool, stuck: set[tuple[str, str, str]]) -> None:
        self._target = target
        self._notes = notes
        self._stuck = stuck
        self.changes: list[Change] = []

    def chosen(self, graph: Graph) -> list[Node]:
        """The nodes of `graph` that have a problem that may be solved."""
        return [node for node in graph.nodes if next(self._problems(node), None) is not None]

    def _problems(self, node: Node) -> Iterator[tuple[str, str, Callable[[Replacement], _Way | None]]]:
        """The key, the reason and the way around for each problem of a node that is not stuck."""
        found = list(node_problems(node, self._target))
        for problem in sorted(found, key=lambda problem: _ORDER.index(problem.kind)):
            yield from self._unless_stuck(
                node, problem.rule or problem.kind, problem.reason, _way(node, problem, self._target)
            )
        if self._notes and not found:
            for note in node_notes(node, self._target):
                remedy = REMEDIES.get(note.name)
                if remedy is not None:
                    reason = f"{note.given}; the target {note.difference}"
                    yield from self._unless_stuck(node, note.name, reason, _remedied(node, note.name))

    def _unless_stuck(
        self, node: Node, key: str, reason: str, way: Callable[[Replacement], _Way | None]
    ) -> Iterator[tuple[str, str, Callable[[Replacement], _Way | None]]]:
        if (node.label, node.op, key) not in self._stuck:
            yield key, reason, way

    def replacement(self, node: Node) -> Sequence[MLOperand] | None:
        """The rule of `rewritten`."""
        for key, reason, way in self._problems(node):
            try:
                found = way(Replacement(node))
            except MLError:  # an operator that cannot be made in this form, such as a constant beyond its limits
                found = None
            if found is None or any(output in node.outputs for output in found.outputs):
                self._stuck.add((node.label, node.op, key))
                continue
            added = tuple(one.op for one in _made(found.outputs, node))
            self.changes.append(Change(node.label, node.op, reason, found.done, added))
            return found.outputs
        return None


_ORDER: Final = ("operator", "size", "rank", "type", "rule")
"""Kinds of problems, in the order in which they are solved."""


def _remedied(node: Node, name: str) -> Callable[[Replacement], _Way | None]:
    def way(b: Replacement) -> _Way | None:
        remedy = REMEDIES.get(name)
        outputs = remedy.make(b, node) if remedy is not None else None
        return None if remedy is None or outputs is None else _Way(outputs, remedy.done)

    return way


def _way(node: Node, problem: Problem, target: Target) -> Callable[[Replacement], _Way | None]:
    """The way around a problem of `node`."""
    if problem.kind == "rule":
        return _remedied(node, problem.rule)
    return {"operator": _decomposed, "rank": _reshaped, "type": _cast}.get(problem.kind, _unsolved)(
        node, problem, target
    )


def _unsolved(node: Node, problem: Problem, target: Target) -> Callable[[Replacement], _Way | None]:
    return lambda b: None


def _decomposed(node: Node, problem: Problem, target: Target) -> Callable[[Replacement], _Way | None]:
    def way(b: Replacement) -> _Way | None:
        decomposition = DECOMPOSITIONS.get(node.op)
        outputs = decomposition(b, node) if decomposition is not None else None
        return None if outputs is None else _Way(outputs, "decomposed")

    return way


def _reshaped(node: Node, problem: Problem, target: Target) -> Callable[[Replacement], _Way | None]:
    def way(b: Replacement) -> _Way | None:
        rows = target.limits[node.op]
        lowest = max(row.ranks[0] for name, row in rows.items() if not name.startswith("output"))
        outputs = with_other_rank(b, node, lowest)
        if outputs is None or any(_shapes(one) == _shapes(node) for one in _made(outputs, node) if one.op == node.op):
            return None
        return _Way(outputs, "reshaped, and back after it")

    return way


def _shapes(node: Node) -> list[tuple[int, ...]]:
    return [operand.shape for operand in node.inputs()]


def _cast(node: Node, problem: Problem, target: Target) -> Callable[[Replacement], _Way | None]:
    def way(b: Replacement) -> _Way | None:
        rows, wrong = target.limits[node.op], []
        for name, operand in [*named_operands(node), *named_outputs(node)]:
            row = rows.get(name) or rows.get(name.partition("[")[0])
            is_constant = operand.constant is not None
            allowed = row is None or operand.data_type in row.allowed
            if not allowed or (is_constant and operand.data_type not in target.members["constant"].allowed):
                wrong.append(operand)
        made = with_other_type(b, node, wrong, target) if wrong else None
        return None if made is None else _Way(*made)

    return way


def _made(outputs: Sequence[MLOperand], node: Node) -> list[Node]:
    """The nodes between the inputs of `node` and the operands that stand for its outputs."""
    known, found = {id(operand) for operand in node.inputs()}, dict[int, Node]()
    stack = list(outputs)
    while stack:
        operand = stack.pop()
        if id(operand) in known or operand.node is None or id(operand.node) in found:
            continue
        found[id(operand.node)] = operand.node
        stack += operand.node.inputs()
    return list(reversed(found.values()))


# Verifying.


def _differences(original: Graph, fitted: Graph, inputs: Mapping[str, Any] | None) -> Iterator[Difference]:
    """How far the outputs of both are apart on the same inputs."""
    feeds = _random_inputs(original) if inputs is None else inputs
    with create_context(backend="arrays") as context:
        theirs, ours = (context.compute(context.compile(graph), feeds) for graph in (original, fitted))
    for name, expected in theirs.items():
        magnitude = float(np.max(np.abs(expected[np.isfinite(expected)].astype(np.float64)), initial=0))
        tolerance = TOLERANCES.get(original.outputs[name].data_type, 0.0)
        yield Difference(name, _largest(expected, ours[name]), magnitude, tolerance)


def _largest(expected: Array, ours: Array) -> float:
    """The largest difference; infinite where one is infinite or not a number and the other is not the same."""
    both = [array.astype(np.float64) if array.dtype.kind == "f" else array.astype(object) for array in (expected, ours)]
    if expected.dtype.kind != "f":
        return float(np.max(np.abs(both[0] - both[1]), initial=0))
    same = (both[0] == both[1]) | (np.isnan(both[0]) & np.isnan(both[1]))
    with np.errstate(invalid="ignore"):
        apart = np.where(same, 0.0, np.abs(both[0] - both[1]))
    return float(np.max(np.nan_to_num(apart, nan=np.inf), initial=0))


def _random_inputs(graph: Graph) -> dict[str, Array]:
    """Normally distributed floats, and small integers from 0, which are valid as indices of most graphs."""
    random = np.random.default_rng(0)
    feeds: dict[str, Array] = {}
    for name, descriptor in graph.input_descriptors.items():
        dtype = numpy_dtype(descriptor.data_type)
        if dtype.kind == "f":
            feeds[name] = random.standard_normal(descriptor.shape, np.float32).astype(dtype)
        else:
            feeds[name] = random.integers(0, 8, descriptor.shape).astype(dtype)
    return feeds
