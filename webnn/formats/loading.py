"""From a file to a compiled graph, in the given context or in a new one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias

from webnn.errors import ValidationError
from webnn.graph.arguments import shown
from webnn.graph.builder import MLGraphBuilder
from webnn.graph.operand import MLOperand
from webnn.runtime.context import MLContext
from webnn.runtime.graph import MLGraph
from webnn.runtime.ml import ML

__all__ = ["Add", "loaded"]

Add: TypeAlias = Callable[[MLGraphBuilder[MLGraph]], Mapping[str, MLOperand]]
"""Adds the operators of a file to a builder; returns the outputs by name."""


def loaded(form: Literal["onnx", "webnn"], context: MLContext | None, add: Add) -> MLGraph:
    """The graph of the operators that `add` adds; a new context is destroyed if it fails."""
    if isinstance(context, MLGraphBuilder):
        raise ValidationError(
            f"load_{form} takes a context, got a builder; use import_{form}(model, builder), which returns operands"
        )
    if not isinstance(context, MLContext | None):
        raise ValidationError(f"load_{form}: context must be an MLContext, got {shown(context)}")
    chosen = context if context is not None else ML().create_context()
    try:
        builder = chosen.create_graph_builder()
        return builder.build(add(builder))
    except BaseException:
        if context is None:
            chosen.destroy()
        raise
