"""Data movement in ONNX: one node each, and none at all where nothing moves."""

from __future__ import annotations

from typing import Final

from webnn.backends.onnx.lowerings import lowerings
from webnn.backends.onnx.model import Model
from webnn.graph.ir import Node

_PADDING_MODES: Final = {"constant": "constant", "edge": "edge", "reflection": "reflect"}
_TO_THE_FRONT: Final = -(2**31)
"""The end of a `Slice` with a negative step that also takes the first element."""


def _unmoved(node: Node, model: Model) -> bool:
    """Whether the output is as large as the input, which with these operators means that it is the input."""
    if node.output.shape != node["input"].shape:
        return False
    model.set(node.output, model[node["input"]])
    return True


@lowerings.lowers("concat")
def concat(node: Node, model: Model) -> None:
    """One `Concat`."""
    model.emit("Concat", [model[i] for i in node.many("inputs")], to=node.output, axis=node.attributes["axis"])


@lowerings.lowers("expand")
def expand(node: Node, model: Model) -> None:
    """One `Expand`."""
    if not _unmoved(node, model):
        model.emit("Expand", [model[node["input"]], model.constant(node.attributes["new_shape"])], to=node.output)


@lowerings.lowers("pad")
def pad(node: Node, model: Model) -> None:
    """One `Pad`."""
    if _unmoved(node, model):
        return
    input = node["input"]
    inputs = [model[input], model.constant(node.attributes["beginning_padding"] + node.attributes["ending_padding"])]
    if node.attributes["mode"] == "constant":
        inputs.append(model.constant(node.attributes["value"], input.data_type))
    model.emit("Pad", inputs, to=node.output, mode=_PADDING_MODES[node.attributes["mode"]])


@lowerings.lowers("reshape")
def reshape(node: Node, model: Model) -> None:
    """One `Reshape`."""
    if not _unmoved(node, model):
        model.reshape(model[node["input"]], node.attributes["new_shape"], to=node.output)


@lowerings.lowers("reverse")
def reverse(node: Node, model: Model) -> None:
    """One `Slice` that steps backwards."""
    input = node["input"]
    axes = [axis for axis in node.attributes["axes"] if input.shape[axis] > 1]
    if not axes:
        model.set(node.output, model[input])
        return
    bounds = ([-1] * len(axes), [_TO_THE_FRONT] * len(axes), axes, [-1] * len(axes))
    model.emit("Slice", [model[input], *map(model.constant, bounds)], to=node.output)


@lowerings.lowers("slice")
def slice(node: Node, model: Model) -> None:
    """One `Slice`, of the axes that are cut."""
    if _unmoved(node, model):
        return
    input = node["input"]
    ranges = zip(*(node.attributes[name] for name in ("starts", "sizes", "strides")), strict=True)
    cuts = [
        (start, start + size, axis, stride)
        for axis, (start, size, stride) in enumerate(ranges)
        if node.output.shape[axis] < input.shape[axis]
    ]
    bounds = [list(column) for column in zip(*cuts, strict=True)]
    model.emit("Slice", [model[input], *map(model.constant, bounds)], to=node.output)


@lowerings.lowers("split")
def split(node: Node, model: Model) -> None:
    """One `Split`."""
    if _unmoved(node, model):
        return
    inputs = [model[node["input"]], model.constant(node.attributes["splits"])]
    model.emit_many("Split", inputs, node.outputs, axis=node.attributes["axis"])


@lowerings.lowers("tile")
def tile(node: Node, model: Model) -> None:
    """One `Tile`."""
    if not _unmoved(node, model):
        model.emit("Tile", [model[node["input"]], model.constant(node.attributes["repetitions"])], to=node.output)


@lowerings.lowers("transpose")
def transpose(node: Node, model: Model) -> None:
    """One `Transpose`."""
    model.set(node.output, model.transpose(model[node["input"]], node.attributes["permutation"]))


@lowerings.lowers("triangular")
def triangular(node: Node, model: Model) -> None:
    """One `Trilu`."""
    input = node["input"]
    rows, columns = input.shape[-2:]
    diagonal = min(max(node.attributes["diagonal"], -rows), columns)
    inputs = [model[input], model.constant(diagonal)]
    model.emit("Trilu", inputs, to=node.output, upper=int(node.attributes["upper"]))


@lowerings.lowers("depth_to_space", "space_to_depth")
def blocks(node: Node, model: Model) -> None:
    """One node with the same options."""
    op_type = "DepthToSpace" if node.op == "depth_to_space" else "SpaceToDepth"
    model.emit(op_type, [model[node["input"]]], to=node.output, **node.attributes)
