"""The modules of this folder by family. Importing this one imports all of them, which fills the table of operators."""

from __future__ import annotations

from importlib import import_module
from typing import Final

__all__ = ["FAMILIES"]

FAMILIES: Final = (
    "activation",
    "attention",
    "batch_normalization",
    "block_quantization",
    "classical_ml",
    "constants",
    "contrib",
    "control_flow",
    "convolution",
    "elementwise",
    "gathering",
    "grid_sample",
    "group_query_attention",
    "integer_products",
    "logic",
    "matrix",
    "movement",
    "normalization",
    "pooling",
    "qlinear",
    "quantization",
    "recurrent",
    "reduction",
    "resize",
    "scattering",
    "sequences",
    "signal",
    "top_k",
    "tree_ensemble",
)

for family in FAMILIES:
    import_module(f"webnn.formats.onnx.operators.{family}")
