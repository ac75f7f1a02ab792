"""The time of each operator of a graph on a backend: each is compiled and run by itself.

A backend runs several operators as one where it can, so their sum is not the time of the whole graph, which
is measured too, on one thread like them. Inputs are random; integers are 0, which is an index into everything.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any, Final, TypeAlias

import numpy as np

from webnn.backends.base import Backend, Cancellation, CompileOptions
from webnn.errors import NotSupportedError, OperationError
from webnn.graph.arrays import random_array
from webnn.graph.builder import MLGraphBuilder
from webnn.graph.composites.composite import expanded
from webnn.graph.ir import Graph, Node
from webnn.graph.limits import SPEC_LIMITS
from webnn.graph.operand import MLOperand
from webnn.runtime.draft import Draft

__all__ = ["Profile", "profile"]

Array: TypeAlias = np.ndarray[Any, Any]

LEAST: Final = 5
"""The least number of runs of each operator."""
SECONDS: Final = 0.02
"""How long each operator is run, in at least `LEAST` runs."""


@dataclass(frozen=True, slots=True)
class Profile:
    """Times in milliseconds, each the median of several runs.

    Attributes:
        operators: the time of each node; None where the backend cannot run it by itself.
        whole: the time of the whole graph.
        call: the time of a graph that does nearly nothing. The other times do not include it.
    """

    operators: tuple[float | None, ...]
    whole: float
    call: float


def profile(graph: Graph, backend: Backend, advance: Callable[[int], object] = lambda _: None) -> Profile:
    """Measure each operator of `graph` on `backend`; equal ones are measured once.

    Args:
        graph: the graph.
        backend: compiles and runs the operators.
        advance: called for each operator.

    Raises:
        NotSupportedError: the backend lacks an operator of the graph.
        OperationError: it cannot run the graph.
    """
    call = _measured(_nothing(), backend)
    whole = max(0.0, _measured(graph, backend) - call)
    known: dict[str, float | None] = {}
    times: list[float | None] = []
    for node in graph.nodes:
        alone = _alone(node)
        key = alone.structure_hash
        if key not in known:
            try:
                known[key] = max(0.0, _measured(alone, backend) - call)
            except (NotSupportedError, OperationError):
                known[key] = None
        times.append(known[key])
        advance(1)
    return Profile(tuple(times), whole, call)


def _nothing() -> Graph:
    builder = MLGraphBuilder(Draft(SPEC_LIMITS))
    return builder.build({"y": builder.neg(builder.input("x", [1], "float32"))})


def _alone(node: Node) -> Graph:
    """A graph of nothing but `node`, whose inputs are its operands other than constants."""
    inputs: dict[int, MLOperand] = {}
    owner = node.outputs[0].owner

    def outside(operand: MLOperand) -> MLOperand:
        if operand.constant is not None:
            return operand
        if id(operand) not in inputs:
            inputs[id(operand)] = MLOperand(owner, operand.descriptor, name=f"x{len(inputs)}")
        return inputs[id(operand)]

    operands = {
        name: outside(given) if isinstance(given, MLOperand) else tuple(map(outside, given))
        for name, given in node.operands.items()
    }
    copy = node.replace(operands=operands, label="")
    return Graph(inputs.values(), {f"y{i}": output for i, output in enumerate(copy.outputs)})


def _measured(graph: Graph, backend: Backend) -> float:
    """The time of one run, in milliseconds."""
    executable = backend.compile(expanded(graph, backend.composites), CompileOptions(threads=1), Cancellation())
    allocator, generator = backend.allocator, np.random.default_rng(0)
    inputs = [allocator.view(descriptor) for _, descriptor in executable.inputs]
    for (_, descriptor), view in zip(executable.inputs, inputs, strict=True):
        floats = descriptor.data_type.startswith("float")
        given = random_array(descriptor, generator) if floats else np.zeros(descriptor.shape, descriptor.dtype)
        allocator.write(view, given)
    outputs = [allocator.view(descriptor) for _, descriptor in executable.outputs]
    executable.run(inputs, outputs)
    times: list[float] = []
    until = time.perf_counter() + SECONDS
    while len(times) < LEAST or time.perf_counter() < until:
        started = time.perf_counter()
        executable.run(inputs, outputs)
        times.append(time.perf_counter() - started)
    return median(times) * 1e3
