"""What backends run in place: their operators, and the outputs of a graph that may take the memory of an input.

`webnn.graph.donation` finds these outputs. It is imported only where there may be one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from webnn.graph.ir import Graph
from webnn.graph.quick_dataclass import dataclass
from webnn.graph.scattered import Index, Scattered, scattered

if TYPE_CHECKING:
    from webnn.graph.donation import Donation

__all__ = [
    "ARITHMETIC",
    "NOTHING_IN_PLACE",
    "SMALL",
    "InPlace",
    "InPlaceOutput",
    "Replaced",
    "in_place_outputs",
    "may_run_in_place",
    "pair_numbers",
]

ARITHMETIC: Final = frozenset({"abs", "add", "clamp", "div", "max", "min", "mul", "neg", "relu", "sub"})
"""Pointwise operators of which every fusion is pointwise too, unlike those that activations are made of, such as
`erf`."""
SMALL: Final = 4096
"""Bytes. Below this, operators that compute each element from those at its place are not run in place: writing the
output elsewhere costs less than deciding about its memory in every run. Scatters are, since they would copy it all."""


@dataclass(frozen=True, slots=True)
class InPlace:
    """The operators that a backend runs in place.

    Attributes:
        scatters: those that write into a copy of their first operand.
        pointwise: those that compute each element from the elements at the same place.
    """

    scatters: frozenset[str] = frozenset()
    pointwise: frozenset[str] = frozenset()


NOTHING_IN_PLACE: Final = InPlace()


class Replaced:
    """The elements that one or several scatters of a run replace, all at the same indices."""

    __slots__ = ("_indices", "_input", "_scattered")

    def __init__(self, scattered: Scattered, indices: int | np.ndarray[Any, Any]) -> None:
        self._scattered = scattered
        self._input = indices if isinstance(indices, int) else -1
        self._indices = None if isinstance(indices, int) else scattered.index(indices)

    def index(self, inputs: Callable[[int], np.ndarray[Any, Any]]) -> Index | None:
        """The index of the elements; None if it is better to copy the whole tensor.

        Args:
            inputs: gives the elements of the graph's input of that number.
        """
        return self._indices if self._input < 0 else self._scattered.index(inputs(self._input))


@dataclass(frozen=True, slots=True, eq=False)
class InPlaceOutput:
    """An output that may be computed in the memory of an input.

    Attributes:
        input: the number of the input.
        output: the number of the output.
        repeatable: whether a run that was cut off can be made again on the same memory, with the same result.
        replaced: the elements in which the output differs from the input; None if they are not known before the run.
            Equal ones are the same object.
    """

    input: int
    output: int
    repeatable: bool
    replaced: Replaced | None = None


def may_run_in_place(graph: Graph, in_place: InPlace) -> bool:
    """Whether `in_place_outputs` could find any donation: to search for them takes a millisecond of a first run."""
    given = {operand.descriptor.key for operand in graph.inputs.values()}
    fitting = [operand.descriptor for operand in graph.outputs.values() if operand.descriptor.key in given]
    if any(descriptor.byte_length >= SMALL for descriptor in fitting):
        return True
    return bool(fitting) and any(node.op in in_place.scatters for node in graph.nodes)


def in_place_outputs(graph: Graph, donations: Sequence[Donation]) -> tuple[InPlaceOutput, ...]:
    """The donations of `graph` by number that are worth their while in a run."""
    equal: dict[object, Replaced] = {}
    return tuple(
        InPlaceOutput(*numbers, donation.is_scatter, _replaced(graph, donation, equal) if donation.is_scatter else None)
        for donation, numbers in zip(donations, pair_numbers(graph, donations), strict=True)
        if donation.is_scatter or graph.outputs[donation.output].descriptor.byte_length >= SMALL
    )


def pair_numbers(graph: Graph, donations: Sequence[Donation]) -> tuple[tuple[int, int], ...]:
    """The numbers of the input and the output of each donation."""
    inputs = {name: number for number, name in enumerate(graph.inputs)}
    outputs = {name: number for number, name in enumerate(graph.outputs)}
    return tuple((inputs[donation.input], outputs[donation.output]) for donation in donations)


def _replaced(graph: Graph, donation: Donation, equal: dict[object, Replaced]) -> Replaced | None:
    node = graph.outputs[donation.output].node
    if node is None or (found := scattered(node)) is None:
        return None
    indices = node["indices"]
    if indices.name is not None:
        key: object = (found.key, indices.name)
        return equal.setdefault(key, Replaced(found, list(graph.inputs).index(indices.name)))
    if indices.constant is not None:
        return equal.setdefault((found.key, id(indices)), Replaced(found, indices.constant))
    return None
