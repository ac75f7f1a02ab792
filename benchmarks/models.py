"""The models that benchmarks run, each in WebNN and as the ONNX file that raw onnxruntime is given.

The ONNX side is made with `onnx.helper` alone, so that the peer owes nothing to what is measured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from benchmarks import mobilenet_v2 as mobilenet
from webnn import MLGraph, MLGraphBuilder

__all__ = ["Model", "convolutions", "dense", "image_model", "mlp", "real_model_folder", "tiny"]

MODELS: Final = Path(__file__).resolve().parents[2] / "shared" / "models"
OPSET: Final = 21

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Model:
    """One network, of one input and one output.

    Attributes:
        name: what a report calls it.
        input: name and an array to feed.
        output: name and shape.
        build: builds it with WebNN.
        onnx: gives the bytes of an ONNX model of the same weights.
    """

    name: str
    input: tuple[str, Array]
    output: tuple[str, Sequence[int]]
    build: Callable[[MLGraphBuilder[MLGraph]], MLGraph]
    onnx: Callable[[], bytes]


def real_model_folder(models: Path | None) -> Path | None:
    """The folder of MobileNetV2 below `models`, if it is there."""
    folder = (models or MODELS) / "mobilenetv2"
    return folder if (folder / "weights.safetensors").exists() else None


def image_model(models: Path | None, variant: int = 0) -> Model:
    """MobileNetV2 from its files; or, without them, an MLP of about the same cost.

    Each `variant` has weights of its own, so that no two of them can be one compiled graph.
    """
    folder = real_model_folder(models)
    if folder is None:
        return mlp("an MLP (MobileNetV2 is not here)", [1024, 2048, 2048, 1001], variant)
    stored = mobilenet.load(folder)
    weights = mobilenet.Weights(
        stored.layers, {name: array + np.float32(variant) * 1e-3 for name, array in stored.arrays.items()}
    )
    pixels = np.random.default_rng(0).integers(0, 256, (224, 224, 3), np.uint8)
    frame = np.ascontiguousarray(((pixels.astype(np.float32) - 128) / 128).transpose(2, 0, 1)[None])
    return Model(
        "MobileNetV2",
        ("input", frame),
        ("probabilities", (1, 1001)),
        lambda builder: mobilenet.build(builder, weights),
        lambda: _mobilenet_onnx(weights),
    )


def tiny() -> Model:
    """relu(x + 1) on 2x3: costs nothing, so that what is left is the runtime."""
    one = np.ones((2, 3), np.float32)
    data = np.array([[1, -2, 3], [4, -5, 6]], np.float32)

    def build(builder: MLGraphBuilder[MLGraph]) -> MLGraph:
        x = builder.input("x", (2, 3), "float32")
        return builder.build({"y": builder.relu(builder.add(x, builder.constant(one)))})

    def onnx() -> bytes:
        nodes = [helper.make_node("Add", ["x", "one"], ["sum"]), helper.make_node("Relu", ["sum"], ["y"])]
        return _model(nodes, ("x", data.shape), ("y", data.shape), {"one": one})

    return Model("relu(x + 1)", ("x", data), ("y", data.shape), build, onnx)


def mlp(name: str, widths: Sequence[int], seed: int = 0) -> Model:
    """Dense layers with relu, of random weights, batch 1."""
    random = np.random.default_rng(seed)
    weights = [random.standard_normal((a, b), np.float32) * np.float32(np.sqrt(2 / a)) for a, b in pairwise(widths)]

    def build(builder: MLGraphBuilder[MLGraph]) -> MLGraph:
        y = builder.input("x", (1, widths[0]), "float32")
        for weight in weights:
            y = builder.relu(builder.matmul(y, builder.constant(weight)))
        return builder.build({"y": y})

    def onnx() -> bytes:
        nodes, x = [], "x"
        for i in range(len(weights)):
            y = "y" if i == len(weights) - 1 else f"h{i}"
            nodes.append(helper.make_node("MatMul", [x, f"w{i}"], [f"m{i}"]))
            nodes.append(helper.make_node("Relu", [f"m{i}"], [y]))
            x = y
        named = {f"w{i}": weight for i, weight in enumerate(weights)}
        return _model(nodes, ("x", (1, widths[0])), ("y", (1, widths[-1])), named)

    return Model(name, ("x", random.random((1, widths[0]), np.float32)), ("y", (1, widths[-1])), build, onnx)


def convolutions(name: str, layers: int, channels: int = 64, side: int = 32, seed: int = 0) -> Model:
    """Convolutions of 3x3 with relu, of random weights: little memory, and work that grows with their number."""
    random = np.random.default_rng(seed)
    widths = [8, *[channels] * (layers - 1), 1]
    filters = [
        random.standard_normal((b, a, 3, 3), np.float32) * np.float32(np.sqrt(2 / 9 / a)) for a, b in pairwise(widths)
    ]
    input_shape, output_shape = (1, widths[0], side, side), (1, widths[-1], side, side)

    def build(builder: MLGraphBuilder[MLGraph]) -> MLGraph:
        y = builder.input("x", input_shape, "float32")
        for each in filters:
            y = builder.relu(builder.conv2d(y, builder.constant(each), padding=[1, 1, 1, 1]))
        return builder.build({"y": y})

    def onnx() -> bytes:
        nodes, x = [], "x"
        for i in range(layers):
            y = "y" if i == layers - 1 else f"h{i}"
            nodes.append(helper.make_node("Conv", [x, f"w{i}"], [f"c{i}"], pads=[1, 1, 1, 1]))
            nodes.append(helper.make_node("Relu", [f"c{i}"], [y]))
            x = y
        named = {f"w{i}": each for i, each in enumerate(filters)}
        return _model(nodes, ("x", input_shape), ("y", output_shape), named)

    return Model(name, ("x", random.random(input_shape, np.float32)), ("y", output_shape), build, onnx)


def dense(width: int, rows: int = 1, seed: int = 0) -> Model:
    """relu(x @ W) with a random square matrix, which keeps the size of what it is given about the same."""
    random = np.random.default_rng(seed)
    weight = random.standard_normal((width, width), np.float32) * np.float32(np.sqrt(2 / width))
    shape = (rows, width)

    def build(builder: MLGraphBuilder[MLGraph]) -> MLGraph:
        x = builder.input("x", shape, "float32")
        return builder.build({"y": builder.relu(builder.matmul(x, builder.constant(weight)))})

    def onnx() -> bytes:
        nodes = [helper.make_node("MatMul", ["x", "w"], ["m"]), helper.make_node("Relu", ["m"], ["y"])]
        return _model(nodes, ("x", shape), ("y", shape), {"w": weight})

    return Model(f"relu(x @ W), {width}", ("x", random.random(shape, np.float32)), ("y", shape), build, onnx)


def _mobilenet_onnx(weights: mobilenet.Weights) -> bytes:
    nodes: list[Any] = []
    constants: dict[str, Any] = dict(weights.arrays)
    for layer in weights.layers:
        out = layer["output"]
        match layer["op"]:
            case "conv2d":
                top, bottom, left, right = layer["padding"]
                sources, target = [layer["input"], layer["weight"], layer["bias"]], out
                if layer["clamp"]:
                    constants["low"], constants["high"] = (np.float32(bound) for bound in layer["clamp"])
                    target = out + "/convolved"
                pads, strides, groups = [top, left, bottom, right], layer["strides"], layer["groups"]
                nodes.append(helper.make_node("Conv", sources, [target], pads=pads, strides=strides, group=groups))
                if layer["clamp"]:
                    nodes.append(helper.make_node("Clip", [target, "low", "high"], [out]))
            case "add":
                nodes.append(helper.make_node("Add", [layer["a"], layer["b"]], [out]))
            case "averagePool2d":
                nodes.append(helper.make_node("GlobalAveragePool", [layer["input"]], [out]))
            case "reshape":
                constants["shape"] = np.array(layer["newShape"], np.int64)
                nodes.append(helper.make_node("Reshape", [layer["input"], "shape"], [out]))
            case "gemm":
                sources = [layer["input"], layer["weight"], layer["bias"]]
                nodes.append(helper.make_node("Gemm", sources, [out], transB=1))
            case _:
                nodes.append(helper.make_node("Softmax", [layer["input"]], [out], axis=1))
    return _model(nodes, ("input", mobilenet.SHAPE), ("probabilities", (1, 1001)), constants)


def _model(
    nodes: Sequence[Any],
    input: tuple[str, Sequence[int]],
    output: tuple[str, Sequence[int]],
    constants: Mapping[str, Any],
) -> bytes:
    """The bytes of an ONNX model of float32 input and output."""
    inputs, outputs = (
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)] for name, shape in (input, output)
    )
    initializers = [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "model", inputs, outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    serialized: bytes = model.SerializeToString()
    return serialized
