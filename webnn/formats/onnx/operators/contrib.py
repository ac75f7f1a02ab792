"""ONNX Runtime's contrib operators that fuse several standard ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import numpy as np

from webnn.errors import DataError
from webnn.formats.onnx.importing.node import OnnxNode
from webnn.formats.onnx.importing.operator_table import MICROSOFT, Imported, imports
from webnn.formats.onnx.importing.problems import UnsupportedNodeError
from webnn.formats.onnx.patterns.channel_layout import channels_first, channels_last
from webnn.formats.onnx.patterns.layer_normalization import layer_normalized
from webnn.formats.onnx.patterns.onnx_operator import onnx_operator
from webnn.graph.operand import MLOperand

__all__: list[str] = []

_Activation: TypeAlias = Callable[[Any, MLOperand, Sequence[float]], MLOperand]

_ACTIVATIONS: Final[dict[str, tuple[tuple[float, ...], _Activation]]] = {
    "": ((), lambda _b, x, _p: x),
    "Relu": ((), lambda b, x, _p: b.relu(x)),
    "Tanh": ((), lambda b, x, _p: b.tanh(x)),
    "Sigmoid": ((), lambda b, x, _p: b.sigmoid(x)),
    "LeakyRelu": ((0.01,), lambda b, x, p: b.leaky_relu(x, alpha=p[0])),
    "Clip": ((), lambda b, x, p: b.clamp(x, min_value=p[0], max_value=p[1])),
    "HardSigmoid": ((0.2, 0.5), lambda b, x, p: b.hard_sigmoid(x, alpha=p[0], beta=p[1])),
    "HardSwish": ((), lambda b, x, _p: b.hard_swish(x)),
    "Elu": ((1.0,), lambda b, x, p: b.elu(x, alpha=p[0])),
    "Softplus": ((), lambda b, x, _p: b.softplus(x)),
    "Softsign": ((), lambda b, x, _p: b.softsign(x)),
    "Gelu": ((), lambda b, x, _p: b.gelu(x)),
}
"""The activations that a fused operator may end with: default parameters, and the function."""


def _activated(node: OnnxNode, x: MLOperand, parameters: Sequence[float]) -> MLOperand:
    name = node.get_string("activation", "")
    if name not in _ACTIVATIONS:
        raise UnsupportedNodeError(f"its activation {name!r} is unknown", ", ".join(filter(None, _ACTIVATIONS)))
    defaults, activation = _ACTIVATIONS[name]
    if name == "Clip" and len(parameters) < 2:
        raise DataError(f"the activation Clip takes a minimum and a maximum, got {list(parameters)}")
    return activation(node.builder, x, [*parameters, *defaults[len(parameters) :]])


def _alpha_and_beta(node: OnnxNode) -> list[float]:
    names = ("activation_alpha", "activation_beta")
    return [node.get_float(name) for name in names if node.has_attribute(name)]


# Products.


@imports("FusedMatMul", "TransposeMatMul", "FusedMatMulActivation", domain=MICROSOFT)
def fused_matmul(node: OnnxNode) -> Imported:
    """A product of matrices that may be transposed, times alpha; one gemm if both have rank 2."""
    b, x, y = node.builder, node.operand(0), node.operand(1)
    flags = {name: bool(node.get_int(name, 0)) for name in ("transA", "transB", "transBatchA", "transBatchB")}
    alpha = node.get_float("alpha", 1.0)
    if x.rank == y.rank == 2:
        product = b.gemm(x, y, alpha=alpha, a_transpose=flags["transA"], b_transpose=flags["transB"])
    else:
        x = _transposed(node, x, batch=flags["transBatchA"], matrix=flags["transA"])
        y = _transposed(node, y, batch=flags["transBatchB"], matrix=flags["transB"])
        product = onnx_operator(node, "MatMul", [x, y])
        product = product if alpha == 1 else b.linear(product, alpha=alpha)
    return _activated(node, product, _alpha_and_beta(node))


def _transposed(node: OnnxNode, x: MLOperand, *, batch: bool, matrix: bool) -> MLOperand:
    """With `batch`, the first axis becomes that of the rows; then with `matrix`, rows and columns are swapped."""
    if x.rank < 2:
        return x
    order = list(range(x.rank))
    if batch:
        order = [*order[1:-1], 0, order[-1]]
    if matrix:
        order[-2:] = order[:-3:-1]
    return x if order == sorted(order) else node.builder.transpose(x, permutation=order)


@imports("FusedGemm", domain=MICROSOFT)
def fused_gemm(node: OnnxNode) -> Imported:
    """Gemm, followed by an activation."""
    y = onnx_operator(node, "Gemm", [node.operand(0), node.operand(1), node.optional(2)], node.attributes)
    return _activated(node, y, _alpha_and_beta(node))


# Convolutions.


@imports("FusedConv", domain=MICROSOFT)
def fused_conv(node: OnnxNode) -> Imported:
    """Conv, followed by an addition and an activation."""
    return _completed(node, onnx_operator(node, "Conv", _conv_inputs(node), node.attributes))


def _completed(node: OnnxNode, y: MLOperand) -> MLOperand:
    added = node.optional(3)
    if added is not None:
        y = node.builder.add(y, added)
    return _activated(node, y, node.get_floats("activation_params", ()))


def _conv_inputs(node: OnnxNode) -> list[MLOperand | None]:
    return [node.operand(0), node.operand(1), node.optional(2)]


@imports("NhwcConv", "NhwcFusedConv", domain=MICROSOFT)
def nhwc_conv(node: OnnxNode) -> Imported:
    """Conv of images with channels last; filters are laid out as those of Conv."""
    x, *others = _conv_inputs(node)
    assert x is not None
    y = onnx_operator(node, "Conv", [channels_first(node.builder, x), *others], node.attributes)
    return _completed(node, channels_last(node.builder, y))


@imports("NhwcMaxPool", domain=MICROSOFT)
def nhwc_max_pool(node: OnnxNode) -> Imported:
    """MaxPool with channels last; integers are pooled as floats."""
    b, x = node.builder, node.operand(0)
    floats = x if x.data_type in ("float32", "float16") else b.cast(x, "float32")
    y = channels_last(
        node.builder, onnx_operator(node, "MaxPool", [channels_first(node.builder, floats)], node.attributes)
    )
    return y if y.data_type == x.data_type else b.cast(y, x.data_type)


# Activations.


@imports("Gelu", "BiasGelu", domain=MICROSOFT)
def gelu(node: OnnxNode) -> Imported:
    """The exact gelu of the sum of input and bias."""
    return node.builder.gelu(_sum(node, 0, 1))


@imports("FastGelu", domain=MICROSOFT)
def fast_gelu(node: OnnxNode) -> Imported:
    """The tanh approximation of gelu, of the sum of input and bias."""
    return onnx_operator(node, "Gelu", [_sum(node, 0, 1)], {"approximate": "tanh"})


@imports("QuickGelu", domain=MICROSOFT)
def quick_gelu(node: OnnxNode) -> Imported:
    """The sigmoid approximation of gelu: `x * sigmoid(alpha * x)`."""
    b, x = node.builder, node.operand(0)
    return b.mul(x, b.sigmoid(b.linear(x, alpha=node.get_float("alpha", 1.702))))


@imports("BiasSplitGelu", domain=MICROSOFT)
def bias_split_gelu(node: OnnxNode) -> Imported:
    """The left half of the sum times the gelu of its right half."""
    total = _sum(node, 0, 1)
    left, right = node.builder.split(total, 2, axis=total.rank - 1)
    return node.builder.mul(left, node.builder.gelu(right))


@imports("BiasAdd", domain=MICROSOFT)
def bias_add(node: OnnxNode) -> Imported:
    """The sum of three inputs."""
    return _sum(node, 0, 1, 2)


@imports("BiasSoftmax", domain=MICROSOFT)
def bias_softmax(node: OnnxNode) -> Imported:
    """Softmax of a sum, over all axes from `axis` on, as before opset 13."""
    return onnx_operator(node, "Softmax", [_sum(node, 0, 1)], {"axis": node.get_int("axis", 1)}, version=11)


def _sum(node: OnnxNode, *indices: int) -> MLOperand:
    first, *others = [node.operand(i) for i in indices if node.has(i)]
    for other in others:
        first = node.builder.add(first, other)
    return first


# Others.


@imports("Trilu", domain=MICROSOFT)
def trilu(node: OnnxNode) -> Imported:
    """The standard's Trilu."""
    diagonal = None if not node.has(1) else node.array(1, "the diagonal")
    return onnx_operator(node, "Trilu", [node.operand(0), diagonal], node.attributes)


