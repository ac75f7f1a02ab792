"""MobileNetV2 from a graph file and SafeTensors, layer by layer: a network for benchmarks and tests.

Its weights are in `shared`, a folder that `WEBNN_SHARED` names.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image
from safetensors.numpy import load_file

import webnn

__all__ = ["MODEL", "Array", "Weights", "build", "load", "prepare"]

SHARED: Final = Path(os.environ.get("WEBNN_SHARED") or Path(__file__).resolve().parents[2] / "shared")
MODEL: Final = SHARED / "models" / "mobilenetv2"
SHAPE: Final = (1, 3, 224, 224)

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Weights:
    """The network as it is stored: its layers in order, and the arrays they name."""

    layers: Sequence[Mapping[str, Any]]
    arrays: Mapping[str, Array]


def load(folder: Path) -> Weights:
    """The network in a folder: `graph.json`, the layers in order, and `weights.safetensors`."""
    layers = json.loads((folder / "graph.json").read_text(encoding="utf-8"))["layers"]
    return Weights(layers, load_file(folder / "weights.safetensors"))


def build(builder: webnn.MLGraphBuilder[webnn.MLGraph], weights: Weights) -> webnn.MLGraph:
    """The network, layer by layer: `input` [1, 3, 224, 224] to `probabilities` [1, 1001]."""
    values = {"input": builder.input("input", SHAPE, "float32")}
    constant = {name: builder.constant(array) for name, array in weights.arrays.items()}
    for layer in weights.layers:
        match layer["op"]:
            case "conv2d":
                y = builder.conv2d(
                    values[layer["input"]],
                    constant[layer["weight"]],
                    bias=constant[layer["bias"]],
                    padding=layer["padding"],
                    strides=layer["strides"],
                    groups=layer["groups"],
                    label=layer["name"],
                )
                if layer["clamp"]:
                    low, high = layer["clamp"]
                    y = builder.clamp(y, min_value=low, max_value=high)
            case "add":
                y = builder.add(values[layer["a"]], values[layer["b"]])
            case "averagePool2d":
                y = builder.average_pool2d(values[layer["input"]])
            case "reshape":
                y = builder.reshape(values[layer["input"]], layer["newShape"])
            case "gemm":
                weight, bias = constant[layer["weight"]], constant[layer["bias"]]
                y = builder.gemm(values[layer["input"]], weight, c=bias, b_transpose=True)
            case "softmax":
                y = builder.softmax(values[layer["input"]], 1)
            case other:
                raise ValueError(f"graph.json has a layer {other!r}, which this network does not")
        values[layer["output"]] = y
    return builder.build({"probabilities": y})


def prepare(image: Image.Image) -> Array:
    """Pixels as the network takes them: 224 x 224, -1 to 1, channels first."""
    pixels = np.asarray(image.convert("RGB").resize((224, 224), Image.Resampling.BILINEAR), np.float32)
    return np.ascontiguousarray(((pixels - 128) / 128).transpose(2, 0, 1)[None])
