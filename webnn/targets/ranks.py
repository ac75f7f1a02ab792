"""Fewer dimensions for an operator: axes that it treats alike are joined before it, and parted after it.

Adjacent axes are joined where the operator does the same along both: those that it does not look at, or that broadcast
in the same way. Where an operator needs more dimensions, it gets axes of size 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from webnn.graph.ir import Node
from webnn.graph.operand import MLOperand
from webnn.graph.rewriting import Replacement
from webnn.targets.breaches import BROADCASTING, ELEMENTWISE
from webnn.targets.remedies import REMEDIES, Remedy, again, gather_flat, gather_row, scatter_flat

__all__ = ["with_other_rank"]

Maker: TypeAlias = Callable[[Replacement, Node, int], Sequence[MLOperand] | None]
"""Builds the node's outputs with operands of at least so many dimensions, and otherwise as few as possible."""
_MAKERS: Final[dict[str, Maker]] = {}


def with_other_rank(b: Replacement, node: Node, lowest: int) -> Sequence[MLOperand] | None:
    """The outputs of `node` computed with as few dimensions as possible, but `lowest`; None if there is no way."""
    maker = _MAKERS.get(node.op)
    return None if maker is None else maker(b, node, lowest)


def _for(*operators: str) -> Callable[[Maker], Maker]:
    def register(maker: Maker) -> Maker:
        _MAKERS.update(dict.fromkeys(operators, maker))
        return maker

    return register


def _groups(keys: Sequence[object], sizes: Sequence[int], lowest: int = 0) -> list[list[int]]:
    """Adjacent axes with equal keys together; an axis of size 1 joins any, if its key is None."""
    groups: list[list[int]] = []
    last: object = None
    for axis, key in enumerate(keys):
        joins = bool(groups) and (key == last or (key is None and sizes[axis] == 1))
        if groups and last is None:
            joins = True  # the axes so far have one value each, and join what follows
        if joins:
            groups[-1].append(axis)
            last = key if last is None else last
        else:
            groups.append([axis])
            last = key
    return groups if len(groups) >= lowest else [*([] for _ in range(lowest - len(groups))), *groups]


def _shape(groups: Sequence[Sequence[int]], sizes: Sequence[int]) -> list[int]:
    return [math.prod(sizes[axis] for axis in group) for group in groups]


def _broadcast_groups(node: Node, lowest: int) -> list[list[int]]:
    """Groups of the output's axes along which each operand either has all sizes, or 1 throughout."""
    rank, out = node.output.rank, node.output.shape
    keys: list[object] = []
    for axis in range(rank):
        own = []
        for operand in node.inputs():
            at = axis - rank + operand.rank
            own.append(at >= 0 and operand.shape[at] != 1)
        keys.append(tuple(own) if out[axis] != 1 else None)
    return _groups(keys, out, lowest)


_MANY: Final = 4
"""More groups than these are not left to an operator."""


@_for(*BROADCASTING, "expand", *ELEMENTWISE, "identity")
def _elementwise(b: Replacement, node: Node, lowest: int) -> Sequence[MLOperand]:
    out = node.output.shape
    groups = _broadcast_groups(node, lowest)
    if len(groups) > _MANY and node.op != "expand":
        groups = _groups([True] * len(out), out, lowest)
    flat = {}
    for name in node.operands:
        operand = node[name]
        whole = [1] * (len(out) - operand.rank) + list(operand.shape)
        if len(groups) == 1 and operand.descriptor.element_count > 1 and _shape(groups, whole) != _shape(groups, out):
            flat[name] = b.reshape(b.expand(operand, out), _shape(groups, out))
        else:
            flat[name] = b.reshape(operand, _shape(groups, whole))
    more = {"new_shape": _shape(groups, out)} if node.op == "expand" else {}
    return [b.reshape(again(b, node, flat, **more)[0], out)]


def _along(node: Node) -> list[int]:
    """The axes that the operator looks at, one by one or as a set."""
    given = node.attributes
    return list(given["axes"]) if "axes" in given else [given["axis"]]


@_for("softmax", "cumulative_sum", "arg_max", "arg_min", "split", "concat", "batch_normalization")
def _along_one_axis(b: Replacement, node: Node, lowest: int) -> Sequence[MLOperand]:
    (axis,) = _along(node)
    name = "inputs" if node.op == "concat" else "input"
    operands = node.operands[name]
    given = operands if isinstance(operands, tuple) else (operands,)
    rank = given[0].rank
    groups = [list(range(axis)), [axis], list(range(axis + 1, rank))]
    if node.op == "batch_normalization":
        lowest = 2
    groups = [group for i, group in enumerate(groups) if group or i == 1]
    groups = groups if len(groups) >= lowest else [*([] for _ in range(lowest - len(groups))), *groups]
    flat = [b.reshape(x, _shape(groups, x.shape)) for x in given]
    made = again(b, node, {name: flat if name == "inputs" else flat[0]}, axis=groups.index([axis]))
    return [b.reshape(y, output.shape) for y, output in zip(made, node.outputs, strict=True)]


