"""The first operator of a graph whose results are wrong on one backend, by the results of another.

A *cut* after node k is the set of values that the nodes up to k make and that the nodes after k, or the caller, read.
Where the cut before a node is right and the cut after it is wrong, that node is to blame: everything that it reads is
in the cut before it. Each comparison rules out half of the remaining cuts. In it, both backends compile and run the
nodes up to a cut.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any, Final, Protocol, TypeAlias

import numpy as np

from webnn.backends.base import Backend, Cancellation, CompileOptions
from webnn.graph.composites.composite import expanded
from webnn.graph.dtypes import DATA_TYPES, DataType
from webnn.graph.ir import Graph, Node
from webnn.graph.operand import MLOperand

__all__ = ["TOLERANCES", "Compiles", "Difference", "Function", "Side", "difference", "first_wrong", "worst"]

Array: TypeAlias = np.ndarray[Any, Any]
Function: TypeAlias = Callable[[Mapping[str, Array]], list[Array]]
"""A compiled graph: from the inputs by name to the outputs, in their order, all in host memory."""

TOLERANCES: Final[Mapping[DataType, float]] = {
    **dict.fromkeys(DATA_TYPES, 1e-3),
    "float16": 2e-2,
}
"""The largest `difference` that is right, by data type: room for another order of summation through a deep network."""


def difference(actual: Array, expected: Array) -> float:
    """How far two arrays are apart, from 0 for equal ones.

    Floats: the largest absolute difference, as a share of the largest expected value; infinite if they are not NaN, or
    not infinite, at the same places. Integers: the share of the elements that differ, in 8 bits by more than 1.

    >>> difference(np.array([1.0, 99.0]), np.array([2.0, 100.0])), difference(np.array([3, 4]), np.array([3, 5]))
    (0.01, 0.5)
    """
    if expected.size == 0:
        return 0.0
    if not np.issubdtype(expected.dtype, np.floating):
        if expected.dtype.itemsize > 1:
            return float(np.mean(actual != expected))
        return float(np.mean(np.abs(actual.astype(np.int16) - expected.astype(np.int16)) > 1))
    wide, exact = actual.astype(np.float64), expected.astype(np.float64)
    finite = np.isfinite(exact)
    if not np.array_equal(wide[~finite], exact[~finite], equal_nan=True) or not np.isfinite(wide[finite]).all():
        return inf
    if not finite.any():
        return 0.0
    largest = float(np.abs(exact[finite]).max())
    apart = float(np.abs(wide[finite] - exact[finite]).max())
    return apart / largest if largest else apart


@dataclass(frozen=True, slots=True)
class Difference:
    """A value of a graph that two backends do not agree on."""

    operand: MLOperand
    error: float
    tolerance: float


class Compiles(Protocol):
    """What compiles graphs and runs them: a backend, or a browser."""

    def compiled(self, graph: Graph, cancellation: Cancellation) -> Function:
        """`graph` as a function."""


@dataclass(frozen=True, slots=True)
class Side:
    """A backend, and the options that it compiles with."""

    backend: Backend
    options: CompileOptions

    def compiled(self, graph: Graph, cancellation: Cancellation) -> Function:
        """`graph` as a function. Composites that the backend does not take are expanded."""
        backend = self.backend
        executable = backend.compile(expanded(graph, backend.composites), self.options, cancellation)
        allocator = backend.allocator

        def run(feeds: Mapping[str, Array]) -> list[Array]:
            inputs = [allocator.view(descriptor) for _, descriptor in executable.inputs]
            for (name, _), view in zip(executable.inputs, inputs, strict=True):
                allocator.write(view, feeds[name])
            outputs = [allocator.view(descriptor) for _, descriptor in executable.outputs]
            executable.run(inputs, outputs)
            return [allocator.host_array(view) for view in outputs]

        return run


def worst(operands: Mapping[MLOperand, tuple[Array, Array]], tolerance: float | None) -> Difference | None:
    """The value that is furthest off, if any is outside of its tolerance; from actual and expected ones."""
    found: Difference | None = None
    for operand, (actual, expected) in operands.items():
        allowed = TOLERANCES[operand.data_type] if tolerance is None else tolerance
        error = difference(actual, expected)
        if error > allowed and (found is None or error > found.error):
            found = Difference(operand, error, allowed)
    return found


def first_wrong(
    graph: Graph,
    feeds: Mapping[str, Array],
    suspect: Compiles,
    reference: Compiles,
    *,
    tolerance: float | None,
    cancellation: Cancellation,
) -> tuple[Node, Difference] | None:
    """The first node of `graph` whose results `suspect` gets wrong, and how far they are off.

    Args:
        graph: the graph as `suspect` compiled it.
        feeds: the inputs by name.
        suspect: compiles and runs parts of the graph.
        reference: does the same, and is right.
        tolerance: the largest `difference` that is right; None for that of each data type.
        cancellation: stops the search, with `CancelledError`.

    Returns:
        None if `suspect` computes the whole graph right.
    """

    def wrong_at(cut: int) -> Difference | None:
        values = _cut(graph, cut)
        part = Graph(graph.inputs.values(), {f"value{i}": operand for i, operand in enumerate(values)})
        given = {name: feeds[name] for name in part.inputs}
        actual, expected = (side.compiled(part, cancellation)(given) for side in (suspect, reference))
        return worst(dict(zip(values, zip(actual, expected, strict=True), strict=True)), tolerance)

    right, wrong = 0, len(graph.nodes)
    found = wrong_at(wrong)
    if found is None:
        return None
    while wrong - right > 1:
        middle = (right + wrong) // 2
        there = wrong_at(middle)
        if there is None:
            right = middle
        else:
            wrong, found = middle, there
    return graph.nodes[wrong - 1], found


def _cut(graph: Graph, position: int) -> list[MLOperand]:
    """The values that the first `position` nodes make and that others, or the caller, read."""
    read = {operand for node in graph.nodes[position:] for operand in node.inputs()} | {*graph.outputs.values()}
    return [operand for node in graph.nodes[:position] for operand in node.outputs if operand in read]
