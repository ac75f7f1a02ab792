"""The inputs and outputs that linear models and trees share: rows of features, labels and scores."""

from __future__ import annotations

from typing import Final

from webnn.formats.onnx.importing.node import OnnxNode
from webnn.formats.onnx.importing.problems import UnsupportedNodeError
from webnn.graph.composites.classical_ml import transformed
from webnn.graph.operand import MLOperand

__all__ = ["NO_LABELS", "feature_rows", "post_transform_of", "post_transformed"]

NO_LABELS: Final = UnsupportedNodeError(
    "the labels are strings", "the scores as outputs=[...]; the largest one selects a string outside the graph"
)
_TRANSFORMS: Final = ("NONE", "LOGISTIC", "SOFTMAX")


def feature_rows(node: OnnxNode, index: int = 0) -> MLOperand:
    """An input as rows of float32, the type of all outputs."""
    b, x = node.builder, node.operand(index)
    x = x if x.data_type == "float32" else b.cast(x, "float32")
    return b.reshape(x, [1, *x.shape]) if x.rank == 1 else x


def post_transform_of(node: OnnxNode, name: str | None = None) -> str:
    """The attribute `post_transform`, or `name` in its place, if it is one that can be expressed."""
    name = node.get_string("post_transform", "NONE") if name is None else name
    if name not in _TRANSFORMS:
        raise UnsupportedNodeError(f"its post_transform is {name}", ", ".join(_TRANSFORMS))
    return name


def post_transformed(node: OnnxNode, scores: MLOperand, name: str | None = None) -> MLOperand:
    """The scores after `post_transform`, or after the one called `name`."""
    return transformed(node.builder, scores, post_transform_of(node, name))
