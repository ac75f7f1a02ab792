"""The outline of an ONNX file: inputs, outputs, operators and weights, without an import.

Operators and weights are counted wherever they are: in the graph, in the branches of `If` and the bodies of loops, and
in the functions of the model, once for each call. A call counts as an operator of the function's name, too.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from webnn.backends.onnx.messages import FunctionProto, GraphProto, ModelProto, NodeProto, ValueInfoProto
from webnn.formats.onnx.file.element_types import type_name
from webnn.formats.onnx.file.reading import read_model
from webnn.formats.onnx.importing.data_types import data_type_for
from webnn.formats.onnx.importing.problems import UnsupportedNodeError, qualified_type, shown_name
from webnn.formats.outline import Outline, ValueOutline

__all__ = ["outline_onnx"]


def outline_onnx(path: Path) -> Outline:
    """The outline of the model at `path`.

    Raises:
        DataError: the file is not an ONNX model.
        OSError: it cannot be read.
    """
    model = read_model(path).proto
    graph = model.graph
    contents = _Contents(model.functions)
    contents.add_graph(graph)
    given = {tensor.name for tensor in graph.initializer}
    given |= {tensor.values.name for tensor in graph.sparse_initializer}
    return Outline(
        inputs=[_value(info) for info in graph.input if info.name not in given],
        outputs=[_value(info) for info in graph.output],
        operators=contents.operators,
        constants=contents.constants,
        parameters=contents.parameters,
        about=_about(model),
    )


class _Contents:
    """Counts what is in graphs and functions."""

    def __init__(self, functions: Iterable[FunctionProto]) -> None:
        self.operators: Counter[str] = Counter()
        self.constants = 0
        self.parameters = 0
        self._functions = {(f.domain, f.name, f.overload): f for f in functions}
        self._in_function: dict[tuple[str, str, str], _Contents | None] = {}

    def add_graph(self, graph: GraphProto) -> None:
        """Count a graph, and the graphs and functions inside."""
        for dims in (*(t.dims for t in graph.initializer), *(t.dims for t in graph.sparse_initializer)):
            self.constants += 1
            self.parameters += math.prod(dims)
        self.add_nodes(graph.node)

    def add_nodes(self, nodes: Iterable[NodeProto]) -> None:
        """Count nodes, and the graphs and functions inside."""
        for node in nodes:
            self.operators[qualified_type(node, node.domain)] += 1
            for attribute in node.attribute:
                for graph in (attribute.g, *attribute.graphs) if attribute.HasField("g") else attribute.graphs:
                    self.add_graph(graph)
            inside = self._of_function((node.domain, node.op_type, node.overload))
            if inside is not None:
                self.operators.update(inside.operators)
                self.constants += inside.constants
                self.parameters += inside.parameters

    def _of_function(self, key: tuple[str, str, str]) -> _Contents | None:
        """What one call of a function counts; None for operators, and for a function that calls itself."""
        if key not in self._functions:
            return None
        if key not in self._in_function:
            self._in_function[key] = None
            inside = _Contents(())
            inside._functions, inside._in_function = self._functions, self._in_function
            inside.add_nodes(self._functions[key].node)
            self._in_function[key] = inside
        return self._in_function[key]


def _about(model: ModelProto) -> dict[str, str]:
    """The format, the operator sets and the producer; what a file leaves open is left out."""
    opsets = [f"{shown_name(each.domain)} {each.version}".strip() for each in model.opset_import]
    producer = f"{shown_name(model.producer_name)} {shown_name(model.producer_version)}".strip()
    told = {
        "format": f"ONNX, IR version {model.ir_version}",
        "opset": ", ".join(opsets),
        "producer": producer,
        "graph": shown_name(model.graph.name),
        "description": shown_name(model.doc_string),
    }
    return {name: value for name, value in told.items() if value}


def _value(info: ValueInfoProto) -> ValueOutline:
    name = shown_name(info.name)
    if not info.type.HasField("tensor_type"):
        return ValueOutline(name, info.type.WhichOneof("value") or "")
    tensor = info.type.tensor_type
    try:
        data_type: str = data_type_for(tensor.elem_type)
    except UnsupportedNodeError:
        data_type = type_name(tensor.elem_type)
    sizes = [d.dim_value if d.dim_value > 0 else shown_name(d.dim_param or "?") for d in tensor.shape.dim]
    return ValueOutline(name, data_type, sizes if tensor.HasField("shape") else None)
