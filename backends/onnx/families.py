"""Imports every family, so that their lowerings are registered."""

from webnn.backends.onnx import (
    activation,
    convolution,
    elementwise,
    functions,
    gathering,
    logic,
    matrix,
    movement,
    normalization,
    pooling,
    quantization,
    recurrent,
    reduction,
    resampling,
    support_vectors,
    trees,
)

__all__ = [
    "activation",
    "convolution",
    "elementwise",
    "functions",
    "gathering",
    "logic",
    "matrix",
    "movement",
    "normalization",
    "pooling",
    "quantization",
    "recurrent",
    "reduction",
    "resampling",
    "support_vectors",
    "trees",
]
