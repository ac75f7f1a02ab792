"""The inputs and outputs that linear models and trees share: rows of features, labels and scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from webnn.formats.onnx.importing.node import OnnxNode
from webnn.formats.onnx.importing.problems import UnsupportedNodeError
from webnn.graph.composites.classical_ml import transformed
from webnn.graph.operand import MLOperand

__all__ = ["NO_LABELS", "feature_rows", "post_transform_of", "post_transformed"]

NO_LABELS: Final = UnsupportedNodeError(
    "the labels are strings", "the scores as outputs=[...]; the largest one selects a string outside the graph"
)


def feature_rows(node: OnnxNode, index: int = 0) -> MLOperand:
    """An input as rows of float32, the type of all outputs."""
    b, x = node.builder, node.operand(index)
    x = x if x.data_type == "float32" else b.cast(x, "float32")
    return b.reshape(x, [1, *x.shape]) if x.rank == 1 else x


def post_transform_of(node: OnnxNode) -> str:
    """The attribute `post_transform`."""
    name = node.get_string("post_transform", "NONE")
    _check_transform(name)
    return name


def _check_transform(name: str) -> None:
    known: Sequence[str] = ("NONE", "LOGISTIC", "SOFTMAX")
    if name not in known:
        raise UnsupportedNodeError(f"its post_transform is {name}", ", ".join(known))


def post_transformed(node: OnnxNode, scores: MLOperand, name: str | None = None) -> MLOperand:
    """The scores after `post_transform`, or after the one called `name`."""
    if name is None:
        name = post_transform_of(node)
    _check_transform(name)
    return transformed(node.builder, scores, name)
