"""Small ONNX files for tests of whole models, with open dimensions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

__all__ = ["WEIGHT", "image_model", "layer", "mixing", "save_model"]

WEIGHT = np.random.default_rng(3).standard_normal((4, 3)).astype(np.float32)
"""The weight of `layer`."""


def save_model(
    path: Path,
    nodes: Sequence[NodeProto],
    inputs: Mapping[str, Sequence[int | str]],
    outputs: Mapping[str, Sequence[int | str]],
    weights: dict[str, np.ndarray[Any, Any]] | None = None,
) -> Path:
    """A file with these nodes; inputs and outputs are float32."""
    given, made = (
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in values.items()]
        for values in (inputs, outputs)
    )
    constants = [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()]
    graph = helper.make_graph(list(nodes), "g", given, made, constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), path)
    return path


def layer(folder: Path) -> Path:
    """relu(x @ WEIGHT), for x of [batch, 4]."""
    nodes = [helper.make_node("MatMul", ["x", "w"], ["m"]), helper.make_node("Relu", ["m"], ["y"])]
    return save_model(folder / "layer.onnx", nodes, {"x": ["batch", 4]}, {"y": ["batch", 3]}, {"w": WEIGHT})


def image_model(folder: Path) -> Path:
    """The mean of each channel, for images of [batch, 3, height, width]."""
    nodes = [helper.make_node("GlobalAveragePool", ["image"], ["mean"])]
    image: Sequence[int | str] = ["batch", 3, "height", "width"]
    return save_model(folder / "image.onnx", nodes, {"image": image}, {"mean": ["batch", 3, 1, 1]})


def mixing(folder: Path) -> Path:
    """A row for each item, and the sum of all items, so that only one output has a row for each."""
    nodes = [
        helper.make_node("Neg", ["x"], ["each"]),
        helper.make_node("ReduceSum", ["x", "axes"], ["all"], keepdims=0),
    ]
    weights = {"axes": np.array([0], np.int64)}
    each: Sequence[int | str] = ["batch", 4]
    return save_model(folder / "mixing.onnx", nodes, {"x": each}, {"each": each, "all": [4]}, weights)
