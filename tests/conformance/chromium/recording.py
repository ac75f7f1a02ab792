"""Calls on a builder, written down as JavaScript makes them."""

from __future__ import annotations

import base64
import itertools
import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np

from tests.specification import idl, snake
from webnn.browsers.chromium import Array
from webnn.graph.builder import MLGraphBuilder
from webnn.graph.dtypes import DataType
from webnn.graph.ir import Graph
from webnn.graph.operand import MLOperand

__all__ = ["Recorder"]

_IDL: Final = idl()
_NAMES: Final = {snake(op): op for op in _IDL["methods"]}
_PARAMETERS: Final[dict[str, dict[str, str]]] = {
    snake(op): {snake(name): name for name in (*method["params"], *_IDL["options"][method["options"]])}
    for op, method in _IDL["methods"].items()
}
_BIG_INTEGERS: Final = {
    (snake(op), snake(name))
    for op, method in _IDL["methods"].items()
    for name, (idl_type, _) in _IDL["options"][method["options"]].items()
    if idl_type == "MLNumber"
}
"""Where JavaScript takes a BigInt; it never makes a number of one by itself."""


class Recorder:
    """A builder that writes down what is called on it, and also what it refuses.

    Args:
        builder: the builder that is called.
    """

    def __init__(self, builder: MLGraphBuilder[Graph]) -> None:
        self._builder = builder
        self._ids: dict[int, str] = {}
        self._kept: list[MLOperand] = []  # an id() is only unique among the living
        self._count = itertools.count()
        self.inputs: list[dict[str, Any]] = []
        self.constants: list[dict[str, Any]] = []
        self.calls: list[dict[str, Any]] = []

    def input(self, name: str, shape: Iterable[int], data_type: DataType) -> MLOperand:
        operand = self._builder.input(name, tuple(shape), data_type)
        self.inputs.append({"id": self._name(operand, name), "dataType": data_type, "shape": [*operand.shape]})
        return operand

    def constant(self, array: Array) -> MLOperand:
        operand = self._builder.constant(array)
        described = {"id": self._name(operand), "dataType": operand.data_type, "shape": [*operand.shape]}
        self.constants.append({**described, "data": _encoded(array)})
        return operand

    def build(self, outputs: Mapping[str, MLOperand]) -> Graph:
        return self._builder.build(outputs)

    def request(self, graph: Graph | None, feeds: Mapping[str, Array]) -> dict[str, Any]:
        """What `page.js` is asked: to build and run `graph`, or only to make the calls."""
        return {
            "inputs": [{**described, "data": _encoded(feeds[described["id"]])} for described in self.inputs],
            "constants": self.constants,
            "calls": self.calls,
            "outputs": {name: self._ids[id(operand)] for name, operand in (graph.outputs if graph else {}).items()},
            "used": [*graph.inputs] if graph else [],
        }

    def forget_refused(self) -> None:
        """Strike the last call out, if it gave nothing."""
        if self.calls and not self.calls[-1]["results"]:
            self.calls.pop()

    def __getattr__(self, op: str) -> Any:
        if op not in _NAMES:
            raise AttributeError(op)

        def call(*args: Any, **options: Any) -> Any:
            step = {
                "op": _NAMES[op],
                "args": [self._encoded(op, "", value) for value in args],
                "options": {
                    _PARAMETERS[op][name]: self._encoded(op, name, value)
                    for name, value in options.items()
                    if value is not None
                },
                "results": [],
            }
            self.calls.append(step)
            result = getattr(self._builder, op)(*args, **options)
            step["results"] = [self._name(o) for o in (result if isinstance(result, list | tuple) else [result])]
            return result

        return call

    def _name(self, operand: MLOperand, name: str | None = None) -> str:
        self._kept.append(operand)
        return self._ids.setdefault(id(operand), name or f"operand {next(self._count)}")

    def _encoded(self, op: str, name: str, value: Any) -> Any:
        match value:
            case MLOperand():
                return {"$operand": self._ids[id(value)]}
            case list() | tuple():
                return [self._encoded(op, name, item) for item in value]
            case bool() | str():
                return value
            case int() if abs(value) < 2**53:
                return value
            case int() if (op, name) in _BIG_INTEGERS:
                return {"$bigint": str(value)}
            case int() | float():
                number = float(value)
                return number if math.isfinite(number) else {"$number": _spelled(number)}
            case _:
                raise TypeError(f"{op}: {value!r} has no counterpart in JavaScript")


def _spelled(number: float) -> str:
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


def _encoded(array: Array) -> str:
    """Little-endian bytes in base64; of 4-bit integers, two to a byte, the first in the low half."""
    if array.dtype.name in ("int4", "uint4"):
        halves = np.append(array.astype(np.uint8).reshape(-1) & 15, np.zeros(array.size % 2, np.uint8))
        array = halves[::2] | halves[1::2] << 4
    return base64.b64encode(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()).decode("ascii")
