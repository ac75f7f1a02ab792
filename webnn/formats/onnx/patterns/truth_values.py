"""Which tensors are bool in ONNX, among those of uint8, which holds both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from onnx import TensorProto

from webnn.formats.onnx.importing.node import OnnxNode

__all__ = ["is_bool"]

_TRUTHS: Final = frozenset(
    {
        "equal", "greater", "greater_or_equal", "is_infinite", "is_nan", "lesser", "lesser_or_equal", "logical_and",
        "logical_not", "logical_or", "logical_xor", "not_equal",
    }
)  # fmt: skip
"""WebNN's operators whose uint8 is bool. A cast from there to uint8 is an identity, which is not among those below."""
_MOVED: Final[Mapping[str, int]] = {
    **dict.fromkeys(
        [
            "concat", "expand", "gather", "gather_elements", "gather_nd", "pad", "reshape", "reverse",
            "scatter_elements", "scatter_nd", "slice", "split", "tile", "transpose", "triangular",
        ],
        0,
    ),
    "where": 1,
}  # fmt: skip
"""Operators that move values, each with the place of an operand that has them."""


def is_bool(node: OnnxNode, index: int) -> bool:
    """Whether input `index` is bool: by its array, the operator that decided it, or the declaration of an input."""
    value = node.value(index)
    if value.array is not None:
        return bool(value.array.dtype == np.bool_)
    x = value.operand
    while x is not None and x.data_type == "uint8":
        if x.node is None:
            infos = node.importer.model.proto.graph.input
            return any(info.name == x.name and info.type.tensor_type.elem_type == TensorProto.BOOL for info in infos)
        if x.node.op in _TRUTHS:
            return True
        x = tuple(x.node.inputs())[_MOVED[x.node.op]] if x.node.op in _MOVED else None
    return False
