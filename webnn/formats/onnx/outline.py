"""The outline of an ONNX file: inputs, outputs, operators and weights, without an import."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

from webnn.backends.onnx.messages import ModelProto, ValueInfoProto
from webnn.formats.onnx.file.element_types import type_name
from webnn.formats.onnx.file.reading import read_model
from webnn.formats.onnx.importing.data_types import data_type_for
from webnn.formats.onnx.importing.problems import UnsupportedNodeError, qualified_type, shown_name
from webnn.formats.outline import Outline, ValueOutline

__all__ = ["outline_onnx"]


def outline_onnx(path: Path) -> Outline:
    """The outline of the model at `path`; nodes of subgraphs and functions are not counted.

    Raises:
        DataError: the file is not an ONNX model.
        OSError: it cannot be read.
    """
    model = read_model(path).proto
    graph = model.graph
    weights = {tensor.name: tensor.dims for tensor in graph.initializer}
    weights |= {tensor.values.name: tensor.dims for tensor in graph.sparse_initializer}
    return Outline(
        inputs=[_value(info) for info in graph.input if info.name not in weights],
        outputs=[_value(info) for info in graph.output],
        operators=Counter(qualified_type(node, node.domain) for node in graph.node),
        constants=len(weights),
        parameters=sum(map(math.prod, weights.values())),
        about=_about(model),
    )


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
