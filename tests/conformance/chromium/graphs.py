"""Random graphs that Chromium can be expected to build: within its limits, and away from what is known to differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tests.conformance.chromium.differences import Values, known_difference
from tests.conformance.chromium.tolerances import without_subnormals
from tests.property.draft import Draft, Shape
from tests.property.draft import Values as DrawnValues
from webnn.backends.base import Backend
from webnn.browsers.chromium import Array
from webnn.browsers.requests import Recorder
from webnn.graph.dtypes import DataType, numpy_dtype
from webnn.graph.ir import Graph, Node
from webnn.graph.operand import MLOperand

__all__ = ["RecordedDraft", "is_known_to_differ", "values_of"]


class RecordedDraft(Draft):
    """A draft whose calls are written down.

    What goes in are inputs and constants as they are, since each operator has limits of its own in Chromium; shapes
    have few dimensions unless the operator's limits are asked, since they often end at four or five.
    """

    def __init__(self, data: st.DataObject, backend: Backend) -> None:
        super().__init__(data, backend)
        self.recorder = Recorder(self.builder)
        self.builder = self.recorder  # type: ignore[assignment]  # it has the same methods

    def forget_refused(self) -> None:
        """Strike the last call out, if it gave nothing."""
        calls = self.recorder.calls
        if calls and not calls[-1]["results"]:
            calls.pop()

    def shape(self, low: int = 0, high: int = 4) -> Shape:
        return super().shape(low, max(low, high))

    def operand(self, op: str, name: str, shape: Shape | None = None, values: DrawnValues | None = None) -> MLOperand:
        if (op, name) == ("scatter_nd", "indices") and values is not None:
            values = _distinct(values)
        return super().operand(op, name, shape, values)

    def make(self, data_type: DataType, shape: Shape, values: DrawnValues | None = None) -> MLOperand:
        array = without_subnormals((values or self.values)(self._rng, shape, numpy_dtype(data_type)))
        if data_type in ("int4", "uint4") or self.integer(0, 2) == 0:
            return self.builder.constant(array)
        return self._input(array)


def _distinct(values: DrawnValues) -> DrawnValues:
    """The same, drawn anew a few times while places repeat: two updates of one place are known to differ."""

    def again(rng: np.random.Generator, shape: Shape, dtype: np.dtype[Any]) -> Array:
        for _ in range(20):
            array = values(rng, shape, dtype)
            lists = array.reshape(-1, shape[-1])
            if len(np.unique(lists, axis=0)) == len(lists):
                break
        return array

    return again


def values_of(node: Node, feeds: Mapping[str, Array]) -> Values:
    """The values of a node's operands by name, as far as they are known before it is run."""
    values = {}
    for name, operand in node.operands.items():
        for i, one in enumerate([operand] if isinstance(operand, MLOperand) else operand):
            value = feeds[one.name] if one.name is not None else one.constant
            if value is not None:
                values[name if isinstance(operand, MLOperand) else f"{name}[{i}]"] = np.asarray(value)
    return values


def is_known_to_differ(graph: Graph, feeds: Mapping[str, Array]) -> bool:
    """Whether a known difference concerns one of its nodes."""
    return any(known_difference(node, values_of(node, feeds)) is not None for node in graph.nodes)
