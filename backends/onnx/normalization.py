"""Normalization in ONNX, which has a fixed place for the features: other inputs are transposed first."""

from __future__ import annotations

from math import prod

from webnn.backends.onnx.lowerings import lowerings
from webnn.backends.onnx.model import Model
from webnn.graph.ir import Node


@lowerings.lowers("batch_normalization", "open_batch_normalization")
def batch_normalization(node: Node, model: Model) -> None:
    """One BatchNormalization, with the features at axis 1."""
    operand, axis = node["input"], node.attributes["axis"]
    name = model[operand]
    order = list(range(operand.rank))
    if axis == 0:
        name = model.reshape(name, (1, *operand.shape))
    else:
        order.insert(1, order.pop(axis))
        name = model.transpose(name, order)
    scale, bias = _factors(node, (operand.shape[axis],), model)
    name = model.emit(
        "BatchNormalization",
        [name, scale, bias, model[node["mean"]], model[node["variance"]]],
        epsilon=node.attributes["epsilon"],
    )
    if axis == 0:
        model.reshape(name, operand.shape, to=node.output)
    else:
        model.set(node.output, model.transpose(name, _inverse(order)))


@lowerings.lowers("instance_normalization", "open_instance_normalization")
def instance_normalization(node: Node, model: Model) -> None:
    """One InstanceNormalization, in layout "nchw"."""
    operand = node["input"]
    order = [0, 1, 2, 3] if node.attributes["layout"] == "nchw" else [0, 3, 1, 2]
    scale, bias = _factors(node, (operand.shape[order[1]],), model)
    name = model.transpose(model[operand], order)
    name = model.emit("InstanceNormalization", [name, scale, bias], epsilon=node.attributes["epsilon"])
    model.set(node.output, model.transpose(name, _inverse(order)))


@lowerings.lowers("layer_normalization")
def layer_normalization(node: Node, model: Model) -> None:
    """One LayerNormalization, with the axes at the end, in ascending order."""
    operand, axes = node["input"], node.attributes["axes"]
    scale, bias = node.get("scale"), node.get("bias")
    sizes = tuple(operand.shape[axis] for axis in sorted(axes))
    if prod(sizes) == 1:
        _normalize_alone(node, model)
        return
    order = [axis for axis in range(operand.rank) if axis not in axes] + sorted(axes)
    ascending = sorted(range(len(axes)), key=axes.__getitem__)
    inputs = [model.transpose(model[operand], order)]
    inputs.append(model.transpose(model[scale], ascending) if scale is not None else _full(1, sizes, node, model))
    if bias is not None:
        inputs.append(model.transpose(model[bias], ascending))
    name = model.emit("LayerNormalization", inputs, axis=operand.rank - len(axes), epsilon=node.attributes["epsilon"])
    model.set(node.output, model.transpose(name, _inverse(order)))


def _normalize_alone(node: Node, model: Model) -> None:
    """Layer normalization of each value by itself, which LayerNormalization cannot do: the value is its own mean."""
    operand = node["input"]
    name = model[operand]
    epsilon = model.emit("Sqrt", [model.constant(node.attributes["epsilon"], operand.data_type)])
    name = model.emit("Div", [model.emit("Sub", [name, name]), epsilon])
    for factor, op_type in (("scale", "Mul"), ("bias", "Add")):
        if (value := node.get(factor)) is not None:
            name = model.emit(op_type, [name, model.reshape(model[value], ())])
    model.set(node.output, name)


def _factors(node: Node, sizes: tuple[int, ...], model: Model) -> tuple[str, str]:
    """Scale and bias; 1 and 0 where they are not given."""
    scale, bias = node.get("scale"), node.get("bias")
    return (
        model[scale] if scale is not None else _full(1, sizes, node, model),
        model[bias] if bias is not None else _full(0, sizes, node, model),
    )


def _full(value: int, sizes: tuple[int, ...], node: Node, model: Model) -> str:
    return model.full(value, sizes, node.output.data_type)


def _inverse(permutation: list[int]) -> list[int]:
    return sorted(range(len(permutation)), key=permutation.__getitem__)
