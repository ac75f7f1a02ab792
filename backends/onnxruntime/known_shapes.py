"""The shapes of what operators compute of constants, without the onnx package, which is slow to import."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Final, TypeAlias

import numpy as np

from webnn.backends.onnx.messages import AttributeProto, NodeProto, TensorProto

__all__ = ["KNOWN", "Known", "known_results", "known_tensor"]

Shape: TypeAlias = tuple[int, ...]
Known: TypeAlias = tuple[int, Shape]
"""An element type and a shape."""

_SAME: Final = frozenset(
    {"Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "BatchNormalization", "Cast", "Ceil", "Celu", "Clip"}
    | {"Cos", "Cosh", "CumSum", "DequantizeLinear", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish"}
    | {"Hardmax", "Identity", "InstanceNormalization", "IsInf", "IsNaN", "LayerNormalization", "LeakyRelu", "Log"}
    | {"LogSoftmax", "Neg", "Not", "PRelu", "QuantizeLinear", "Reciprocal", "Relu", "ReverseSequence", "Round"}
    | {"ScatterElements"}
    | {"ScatterND", "Selu", "Shrink", "Sigmoid", "Sign", "Sin", "Sinh", "Softmax", "Softplus", "Softsign", "Sqrt"}
    | {"Tan", "Tanh", "ThresholdedRelu", "Trilu"}
)
"""Operators whose output has the shape of the first input."""
_BROADCAST: Final = frozenset(
    {
        "Add",
        "And",
        "BitShift",
        "BitwiseAnd",
        "BitwiseOr",
        "BitwiseXor",
        "Div",
        "Equal",
        "Greater",
        "GreaterOrEqual",
        "Less",
        "LessOrEqual",
    }
    | {"Max", "Min", "Mod", "Mul", "Or", "Pow", "Sub", "Where", "Xor"}
)
"""Operators whose output has the shape of all inputs together."""
_BOOLEAN: Final = frozenset(
    {"And", "Equal", "Greater", "GreaterOrEqual", "IsInf", "IsNaN", "Less", "LessOrEqual", "Not", "Or", "Xor"}
)
_REDUCTIONS: Final = frozenset(
    {"ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd"}
    | {"ReduceSum", "ReduceSumSquare"}
)


def known_tensor(tensor: TensorProto) -> Known:
    """The type and the shape of a constant."""
    return tensor.data_type, tuple(tensor.dims)


def known_results(
    node: NodeProto, known: Mapping[str, Known], constants: Mapping[str, TensorProto]
) -> Sequence[Known] | None:
    """The type and the shape of each output of `node`, whose inputs are all known; None if it is another operator."""
    if node.domain or node.op_type not in KNOWN:
        return None
    attributes = {attribute.name: attribute for attribute in node.attribute}
    given = [known[name] for name in node.input if name]
    results: Sequence[Known] | None
    if node.op_type in _SAME or node.op_type in _BROADCAST:
        shapes = [shape for _, shape in (given if node.op_type in _BROADCAST else given[:1])]
        results = [(_type_of(node.op_type, attributes, given), np.broadcast_shapes(*shapes))]
    elif node.op_type in _REDUCTIONS:
        axes = _list(constants, node, 1) if len(node.input) > 1 else range(len(given[0][1]))
        keeps = "keepdims" not in attributes or bool(attributes["keepdims"].i)
        results = None if axes is None else [(given[0][0], _reduced(given[0][1], axes, keeps=keeps))]
    else:
        lists = [_list(constants, node, place) for place in range(1, len(node.input))]
        results = _SHAPES[node.op_type](attributes, given, lists, len(node.output))
    return results if results is not None and len(results) == len(node.output) else None


def _type_of(op_type: str, attributes: Mapping[str, AttributeProto], given: Sequence[Known]) -> int:
    if op_type == "Cast":
        return int(attributes["to"].i)
    if op_type in _BOOLEAN:
        return TensorProto.BOOL
    if op_type == "QuantizeLinear":
        return given[2][0] if len(given) > 2 else TensorProto.UINT8
    return given[1 if op_type in ("DequantizeLinear", "Where") else 0][0]


def _list(constants: Mapping[str, TensorProto], node: NodeProto, place: int) -> Shape | None:
    """The elements of an input that is a list of sizes in the model; None of another one."""
    tensor = constants.get(node.input[place])
    if tensor is None or tensor.data_type != TensorProto.INT64 or not tensor.raw_data:
        return None
    return tuple(np.frombuffer(tensor.raw_data, "<i8").tolist())


def _reduced(shape: Shape, axes: Sequence[int], *, keeps: bool) -> Shape:
    dropped = {axis % len(shape) for axis in axes}
    return tuple(1 if i in dropped else size for i, size in enumerate(shape) if keeps or i not in dropped)


Attributes: TypeAlias = Mapping[str, AttributeProto]
Lists: TypeAlias = Sequence[Shape | None]
Rule: TypeAlias = Callable[[Attributes, Sequence[Known], Lists, int], "Sequence[Known] | None"]
"""The results from the attributes, the inputs, the lists of sizes among the inputs but the first, and their number."""


def _axis(attributes: Attributes, given: Sequence[Known], default: int = 0) -> int:
    """The attribute `axis` of an operator whose first input has that axis."""
    axis = int(attributes["axis"].i) if "axis" in attributes else default
    return axis + len(given[0][1]) if axis < 0 else axis


def _resized(shape: Shape, axis: int, size: Sequence[int]) -> Shape:
    return (*shape[:axis], *size, *shape[axis + 1 :])


def _arg(attributes: Attributes, given: Sequence[Known], _lists: Lists, _count: int) -> Sequence[Known]:
    keeps = "keepdims" not in attributes or bool(attributes["keepdims"].i)
    return [(TensorProto.INT64, _reduced(given[0][1], [_axis(attributes, given)], keeps=keeps))]


def _concat(attributes: Attributes, given: Sequence[Known], _lists: Lists, _count: int) -> Sequence[Known]:
    axis, (kind, first) = _axis(attributes, given), given[0]
    return [(kind, _resized(first, axis, [sum(shape[axis] for _, shape in given)]))]


def _depth_to_space(attributes: Attributes, given: Sequence[Known], _lists: Lists, _count: int) -> Sequence[Known]:
    (kind, (n, c, h, w)), block = given[0], int(attributes["blocksize"].i)
    return [(kind, (n, c // (block * block), h * block, w * block))]


def _space_to_depth(attributes: Attributes, given: Sequence[Known], _lists: Lists, _count: int) -> Sequence[Known]:
    (kind, (n, c, h, w)), block = given[0], int(attributes["blocksize"].i)
    return [(kind, (n, c * block * block, h // block, w // block))]


def _columns(_attributes: Attributes, given: Sequence[Known], lists: Lists, _count: int) -> Sequence[Known] | None:
    (kind, (n, channels, _)), (sizes, block) = given[0], lists
    return None if sizes is None or block is None else [(kind, (n, channels // prod(block), *sizes))]


def _det(_attributes: Attributes, given: Sequence[Known], _lists: Lists, _count: int) -> Sequence[Known]:
    return [(given[0][0], given[0][1][:-2])]


def _grid_sample(_attributes: Attributes, given: Sequence[Known], _lists: Lists, _count: int) -> Sequence[Known]:
    (kind, images), (_, grid) = given
    return [(kind, images[:2] + grid[1:-1])]


def _expand(_attributes: Attributes, given: Sequence[Known], lists: Lists, _count: int) -> Sequence[Known] | None:
    kind, first = given[0]
    return None if lists[0] is None else [(kind, np.broadcast_shapes(first, lists[0]))]


def _gather(attributes: Attributes, given: Sequence[Known], _lists: Lists, _count: int) -> Sequence[Known]:
    (kind, first), (_, indices) = given
    return [(kind, _resized(first, _axis(attributes, given), indices))]


def _gather_elements(_attributes: Attributes, given: Sequence[Known], _lists: Lists, _count: int) -> Sequence[Known]:
    return [(given[0][0], given[1][1])]


def _gather_nd(attributes: Attributes, given: Sequence[Known], _lists: Lists, _count: int) -> Sequence[Known]:
    (kind, first), (_, indices) = given
    batch = int(attributes["batch_dims"].i) if "batch_dims" in attributes else 0
    return [(kind, indices[:-1] + first[batch + indices[-1] :])]


def _gemm(attributes: Attributes, given: Sequence[Known], _lists: Lists, _count: int) -> Sequence[Known]:
    a, b = (
        shape[::-1] if name in attributes and attributes[name].i else shape
        for name, (_, shape) in zip(("transA", "transB"), given, strict=False)
    )
    return [(given[0][0], (a[0], b[1]))]


def _global_pool(_attributes: Attributes, given: Sequence[Known], _lists: Lists, _count: int) -> Sequence[Known]:
    kind, first = given[0]
    return [(kind, first[:2] + (1,) * (len(first) - 2))]


def _matmul(_attributes: Attributes, given: Sequence[Known], _lists: Lists, _count: int) -> Sequence[Known] | None:
    (kind, a), (_, b) = given[:2]
    if len(a) < 2 or len(b) < 2:
        return None
    return [(kind, (*np.broadcast_shapes(a[:-2], b[:-2]), a[-2], b[-1]))]


def _matmul_integer(attributes: Attributes, given: Sequence[Known], lists: Lists, count: int) -> Sequence[Known] | None:
    found = _matmul(attributes, given, lists, count)
    return None if found is None else [(TensorProto.INT32, shape) for _, shape in found]


def _pad(_attributes: Attributes, given: Sequence[Known], lists: Lists, _count: int) -> Sequence[Known] | None:
    (kind, first), pads = given[0], lists[0]
    if pads is None or len(pads) != 2 * len(first):
        return None
    return [(kind, tuple(size + pads[i] + pads[i + len(first)] for i, size in enumerate(first)))]


def _reshape(_attributes: Attributes, given: Sequence[Known], lists: Lists, _count: int) -> Sequence[Known] | None:
    sizes = lists[0]
    return None if sizes is None or min(sizes, default=1) <= 0 else [(given[0][0], sizes)]


def _roi_align(attributes: Attributes, given: Sequence[Known], _lists: Lists, _count: int) -> Sequence[Known]:
    (kind, images), (_, rois) = given[:2]
    return [(kind, (rois[0], images[1], int(attributes["output_height"].i), int(attributes["output_width"].i)))]


def _slice(_attributes: Attributes, given: Sequence[Known], lists: Lists, _count: int) -> Sequence[Known] | None:
    kind, first = given[0]
    starts, ends, *rest = lists
    axes = rest[0] if rest else tuple(range(len(starts or ())))
    steps = rest[1] if len(rest) > 1 else (1,) * len(axes or ())
    if starts is None or ends is None or axes is None or steps is None:
        return None
    sizes = list(first)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        sizes[axis] = len(range(*slice(start, end, step).indices(first[axis])))
    return [(kind, tuple(sizes))]


def _split(attributes: Attributes, given: Sequence[Known], lists: Lists, count: int) -> Sequence[Known] | None:
    axis, (kind, first) = _axis(attributes, given), given[0]
    part = -(-first[axis] // count)
    sizes = lists[0] if lists else [min(part, first[axis] - part * i) for i in range(count)]
    return None if sizes is None else [(kind, _resized(first, axis, [size])) for size in sizes]


def _tile(_attributes: Attributes, given: Sequence[Known], lists: Lists, _count: int) -> Sequence[Known] | None:
    kind, first = given[0]
    return None if lists[0] is None else [(kind, tuple(np.multiply(first, lists[0]).tolist()))]


def _top_k(attributes: Attributes, given: Sequence[Known], lists: Lists, _count: int) -> Sequence[Known] | None:
    if lists[0] is None:
        return None
    (kind, first), axis = given[0], _axis(attributes, given, -1)
    shape = _resized(first, axis, lists[0])
    return [(kind, shape), (TensorProto.INT64, shape)]


def _transpose(attributes: Attributes, given: Sequence[Known], _lists: Lists, _count: int) -> Sequence[Known]:
    kind, first = given[0]
    order = attributes["perm"].ints if "perm" in attributes else range(len(first))[::-1]
    return [(kind, tuple(first[axis] for axis in order))]


def _unsqueeze(_attributes: Attributes, given: Sequence[Known], lists: Lists, _count: int) -> Sequence[Known] | None:
    (kind, first), axes = given[0], lists[0]
    if axes is None:
        return None
    rank, sizes = len(first) + len(axes), iter(first)
    added = {axis % rank for axis in axes}
    return [(kind, tuple(1 if i in added else next(sizes) for i in range(rank)))]


_SHAPES: Final[Mapping[str, Rule]] = {
    "ArgMax": _arg,
    "ArgMin": _arg,
    "Col2Im": _columns,
    "Concat": _concat,
    "DepthToSpace": _depth_to_space,
    "Det": _det,
    "Expand": _expand,
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "GatherND": _gather_nd,
    "Gemm": _gemm,
    "GlobalAveragePool": _global_pool,
    "GlobalLpPool": _global_pool,
    "GridSample": _grid_sample,
    "MatMul": _matmul,
    "MatMulInteger": _matmul_integer,
    "Pad": _pad,
    "Reshape": _reshape,
    "RoiAlign": _roi_align,
    "Slice": _slice,
    "SpaceToDepth": _space_to_depth,
    "Split": _split,
    "Tile": _tile,
    "TopK": _top_k,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
KNOWN: Final = _SAME | _BROADCAST | _REDUCTIONS | frozenset(_SHAPES)
"""The operators. Others are left to the onnx package: windows over axes, loops, and lengths that are computed."""
