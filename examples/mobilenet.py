"""Classify a picture with MobileNetV2, run in three ways.

  python examples/mobilenet.py [IMAGE] [--model FOLDER]

FOLDER holds `graph.json` (the layers in order), `weights.safetensors` and, if there is one, `labels1001.txt`. Needs the
extra `demo` (`pip install '.[demo]'` in a clone).
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image
from safetensors.numpy import load_file

import webnn

MODEL: Final = Path(__file__).resolve().parents[2] / "shared" / "models" / "mobilenetv2"
"""Where the weights are if nothing else is said: beside the repository."""
SHAPE: Final = (1, 3, 224, 224)

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Weights:
    """The network as it is stored: its layers in order, and the arrays they name."""

    layers: Sequence[Mapping[str, Any]]
    arrays: Mapping[str, Array]


def load(folder: Path) -> Weights:
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


def blocking(context: webnn.MLContext, graph: webnn.MLGraph, frame: Array, count: int) -> Array:
    """No event loop: each call returns when its result is there."""
    for _ in range(count):
        outputs = context.compute(graph, {"input": frame})
    return outputs["probabilities"]


async def awaiting(context: webnn.MLContext, graph: webnn.MLGraph, frame: Array, count: int) -> Array:
    """Write, dispatch and read tensors in turn; the event loop stays free."""
    pixels = context.create_tensor(SHAPE, "float32", writable=True)
    probabilities = context.create_tensor([1, 1001], "float32", readable=True)
    for _ in range(count):
        context.write_tensor(pixels, frame)
        await context.dispatch(graph, {"input": pixels}, {"probabilities": probabilities})
        result = await context.read_tensor(probabilities)
    return result


async def streaming(context: webnn.MLContext, graph: webnn.MLGraph, frame: Array, count: int) -> Array:
    """Frames in, results out, in order; several frames are prepared and computed side by side."""
    frames = itertools.repeat(frame, count)
    results = context.stream(
        graph, frames, before=lambda frame: {"input": frame}, after=lambda outputs: outputs["probabilities"]
    )
    async for probabilities in results:
        result = probabilities
    return result


def main(image: Path, folder: Path, count: int) -> None:
    weights = load(folder)
    names = folder / "labels1001.txt"
    labels = names.read_text(encoding="utf-8").splitlines() if names.exists() else [str(i) for i in range(1001)]
    with Image.open(image) as opened:
        frame = prepare(opened)
    with webnn.ML().create_context() as context:
        graph = build(context.create_graph_builder(), weights)  # compiles in the background; the first run waits for it
        ways: Mapping[str, Callable[[], Array]] = {
            "blocking": lambda: blocking(context, graph, frame, count),
            "awaiting": lambda: asyncio.run(awaiting(context, graph, frame, count)),
            "streaming": lambda: asyncio.run(streaming(context, graph, frame, count)),
        }
        blocking(context, graph, frame, 1)
        for name, way in ways.items():
            started = time.perf_counter()
            probabilities = way()[0]
            speed = count / (time.perf_counter() - started)
            print(f"{name}: {speed:.0f} frames/s on {context.backend}")
            for index in np.argsort(probabilities)[:-6:-1]:
                print(f"  {probabilities[index]:.4f}  {labels[index]}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Classify a picture with MobileNetV2, in three ways.")
    parser.add_argument("image", nargs="?", type=Path, help="any image; default: the model's test.jpg")
    parser.add_argument("--model", type=Path, default=MODEL, help="folder of graph.json and weights.safetensors")
    parser.add_argument("--frames", type=int, default=100, help="how often to run each way")
    arguments = parser.parse_args()
    if not (arguments.model / "weights.safetensors").exists():
        sys.exit(f"there are no weights in {arguments.model}; say where they are with --model FOLDER")
    try:
        main(arguments.image or arguments.model / "test.jpg", arguments.model, arguments.frames)
    except OSError as error:  # not a picture, or not a readable file
        sys.exit(str(error))
