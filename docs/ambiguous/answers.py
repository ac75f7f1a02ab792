"""What an implementation answers to a case: a backend of this machine, or a browser."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

import numpy as np

from docs.ambiguous.case import Case
from webnn.backends.base import Cancellation, CompileOptions
from webnn.backends.registry import backend_named
from webnn.browsers.chromium import Chromium
from webnn.browsers.modules import BrowserGraph, RefusedError
from webnn.errors import MLError, OperationError
from webnn.graph.builder import MLGraphBuilder
from webnn.graph.ir import Graph
from webnn.graph.limits import SPEC_LIMITS
from webnn.graph.operand import MLOperand
from webnn.runtime.draft import Draft
from webnn.runtime.suspects import Side

__all__ = ["Answer", "Implementation", "backend", "browser", "graph_of", "plain"]

Array: TypeAlias = np.ndarray[Any, Any]
Answer: TypeAlias = dict[str, Any]
"""`{"output": nested lists}`, or `{"refused": text}` by build, or `{"failed": text}` by the run."""
Implementation: TypeAlias = Callable[[Case], Answer]
SILENT: Final = "it wrote nothing into the output"
"""What a module says where a run failed on the device without an error, and so left the output as it was."""


def graph_of(case: Case) -> tuple[Graph, dict[str, Array]]:
    """The graph of a case, and the values of its inputs."""
    builder = MLGraphBuilder(Draft(SPEC_LIMITS))
    feeds: dict[str, Array] = {}

    def given(array: Any) -> MLOperand:
        name = "abc"[len(feeds)]
        feeds[name] = np.asarray(array)
        return builder.input(name, feeds[name].shape, feeds[name].dtype.name)

    return builder.build({"output": case.example(builder, given)}), feeds


def plain(array: Array) -> Any:
    """An array as JSON has it: nested lists, with NaN, infinities and -0 as text."""
    if array.ndim:
        return [plain(part) for part in array]
    if array.dtype.kind != "f":
        return int(array)
    number = float(array)
    if not math.isfinite(number):
        return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"
    if number == 0:
        return "-0" if math.copysign(1, number) < 0 else 0.0
    return float(str(array[()]))  # as many digits as it takes to tell it from others of its type


def backend(name: str) -> Implementation:
    """The backend of that name."""
    side = Side(backend_named(name), CompileOptions())

    def answer(case: Case) -> Answer:
        graph, feeds = graph_of(case)
        try:
            run = side.compiled(graph, Cancellation())
        except MLError as error:
            return {"refused": str(error)}
        try:
            (output,) = run(feeds)
        except MLError as error:
            return {"failed": str(error)}
        return {"output": plain(output)}

    return answer


def browser(chromium: Chromium) -> Implementation:
    """A running browser."""

    def answer(case: Case) -> Answer:
        graph, feeds = graph_of(case)
        try:
            with BrowserGraph(chromium, graph) as built:
                return {"output": plain(built.run(feeds)["output"])}
        except RefusedError as error:
            return {"refused": error.answer}
        except OperationError as error:
            return {"failed": "silently: the output keeps its old values" if SILENT in str(error) else str(error)}

    return answer


def same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two answers are the same, up to the last digits of floats."""
    return one.keys() == other.keys() and _alike(one.get("output"), other.get("output"))


def _alike(one: Any, other: Any) -> bool:
    if isinstance(one, list):
        return isinstance(other, list) and len(one) == len(other) and all(map(_alike, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=2e-6, abs_tol=0)
    return bool(one == other) and type(one) is type(other)
