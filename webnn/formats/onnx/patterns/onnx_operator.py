"""ONNX operators defined by others: the inner operator is imported by the function in the table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from webnn.backends.onnx.messages import AttributeProto, attribute
from webnn.formats.onnx.importing.node import OnnxNode
from webnn.formats.onnx.importing.operator_table import import_function_for
from webnn.formats.onnx.importing.problems import UnsupportedNodeError
from webnn.formats.onnx.importing.values import as_value
from webnn.graph.operand import MLOperand

__all__ = ["onnx_operator", "onnx_operator_outputs"]

_VERSION: Final = 21
"""The opset of inner operators by default."""


def onnx_operator_outputs(
    node: OnnxNode,
    op_type: str,
    inputs: Sequence[MLOperand | np.ndarray[Any, Any] | None],
    attributes: Mapping[str, Any] | None = None,
    *,
    outputs: int,
    domain: str = "",
    version: int = _VERSION,
) -> list[MLOperand]:
    """The first outputs of the operator called `op_type`, on behalf of `node`.

    Attributes are Python values or protos of a model; those that the operator lacks are ignored.
    """
    version = 1 if domain else version
    function = import_function_for(domain, op_type, version)
    if function is None:
        raise UnsupportedNodeError(f"it is composed of {op_type}, which cannot be expressed")
    protos = {
        name: value if isinstance(value, AttributeProto) else attribute(name, value)
        for name, value in (attributes or {}).items()
    }
    values = [as_value(value) for value in inputs]
    names = [f"output{i}" for i in range(outputs)]
    result = function(
        OnnxNode(
            node.importer,
            op_type=op_type,
            domain=domain,
            version=version,
            inputs=values,
            attributes=protos,
            outputs=names,
        )
    )
    results: list[Any] = list(result) if isinstance(result, list | tuple) else [result]
    return [node.importer.operand_of(value) for value in map(as_value, results[:outputs]) if value is not None]


def onnx_operator(
    node: OnnxNode,
    op_type: str,
    inputs: Sequence[MLOperand | np.ndarray[Any, Any] | None],
    attributes: Mapping[str, Any] | None = None,
    *,
    version: int = _VERSION,
) -> MLOperand:
    """The output of the operator called `op_type`, on behalf of `node`."""
    return onnx_operator_outputs(node, op_type, inputs, attributes, outputs=1, version=version)[0]
