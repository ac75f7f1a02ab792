"""The graphs of one model in one context, by the sizes of its open dimensions.

A graph is made when its size first occurs. Their number has a limit: the least recently used one is dropped first.
All read the same weights in one file.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

from webnn.errors import MLError, ValidationError
from webnn.forking import reentrant_lock
from webnn.formats.files import Source, load_model, reader_of
from webnn.formats.outline import ValueOutline
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.ir import Graph
from webnn.model.signature import Shapes, Signature
from webnn.runtime.context import MLContext
from webnn.runtime.draft import Draft
from webnn.runtime.graph import MLGraph
from webnn.runtime.parts import failure_of

__all__ = ["Graphs", "OutputAxis"]

Key: TypeAlias = tuple[Shapes, int | None]

MOST_AXES: Final = 256
"""Shapes whose outputs' dimensions are remembered, beyond their graphs, since finding them takes a graph more."""


@dataclass(frozen=True, slots=True)
class OutputAxis:
    """Where an output has the items of a batch: along dimension `axis`, with `rows` rows for each of them."""

    axis: int
    rows: int


class Graphs:
    """The graphs of a model.

    Args:
        context: runs them.
        source: the model file, with what the program fixed about it.
        signature: the inputs of the model.
        outputs: its outputs by name, as the file declares them.
        most: the number of graphs that are kept.
        saved: whether the source is the key of a saved graph.
    """

    def __init__(
        self,
        context: MLContext,
        source: Source,
        signature: Signature,
        outputs: Mapping[str, ValueOutline],
        most: int,
        *,
        saved: bool,
    ) -> None:
        self._context = context
        self._source = source
        self._signature = signature
        self._declared = outputs
        self._most = most
        self._saved = saved
        self._graphs: OrderedDict[Key, MLGraph] = OrderedDict()
        self._axes: OrderedDict[Shapes, dict[str, OutputAxis]] = OrderedDict()
        self._lock = reentrant_lock()  # around the two, and while a graph is made: it is made once
        self.made = 0
        self.evicted = 0

    def __len__(self) -> int:
        return len(self._graphs)

    def kept(self) -> list[MLGraph]:
        """The graphs that are kept, the least recently used first."""
        with self._lock:
            return list(self._graphs.values())

    def find(self, shapes: Shapes, size: int | None = None) -> MLGraph | None:
        """The graph for these shapes in a batch of `size`; None if it was not made, or could not be compiled."""
        key = (shapes, size)
        with self._lock:
            graph = self._graphs.get(key)
            if graph is not None and failure_of(graph) is not None:  # for want of memory, perhaps: the next may do
                graph = None
                del self._graphs[key]
            if graph is not None:
                self._graphs.move_to_end(key)
            return graph

    def get(self, shapes: Shapes, size: int | None = None) -> MLGraph:
        """The graph for these shapes. If there is none yet, it is made now and compiles in the background.

        Raises: the errors of `load_model`.
        """
        with self._lock:
            graph = self.find(shapes, size)
            if graph is None:
                graph = self._make(self._context, shapes, size)
                graph.label = self._label(shapes, size)
                self._graphs[shapes, size] = graph
                self.made += 1
                self._check_axes(graph, shapes, size)
                while len(self._graphs) > self._most:  # queued runs keep what they need of it
                    self._graphs.popitem(last=False)
                    self.evicted += 1
        return graph

    def has_axes(self, shapes: Shapes) -> bool:
        """Whether `axes` needs no measurement to answer."""
        return shapes in self._axes

    def axes(self, shapes: Shapes, size: int) -> Mapping[str, OutputAxis]:
        """The dimension of each output that has the items.

        It is the one that the file calls by the name of the batch, if the shape of the graph agrees. Otherwise it is
        found by comparing the shapes for two batch sizes, which takes the making of another graph.

        Raises:
            ValidationError: an output does not grow with the batch.
        """
        found = self._axes.get(shapes)
        if found is None:
            graph = self.get(shapes, size)
            found = self._declared_axes(graph, size) or self._compared_axes(graph, shapes, size)
            with self._lock:
                self._axes[shapes] = found
                while len(self._axes) > MOST_AXES:
                    self._axes.popitem(last=False)
        return found

    def _declared_axes(self, graph: MLGraph, size: int) -> dict[str, OutputAxis] | None:
        """The dimensions that have the name of the batch; None if an output has none, or if its size is another."""
        found: dict[str, OutputAxis] = {}
        for name, descriptor in graph.outputs.items():
            value = self._declared.get(name)
            shape = () if value is None or value.shape is None else tuple(value.shape)
            if size == 1 or shape.count(self._signature.batch or "") != 1 or len(shape) != descriptor.rank:
                return None
            axis = shape.index(self._signature.batch or "")
            if descriptor.shape[axis] != size:
                return None
            found[name] = OutputAxis(axis, 1)
        return found

    def _compared_axes(self, graph: MLGraph, shapes: Shapes, size: int) -> dict[str, OutputAxis]:
        """The dimensions that grow with the batch."""
        other = size - 1 or 2
        draft: Graph = self._make(Draft(self._context.limits), shapes, other)
        return {
            name: self._axis(name, (size, other), (descriptor, draft.output_descriptors[name]))
            for name, descriptor in graph.outputs.items()
        }

    def _check_axes(self, graph: MLGraph, shapes: Shapes, size: int | None) -> None:
        """See that the dimensions found before are those of a graph of another size: a file may declare them wrong."""
        axes = self._axes.get(shapes)
        if size is None or axes is None:
            return
        found = {name: tuple(graph.outputs[name].shape)[where.axis :][:1] for name, where in axes.items()}
        if any(found[name] != (where.rows * size,) for name, where in axes.items()):
            self._axes[shapes] = self._compared_axes(graph, shapes, size)

    def _axis(
        self, name: str, sizes: tuple[int, int], outputs: tuple[MLOperandDescriptor, MLOperandDescriptor]
    ) -> OutputAxis:
        """The dimension in which an output, as it is for two batch sizes, grows with the batch."""
        (size, other), (given, compared) = sizes, outputs
        if given.rank == compared.rank:
            differing = [i for i, (a, b) in enumerate(zip(given.shape, compared.shape, strict=True)) if a != b]
            if len(differing) == 1:
                axis = differing[0]
                rows = given.shape[axis] // size
                if (given.shape[axis], compared.shape[axis]) == (rows * size, rows * other):
                    return OutputAxis(axis, rows)
        raise ValidationError(
            f"{self._signature.where}: output {name!r} is {list(given.shape)} for {size} and {list(compared.shape)} for"
            f" {other} items in dimension {self._signature.batch!r}, so it has no result for each item; leave it out"
            " with outputs=[...], or the batch without a name: batch=None"
        )

    def _make(self, host: Any, shapes: Shapes, size: int | None) -> Any:
        source, signature = self._source, self._signature
        if self._saved:
            return self._context.load_graph(source.path.name)
        named = signature.named(shapes, size)
        sizes: dict[str, int | Sequence[int]]
        sizes = {**named} if reader_of(source.path).whole_shapes else {**signature.dimensions(named)}
        return _explained(signature.where, lambda: load_model(replace(source, shapes={**source.shapes, **sizes}), host))

    def _label(self, shapes: Shapes, size: int | None) -> str:
        named = self._signature.named(shapes, size)
        return " ".join([self._source.path.name, *(f"{name}={list(shape)}" for name, shape in named.items())])


def _explained(where: str, make: Callable[[], Any]) -> Any:
    """The result of `make`, whose errors say which model it is."""
    try:
        return make()
    except MLError as error:
        if where not in str(error):
            error.args = (f"{where}: {error}", *error.args[1:])
        raise