@imports("ExpandDims", domain=MICROSOFT)
def expand_dims(node: OnnxNode) -> Imported:
    """The input with one more dimension of size 1."""
    return onnx_operator(node, "Unsqueeze", [node.operand(0), np.array(node.integers(1, "axis"), np.int64)])


@imports("EmbedLayerNormalization", domain=MICROSOFT)
def embed_layer_normalization(node: OnnxNode) -> Imported:
    """The layer-normalized sum of three embeddings, the length of each sequence, and the sum."""
    b, ids = node.builder, node.operand(0)
    batch, length = ids.shape
    total = b.gather(node.operand(2), ids)
    if node.has(8):
        positions = b.gather(node.operand(3), node.operand(8))
    elif length <= node.shape(3)[0]:
        positions = b.slice(node.operand(3), [0, 0], [length, node.shape(3)[1]])
    else:
        raise DataError(f"the sequence has {length} tokens, the table of positions {node.shape(3)[0]} rows")
    total = b.add(total, positions)
    if node.has(1) and node.has(4):
        total = b.add(total, b.gather(node.operand(4), node.operand(1)))
    epsilon = node.get_float("epsilon", 1e-12)
    y = layer_normalized(node, total, node.operand(5), node.operand(6), axis=2, epsilon=epsilon)
    mask = node.optional(7)
    if mask is None:
        lengths: MLOperand | np.ndarray[Any, Any] = np.zeros(batch, np.int32)
    else:
        lengths = b.reduce_sum(mask, axes=[1])
    return [y, lengths, total]