_REDUCTIONS: Final = tuple(
    f"reduce_{name}"
    for name in ("l1", "l2", "log_sum", "log_sum_exp", "max", "mean", "min", "product", "sum", "sum_square")
)


@_for("reverse", *_REDUCTIONS)
def _along_a_set(b: Replacement, node: Node, lowest: int) -> Sequence[MLOperand]:
    x, axes = node["input"], sorted(_along(node))
    keys: list[object] = [None if size == 1 else axis in axes for axis, size in enumerate(x.shape)]
    groups = _groups(keys, x.shape, lowest)
    looked_at = [i for i, group in enumerate(groups) if any(axis in axes and x.shape[axis] != 1 for axis in group)]
    if node.op != "reverse" and not looked_at and axes:
        # All reduced axes have one value: the operator still has to be applied, along an axis of its own.
        flat = b.reshape(x, [x.descriptor.element_count, 1])
        return [b.reshape(again(b, node, {"input": flat}, axes=[1])[0], node.output.shape)]
    if node.op != "reverse" and len(groups) > 5:
        order = [*(a for a in range(x.rank) if a not in axes), *axes]
        x = b.transpose(x, permutation=order)
        kept = math.prod(x.shape[: x.rank - len(axes)])
        flat = b.reshape(x, [kept, x.descriptor.element_count // kept])
        return [b.reshape(again(b, node, {"input": flat}, axes=[1])[0], node.output.shape)]
    flat = b.reshape(x, _shape(groups, x.shape))
    return [b.reshape(again(b, node, {"input": flat}, axes=looked_at)[0], node.output.shape)]


@_for("slice", "tile", "pad")
def _window(b: Replacement, node: Node, lowest: int) -> Sequence[MLOperand]:
    """Operators with a number for each axis: axes that stay as they are are joined."""
    x, given = node["input"], node.attributes
    plain: dict[str, Callable[[int], Any]]
    match node.op:
        case "slice":
            untouched = [
                given["starts"][i] == 0 and given["sizes"][i] == size and given["strides"][i] == 1
                for i, size in enumerate(x.shape)
            ]
            plain = {"starts": lambda _: 0, "sizes": lambda size: size, "strides": lambda _: 1}
        case "tile":
            untouched = [count == 1 for count in given["repetitions"]]
            plain = {"repetitions": lambda _: 1}
        case _:
            names = ("beginning_padding", "ending_padding")
            untouched = [all(given[name][i] == 0 for name in names) for i in range(x.rank)]
            plain = dict.fromkeys(names, lambda _: 0)
    touched = [axis for axis, same in enumerate(untouched) if not same]
    if len(touched) > 2:
        return [_one_by_one(b, node, touched, plain)]
    groups = _groups([True if same else (axis,) for axis, same in enumerate(untouched)], x.shape, lowest)
    sizes = _shape(groups, x.shape)
    attributes = {
        name: [
            given[name][group[0]] if len(group) == 1 and not untouched[group[0]] else whole(size)
            for group, size in zip(groups, sizes, strict=True)
        ]
        for name, whole in plain.items()
    }
    return [b.reshape(again(b, node, {"input": b.reshape(x, sizes)}, **attributes)[0], node.output.shape)]


def _one_by_one(
    b: Replacement, node: Node, touched: Sequence[int], plain: Mapping[str, Callable[[int], Any]]
) -> MLOperand:
    """The operator along one axis after the other, with the axes before and after it joined."""
    x = node["input"]
    for axis in touched:
        shape = [math.prod(x.shape[:axis]), x.shape[axis], math.prod(x.shape[axis + 1 :])]
        attributes = {
            name: [whole(shape[0]), node.attributes[name][axis], whole(shape[2])] for name, whole in plain.items()
        }
        (y,) = again(b, node, {"input": b.reshape(x, shape)}, **attributes)
        x = b.reshape(y, [*x.shape[:axis], y.shape[1], *x.shape[axis + 1 :]])
    return x


@_for("quantize_linear", "dequantize_linear")
def _quantization(b: Replacement, node: Node, lowest: int) -> Sequence[MLOperand] | None:
    x, scale = node["input"], node["scale"]
    if any(size not in (1, whole) for size, whole in zip(scale.shape, x.shape, strict=True)):
        return None
    keys: list[object] = [None if size == 1 else scale.shape[axis] != 1 for axis, size in enumerate(x.shape)]
    groups = _groups(keys, x.shape, lowest)
    flat = {name: b.reshape(node[name], _shape(groups, node[name].shape)) for name in node.operands}
    return [b.reshape(again(b, node, flat)[0], node.output.shape)]


@_for("transpose")
def _permute(b: Replacement, node: Node, lowest: int) -> Sequence[MLOperand]:
    x, order = node["input"], list(node.attributes["permutation"])
    order = [axis for axis in order if x.shape[axis] != 1]
    runs: list[list[int]] = []
    for axis in order:
        between = range(runs[-1][-1] + 1, axis) if runs else range(0)
        if runs and axis > runs[-1][-1] and all(x.shape[i] == 1 for i in between):
            runs[-1].append(axis)
        else:
            runs.append([axis])
    runs = runs if len(runs) >= lowest else [*([] for _ in range(lowest - len(runs))), *runs]
    places = sorted(range(len(runs)), key=lambda i: runs[i][0] if runs[i] else -1)
    flat = b.reshape(x, [math.prod(x.shape[axis] for axis in runs[i]) for i in places])
    permutation = [places.index(i) for i in range(len(runs))]
    return [b.reshape(b.transpose(flat, permutation=permutation), node.output.shape)]


@_for("gather")
def _gather(b: Replacement, node: Node, lowest: int) -> Sequence[MLOperand]:
    x, axis = node["input"], node.attributes["axis"]
    shape = [math.prod(x.shape[:axis]), x.shape[axis], math.prod(x.shape[axis + 1 :])]
    indices = b.reshape(node["indices"], [node["indices"].descriptor.element_count])
    return [b.reshape(b.gather(b.reshape(x, shape), indices, axis=1), node.output.shape)]


@_for("gather_elements")
def _gather_elements(b: Replacement, node: Node, lowest: int) -> Sequence[MLOperand]:
    return gather_flat(b, node)


@_for("gather_nd")
def _gather_nd(b: Replacement, node: Node, lowest: int) -> Sequence[MLOperand]:
    return gather_row(b, node)


@_for("scatter_elements")
def _scatter_elements(b: Replacement, node: Node, lowest: int) -> Sequence[MLOperand]:
    return scatter_flat(b, node)


@_for("scatter_nd")
def _scatter_nd(b: Replacement, node: Node, lowest: int) -> Sequence[MLOperand]:
    x, shape = node["input"], node["input"].shape
    *places, depth = node["indices"].shape
    inner = [math.prod(shape[depth:])] if x.rank > depth else []
    made = b.scatter_nd(
        b.reshape(x, [*shape[:depth], *inner]),
        b.reshape(node["indices"], [math.prod(places), depth]),
        b.reshape(node["updates"], [math.prod(places), *inner]),
    )
    return [b.reshape(made, shape)]


@_for("triangular")
def _triangular(b: Replacement, node: Node, lowest: int) -> Sequence[MLOperand]:
    *batch, rows, columns = node["input"].shape
    flat = b.reshape(node["input"], [math.prod(batch), rows, columns])
    return [b.reshape(again(b, node, {"input": flat})[0], node.output.shape)]


@_for("matmul")
def _matmul(b: Replacement, node: Node, lowest: int) -> Sequence[MLOperand]:
    batch = node.output.shape[:-2]
    flat = {}
    for name in ("a", "b"):
        x = node[name]
        x = x if x.shape[:-2] == batch else b.expand(x, [*batch, *x.shape[-2:]])
        flat[name] = b.reshape(x, [math.prod(batch), *x.shape[-2:]])
    return [b.reshape(again(b, node, flat)[0], node.output.shape)]


@_for("layer_normalization")
def _layer_normalization(b: Replacement, node: Node, lowest: int) -> Sequence[MLOperand] | None:
    x, axes = node["input"], list(node.attributes["axes"])
    if axes != list(range(x.rank - len(axes), x.rank)) or not axes:
        return None
    size = math.prod(x.shape[axis] for axis in axes)
    flat = {name: b.reshape(node[name], [size]) for name in ("scale", "bias") if name in node.operands}
    flat["input"] = b.reshape(x, [x.descriptor.element_count // size, size])
    return [b.reshape(again(b, node, flat, axes=[1])[0], x.shape)]


def _fewer(b: Replacement, node: Node) -> Sequence[MLOperand] | None:
    return with_other_rank(b, node, 0)


REMEDIES.update(
    dict.fromkeys(
        ("float-reduction-ranks", "float-reduction-ranks-of-few-axes"), Remedy("reshaped, and back after it", _fewer)
    )
)
