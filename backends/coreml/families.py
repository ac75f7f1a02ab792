"""Imports every family, so that their lowerings are registered."""

from webnn.backends.coreml import (
    activation,
    convolution,
    elementwise,
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
)

__all__ = [
    "activation",
    "convolution",
    "elementwise",
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
]
