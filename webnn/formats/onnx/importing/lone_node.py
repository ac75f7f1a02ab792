"""One node as a model of its own, which onnx can infer the shapes of, or compute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from webnn.backends.onnx import messages
from webnn.backends.onnx.messages import ModelProto, ValueInfoProto
from webnn.forking import import_lock
from webnn.formats.onnx.importing.node import OnnxNode
from webnn.formats.onnx.importing.values import Value

__all__ = ["given_values", "lone_node", "output_names"]


def given_values(node: OnnxNode) -> dict[str, Value]:
    """The inputs that `node` has, by their names in its model."""
    return {f"i{i}": value for i, value in enumerate(node.inputs) if value is not None}


def output_names(node: OnnxNode) -> list[str]:
    """The names of the outputs of `node` in its model, in order; empty for those that it leaves out."""
    return [f"o{i}" if name else "" for i, name in enumerate(node.outputs)]


def lone_node(
    node: OnnxNode, arrays: Mapping[str, np.ndarray[Any, Any]], inputs: Sequence[ValueInfoProto] = ()
) -> ModelProto:
    """A model of `node` alone. Its attributes are copies.

    Args:
        node: the node.
        arrays: its inputs that are constants of the model, by their names in `given_values`.
        inputs: the declarations of its other inputs.
    """
    with import_lock:  # here because the onnx package takes longer to load than most models
        from onnx import numpy_helper  # noqa: PLC0415

    given, outputs = given_values(node), output_names(node)
    names = [name if name in given else "" for name in (f"i{i}" for i in range(len(node.inputs)))]
    inner = messages.node(node.op_type, names, outputs, domain=node.domain)
    inner.attribute.extend(node.attributes.values())
    constants = [numpy_helper.from_array(np.asarray(array, order="C"), name) for name, array in arrays.items()]
    results = [ValueInfoProto(name=name) for name in outputs if name]
    graph = messages.graph([inner], "node", inputs, results, constants)
    return messages.model(graph, {node.domain: node.version}, ir_version=10)
