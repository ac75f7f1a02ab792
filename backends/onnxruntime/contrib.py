"""Lowerings of operators that only the passes make: to onnxruntime's own, of `com.microsoft`, and a later opset's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from webnn.backends.onnx import messages
from webnn.backends.onnx.lowerings import lowerings
from webnn.backends.onnx.messages import TensorProto
from webnn.backends.onnx.model import Model
from webnn.forking import import_whole
from webnn.graph.ir import Node

__all__ = ["ATTENTION_OPSET", "DOMAIN", "FLASH_SCORES"]

DOMAIN: Final = "com.microsoft"

FLASH_SCORES: Final = 1 << 18
"""The scores of a head from which on the kernel that does not keep them pays: 512 queries and keys."""
ATTENTION_OPSET: Final = 23
_PIECE_SCORES: Final = 1 << 18
"""The scores of a head in one `Attention`, which keeps them: as many as stay in the cache."""
_PIECES: Final = 16
_EXACT: Final = 1
"""The accuracy level of `MatMulNBits` at which it multiplies floats."""
_ROUNDED: Final = 4
"""The one at which it rounds the other factor to 8 bits, and multiplies integers."""


@lowerings.lowers("attention")
def attention(node: Node, model: Model) -> None:
    """One `MultiHeadAttention`, which goes through the keys in blocks, or the standard's `Attention`."""
    query, key = node["query"], node["key"]
    heads, groups, scale, softcap = (node.attributes[name] for name in ("heads", "key_heads", "scale", "softcap"))
    rows, mask = query.rank == 3, node.get("mask")
    queries, keys = query.shape[-2], key.shape[-2]
    inputs = [model[node[name]] for name in ("query", "key", "value")]
    if rows and mask is None and not softcap and heads == groups and queries * keys >= FLASH_SCORES:
        model.emit("MultiHeadAttention", inputs, to=node.output, domain=DOMAIN, num_heads=heads, scale=scale)
        return
    model.require(ATTENTION_OPSET)
    options = {"q_num_heads": heads, "kv_num_heads": groups} if rows else {}
    options |= {"scale": scale, "softcap": softcap or None}
    masks = [] if mask is None else [model[mask]]
    size = max(_PIECE_SCORES // keys, math.ceil(queries / _PIECES))
    if "shown" in node.operands:
        _attention_to_shown(node, model, [*inputs, *masks], options)
        return
    if size >= queries:
        model.emit("Attention", [*inputs, *masks], to=node.output, **options)
        return
    sizes = [size] * (queries // size) + [queries % size] * (queries % size > 0)
    axis = 1 if rows else 2
    parts = _split(model, inputs[0], sizes, axis)
    masks_of_parts = [[part] for part in _split(model, masks[0], sizes, 2)] if masks else [[] for _ in sizes]
    outputs = [
        model.emit("Attention", [part, *inputs[1:], *of_part], **options)
        for part, of_part in zip(parts, masks_of_parts, strict=True)
    ]
    model.emit("Concat", outputs, to=node.output, axis=axis)


def _attention_to_shown(node: Node, model: Model, inputs: Sequence[str], options: dict[str, Any]) -> None:
    """One `Attention` of the keys that the mask shows, if their number is known in the run, and otherwise of all."""
    shown = model[node["shown"]]
    begin = model.constant([0], "int32")
    query, *whole = inputs
    parts = [model.fresh(name) for name in ("keys_shown", "values_shown", "mask_shown")]
    of_shown, of_all = map(model.fresh, ("of_shown", "of_all"))
    slices = [
        messages.node("Slice", [name, begin, shown, model.constant([axis], "int32")], [part])
        for name, part, axis in zip(whole, parts, (2, 2, 3), strict=True)
    ]
    few = messages.branch(
        *slices, messages.node("Attention", [query, *parts], [of_shown], **options), kind=TensorProto.FLOAT
    )
    every = messages.branch(messages.node("Attention", [*inputs], [of_all], **options), kind=TensorProto.FLOAT)
    model.emit("If", [model.cast(shown, "bool")], to=node.output, then_branch=few, else_branch=every)


def _split(model: Model, name: str, sizes: list[int], axis: int) -> list[str]:
    return model.emit_many("Split", [name, model.constant(sizes)], [None] * len(sizes), axis=axis)


@lowerings.lowers("block_product")
def block_product(node: Node, model: Model) -> None:
    """One `MatMulNBits`, of weights that are packed here."""
    x, weights, scale, zero_point = (node[name] for name in ("input", "weights", "scale", "zero_point"))
    bits, (rows, columns) = node.attributes["bits"], weights.shape
    size = rows // scale.shape[0]
    middle = 1 << (bits - 1)
    # Packed integers have no sign: those with one are moved up by half of the range.
    shift = 0 if weights.data_type.startswith("u") else middle

    def packed(integers: np.ndarray[Any, Any], block: int) -> np.ndarray[Any, Any]:
        """`[rows, columns]` as `[columns, blocks, bytes]`, the lowest bits of a byte first."""
        unsigned = (integers.astype(np.int16) + shift).astype(np.uint8).T.reshape(columns, -1, block)
        each = 8 // bits
        even = np.pad(unsigned, [(0, 0), (0, 0), (0, -block % each)])
        parts = even.reshape(*even.shape[:-1], -1, each)
        bytes_: np.ndarray[Any, Any] = np.bitwise_or.reduce(parts << (bits * np.arange(each, dtype=np.uint8)), axis=-1)
        return bytes_

    zeros = zero_point.constant
    assert zeros is not None
    inputs = [
        model[x],
        model.derived([weights], ("packed", bits, size), lambda integers: packed(integers, size)),
        model.derived([scale], "by columns", lambda scales: scales.T.reshape(-1)),
    ]
    if (zeros.astype(np.int16) + shift != middle).any():
        inputs.append(
            model.derived([zero_point], ("packed", bits), lambda integers: packed(integers, len(integers)).reshape(-1))
        )
    level = _ROUNDED if node.attributes["rounded"] else _EXACT
    options = {"K": rows, "N": columns, "bits": bits, "block_size": size, "accuracy_level": level}
    model.emit("MatMulNBits", inputs, to=node.output, domain=DOMAIN, **options)


@lowerings.lowers("dynamic_quantize_lstm")
def dynamic_quantize_lstm(node: Node, model: Model) -> None:
    """One `DynamicQuantizeLSTM`, which rounds the input and the hidden state by their range in each step."""
    names = ("input", "weight", "recurrent_weight", "bias", "", "initial_hidden_state", "initial_cell_state", "")
    parameters = ("weight_scale", "weight_zero_point", "recurrent_scale", "recurrent_zero_point")
    inputs = [model[node[name]] if name in node.operands else "" for name in (*names, *parameters)]
    direction = import_whole("webnn.backends.onnx.recurrent").DIRECTIONS[node.attributes["direction"]]
    options = {"hidden_size": node.attributes["hidden_size"], "direction": direction}
    model.emit_many("DynamicQuantizeLSTM", inputs, node.outputs, domain=DOMAIN, **options)


@lowerings.lowers("rms_normalization")
def rms_normalization(node: Node, model: Model) -> None:
    """One `SimplifiedLayerNormalization`, which onnxruntime has among the standard's operators."""
    inputs = [model[node["input"]], model[node["scale"]]]
    axis = node["input"].rank - node["scale"].rank
    epsilon = node.attributes["epsilon"]
    model.emit("SimplifiedLayerNormalization", inputs, to=node.output, axis=axis, epsilon=epsilon)


@lowerings.lowers("rotary_embedding")
def rotary_embedding(node: Node, model: Model) -> None:
    """One `RotaryEmbedding`, whose tables have a row for each position of the input."""
    x, rows = node["input"], node["cos"].shape[0]
    length = x.shape[1] if x.rank == 3 else x.shape[2]
    # The position of the first token, or of every one.
    positions = [0] if rows == length else np.arange(rows).reshape(-1, length)
    inputs = [model[x], model.constant(positions), model[node["cos"]], model[node["sin"]]]
    interleaved = int(node.attributes["interleaved"])
    model.emit("RotaryEmbedding", inputs, to=node.output, domain=DOMAIN, interleaved=interleaved)


@lowerings.lowers("scatter_coordinates")
def scatter_coordinates(node: Node, model: Model) -> None:
    """The coordinates of slices if the indices within each are the same, and otherwise of the single elements.

    Then this value has fewer dimensions and elements than the graph says, and `ScatterND` takes the same updates.
    """
    axis, at, name = node.attributes["axis"], node["indices"].shape, model[node["indices"]]
    whole = model.constant([*at, 1])
    if not node.attributes["by_slices"]:
        parts = _coordinates(at, axis, model.emit("Reshape", [name, whole]), model)
        model.emit("Concat", parts, to=node.output, axis=len(at))
        return
    depth = axis + 1
    slices = name if depth == len(at) - 1 else model.reshape(name, [*at[:depth], -1])
    last = model.constant([depth])
    lowest = model.emit("ReduceMin", [slices, last], keepdims=1)
    spread = model.emit("Sub", [model.emit("ReduceMax", [slices, last], keepdims=1), lowest])
    is_even = model.emit("Equal", [model.emit("ReduceMax", [spread], keepdims=0), model.constant(0)])
    column, *results = map(model.fresh, ("column", "of_slices", "of_elements"))
    by_slice = messages.branch(
        messages.node("Concat", _coordinates(at[:depth], axis, lowest, model), results[:1], axis=depth),
        kind=TensorProto.INT64,
    )
    by_element = messages.branch(
        messages.node("Reshape", [name, whole], [column]),
        messages.node("Concat", _coordinates(at, axis, column, model), results[1:], axis=len(at)),
        kind=TensorProto.INT64,
    )
    model.emit("If", [is_even], to=node.output, then_branch=by_slice, else_branch=by_element)


def _coordinates(at: Sequence[int], axis: int, column: str, model: Model) -> list[str]:
    """The coordinates of elements or slices, each in a new last dimension; `column` has those along `axis`."""
    places = np.indices(at, np.int64)[..., None]
    return [column if i == axis else model.constant(part) for i, part in enumerate(places)]


@lowerings.lowers("sigmoid_gelu")
def sigmoid_gelu(node: Node, model: Model) -> None:
    """One `QuickGelu`."""
    alpha = float(node.attributes["alpha"])
    model.emit("QuickGelu", [model[node["input"]]], to=node.output, domain=DOMAIN, alpha=alpha)
