"""The modules of importers; importing this one fills the table."""

from __future__ import annotations

from importlib import import_module
from typing import Final

__all__ = ["FAMILIES"]

FAMILIES: Final = (
    "activation",
    "attention",
    "channelwise",
    "classical",
    "constants",
    "contrib",
    "control",
    "convolution",
    "elementwise",
    "gathering",
    "grouped_attention",
    "integers",
    "logic",
    "matrix",
    "movement",
    "nbits",
    "normalization",
    "pooling",
    "qlinear",
    "quantization",
    "recurrent",
    "reduction",
    "resampling",
    "sampling",
    "scattering",
    "sequences",
    "signal",
    "sorting",
    "trees",
)

for family in FAMILIES:
    import_module(f"webnn.formats.onnx.{family}")
