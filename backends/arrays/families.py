"""Imports every family, so that their kernels are registered."""

from webnn.backends.arrays import (
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
