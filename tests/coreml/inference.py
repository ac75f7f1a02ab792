"""Programs as coremltools computes them itself, on constants: by the value inference that folds constants."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from webnn.backends.coreml.lowerings import lower
from webnn.backends.coreml.program import Program
from webnn.graph.composites.composite import expanded
from webnn.graph.ir import Graph

__all__ = ["Array", "inferred"]

Array = np.ndarray[Any, Any]


def inferred(graph: Graph, feeds: Mapping[str, Array]) -> dict[str, Array | None]:
    """The outputs of `graph` for constant inputs; None for an output that coremltools does not compute."""
    graph = expanded(graph)
    outputs: dict[str, Array | None] = {}
    with Program(graph, feeds) as program:
        lower(program)
        for (name, descriptor), value in zip(graph.output_descriptors.items(), program.outputs(), strict=True):
            if value.val is None:
                outputs[name] = None
                continue
            array = np.asarray(value.val).reshape(descriptor.shape)
            outputs[name] = array.astype(descriptor.dtype)
            if array.dtype.kind in "iu":  # the types of its values are not always those that it declares
                assert (array == outputs[name]).all(), (name, array)
    return outputs
