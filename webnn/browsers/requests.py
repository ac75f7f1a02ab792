"""Calls on a builder, written down as JavaScript makes them: the requests that `requests.js` answers."""

from __future__ import annotations

import base64
import itertools
import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np

from webnn.browsers.chromium import Array
from webnn.graph.builder import MLGraphBuilder
from webnn.graph.dtypes import DataType
from webnn.graph.ir import Graph
from webnn.graph.naming import camel
from webnn.graph.operand import MLOperand
from webnn.graph.operator import OPERATORS, operator_signature

__all__ = ["BIG_INTEGERS", "Recorder"]

BIG_INTEGERS: Final = (("clamp", "min_value"), ("clamp", "max_value"), ("pad", "value"))
"""Operator and option of the type MLNumber, where JavaScript takes a BigInt. It makes none of a number by itself."""


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
        """An input of the graph."""
        operand = self._builder.input(name, tuple(shape), data_type)
        self.inputs.append({"id": self._name(operand, name), "dataType": data_type, "shape": [*operand.shape]})
        return operand

    def constant(self, array: Array) -> MLOperand:
        """A constant with the values of `array`."""
        operand = self._builder.constant(array)
        described = {"id": self._name(operand), "dataType": operand.data_type, "shape": [*operand.shape]}
        self.constants.append({**described, "data": _encoded(array)})
        return operand

    def build(self, outputs: Mapping[str, MLOperand]) -> Graph:
        """The graph, as the builder makes it."""
        return self._builder.build(outputs)

    def request(self, graph: Graph | None, feeds: Mapping[str, Array]) -> dict[str, Any]:
        """What `requests.js` is asked: to build and run `graph`, or only to make the calls."""
        return {
            "inputs": [{**described, "data": _encoded(feeds[described["id"]])} for described in self.inputs],
            "constants": self.constants,
            "calls": self.calls,
            "outputs": {name: self._ids[id(operand)] for name, operand in (graph.outputs if graph else {}).items()},
            "used": [*graph.inputs] if graph else [],
        }

    def __getattr__(self, op: str) -> Any:
        if op not in OPERATORS:
            raise AttributeError(op)

        def call(*args: Any, **options: Any) -> Any:
            step = self._step(op, operator_signature(op).bind(None, *args, **options).arguments)
            self.calls.append(step)
            result = getattr(self._builder, op)(*args, **options)
            step["results"] = [self._name(o) for o in (result if isinstance(result, list | tuple) else [result])]
            return result

        return call

    def _step(self, op: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """A call: what has no default by position, and the rest as options."""
        parameters = operator_signature(op).parameters
        args, options = [], {}
        for name, value in arguments.items():
            if name == "self":
                continue
            if parameters[name].default is parameters[name].empty:
                args.append(self._encoded(op, name, value))
            elif value is not None:
                options[camel(name)] = self._encoded(op, name, value)
        return {"op": camel(op), "args": args, "options": options, "results": []}

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
            case int() if (op, name) in BIG_INTEGERS:
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
