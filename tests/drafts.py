"""Files that name a graph which is built here: models for tests of the command line, whatever formats there are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from webnn.graph.builder import MLGraphBuilder
from webnn.graph.operand import MLOperand

__all__ = ["SUFFIX", "read_draft"]

SUFFIX: Final = ".draft"

BATCH: Final[Mapping[str, int]] = {"batch": 1}

Draft = Callable[[MLGraphBuilder[Any], int], dict[str, MLOperand]]


def _perceptron(builder: MLGraphBuilder[Any], batch: int) -> dict[str, MLOperand]:
    x = builder.input("x", [batch, 3], "float32")
    weight = builder.constant(np.arange(12, dtype=np.float32).reshape(3, 4))
    y = builder.relu(builder.matmul(x, weight, label="dense"), label="<b>[red]relu</b>")
    return {"y": y, "total": builder.reduce_sum(y)}


def _integers(builder: MLGraphBuilder[Any], batch: int) -> dict[str, MLOperand]:
    x = builder.input("x", [batch, 2], "int32")
    return {"y": builder.add(x, builder.constant(np.ones(2, np.int32)))}


def _wide(builder: MLGraphBuilder[Any], batch: int) -> dict[str, MLOperand]:
    """Beyond what Chromium takes: rank 7, and uint8 in arithmetic."""
    x = builder.input("x", [batch, 1, 1, 1, 1, 1, 2], "float32")
    small = builder.input("small", [2], "uint8")
    return {"y": builder.add(x, x, label="wide"), "z": builder.mul(small, small)}


def _pool(builder: MLGraphBuilder[Any], batch: int) -> dict[str, MLOperand]:
    x = builder.input("x", [batch, 1, 6, 6], "float32")
    pooled = builder.max_pool2d(x, window_dimensions=[3, 3], strides=[2, 2], output_shape_rounding="ceil", label="up")
    exact = builder.max_pool2d(x, window_dimensions=[2, 2], strides=[2, 2], output_shape_rounding="ceil")
    return {"y": pooled, "z": exact}


def _deep(builder: MLGraphBuilder[Any], batch: int) -> dict[str, MLOperand]:
    """Over a thousand nodes: a transformer's blocks, and a mask that all of them read."""
    generator = np.random.default_rng(0)
    width = 8
    x = builder.input("hidden", [batch, 4, width], "float32")
    mask = builder.input("mask", [batch, 1, 4], "float32")
    for i in range(72):
        weights = [builder.constant(generator.standard_normal((width, width), np.float32)) for _ in range(4)]
        y = builder.layer_normalization(x, axes=[2], label=f"block{i}/norm")
        query, key, value = (builder.matmul(y, weight) for weight in weights[:3])
        scores = builder.matmul(query, builder.transpose(key, permutation=[0, 2, 1]))
        attention = builder.softmax(builder.add(builder.mul(scores, builder.constant("float32", 0.25)), mask), 2)
        x = builder.add(x, builder.matmul(attention, value))
        x = builder.add(x, builder.gelu(builder.matmul(x, weights[3]), label=f"block{i}/gelu"))
    return {"y": builder.identity(x)}


_DRAFTS: Final[Mapping[str, Draft]] = {
    "perceptron": _perceptron,
    "integers": _integers,
    "wide": _wide,
    "pool": _pool,
    "deep": _deep,
}


def read_draft(path: Path, builder: MLGraphBuilder[Any], *, shapes: Mapping[str, Any] = BATCH) -> dict[str, MLOperand]:
    """The graph that the file names, as a reader of models gives it."""
    return _DRAFTS[path.read_text(encoding="utf-8")](builder, shapes["batch"])
