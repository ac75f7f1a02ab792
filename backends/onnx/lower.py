"""Lowering a whole graph to ONNX."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from webnn.backends.onnx.lowerings import OnnxLowering, lowerings
from webnn.backends.onnx.model import Model
from webnn.backends.onnx.signatures import Kernels
from webnn.graph.ir import Graph

__all__ = ["lower"]


def lower(
    graph: Graph,
    kernels: Kernels | None = None,
    checkpoint: Callable[[], object] | None = None,
    own: Mapping[str, OnnxLowering] = MappingProxyType({}),
) -> Model:
    """Lower every node of `graph`; `model.finish()` then gives the `ModelProto`.

    Args:
        graph: the graph to lower.
        kernels: see `Model`.
        checkpoint: called before each node, e.g. `Cancellation.checkpoint`.
        own: the lowerings of a backend that come before those of the families, by operator.
    """
    model = Model(graph, kernels)
    for node in graph.nodes:
        if checkpoint is not None:
            checkpoint()
        model.begin(node)
        (own.get(node.op) or lowerings[node])(node, model)
    return model
