"""Building and running graphs on a backend directly, without contexts: for tests of operators and lowerings."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np

from webnn.backends.base import Backend, Cancellation, CompileOptions, Executable
from webnn.graph import composites
from webnn.graph.builder import MLGraphBuilder
from webnn.graph.composites.composite import COMPOSITES
from webnn.graph.dtypes import DataType
from webnn.graph.ir import Graph
from webnn.graph.limits import SPEC_LIMITS, LimitsTable
from webnn.graph.operand import MLOperand
from webnn.memory.allocator import HostAllocator


def every_composite() -> Collection[str]:
    """The names of all composites. Programs import the module of a composite when they first need it."""
    for module in pkgutil.iter_modules(composites.__path__, f"{composites.__name__}."):
        importlib.import_module(module.name)
    return COMPOSITES.keys()


class DirectHost:
    """A builder's host that hands back the graph as it is; with a backend, its limits are validated against."""

    def __init__(self, backend: Backend | None = None, composites: Collection[str] = ()) -> None:
        self._limits = backend.support_limits() if backend is not None else SPEC_LIMITS
        self.composites = composites

    @property
    def limits(self) -> LimitsTable:
        return self._limits

    def check_not_lost(self) -> None:
        pass

    def compile(self, graph: Graph) -> Graph:
        return graph


def direct_builder(backend: Backend | None = None, composites: Collection[str] = ()) -> MLGraphBuilder[Graph]:
    return MLGraphBuilder(DirectHost(backend, composites))


def operator_graph(op: str, shape: Sequence[int], data_type: DataType = "float32", **options: Any) -> Graph:
    """The graph `y = op(x, **options)`."""
    builder = direct_builder()
    return builder.build({"y": getattr(builder, op)(builder.input("x", shape, data_type), **options)})


def ops(graph: Graph) -> list[str]:
    """The operators of the nodes, in the graph's order."""
    return [node.op for node in graph.nodes]


def run_graph(graph: Graph, feeds: Mapping[str, Any], backend: Backend) -> dict[str, np.ndarray[Any, Any]]:
    """Compile `graph`, run it once on `feeds`, return its outputs."""
    return run_executable(backend.compile(graph, CompileOptions(), Cancellation()), feeds)


def run_executable(executable: Executable, feeds: Mapping[str, Any]) -> dict[str, np.ndarray[Any, Any]]:
    """The outputs of one run on `feeds`."""
    allocator = HostAllocator()
    inputs, outputs = [], []
    for name, descriptor in executable.inputs:
        view = allocator.allocate(descriptor.byte_length).view(descriptor)
        allocator.write(view, np.asarray(feeds[name], descriptor.dtype))
        inputs.append(view)
    for _, descriptor in executable.outputs:
        outputs.append(allocator.allocate(descriptor.byte_length).view(descriptor))
    executable.run(inputs, outputs)
    return {name: view.array for (name, _), view in zip(executable.outputs, outputs, strict=True)}


def call(op: str, **options: Any) -> Callable[..., MLOperand]:
    """A function for `compute` that adds the operator, with these options."""
    return lambda builder, *operands: getattr(builder, op)(*operands, **options)


def compute(backend: Backend, build: Callable[..., MLOperand], *arrays: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The value of `build(builder, *operands)`, where each operand is an input that is given one of `arrays`."""
    builder = direct_builder(backend)
    feeds = {f"input{i}": array for i, array in enumerate(arrays)}
    operands = [builder.input(name, array.shape, array.dtype.name) for name, array in feeds.items()]
    return run_graph(builder.build({"output": build(builder, *operands)}), feeds, backend)["output"]
