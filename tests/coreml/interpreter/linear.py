"""Operators of `linear.py`, and attention of iOS 18."""

from __future__ import annotations

import numpy as np

from tests.coreml.interpreter.activation import softmax
from tests.coreml.interpreter.datatypes import Array, wide
from tests.coreml.interpreter.signatures import FLOAT, NUMBER, ProgramError, operator, require


@operator("linear(x: T, weight: const U[*], bias: const U[] = None) -> T", T=NUMBER, U=NUMBER)
def linear(x: Array, weight: Array, bias: Array | None) -> Array:
    require(1 <= x.ndim <= 3, f"x has the rank {x.ndim}, not 1 to 3")
    require(weight.ndim == 2 and weight.shape[1] == x.shape[-1], f"weight {weight.shape} for x {x.shape}")
    require(bias is None or bias.shape == weight.shape[:1], "bias has another size than the output")
    product: Array = wide(x) @ wide(weight).T
    return product if bias is None else product + wide(bias)


@operator("matmul(x: T, y: T, transpose_x: const bool = False, transpose_y: const bool = False) -> T", T=NUMBER)
def matmul(x: Array, y: Array, transpose_x: bool, transpose_y: bool) -> Array:
    require(x.ndim >= 1 and y.ndim >= 1, "x and y must be 1-D or higher")
    left = wide(x).swapaxes(-1, -2) if transpose_x and x.ndim > 1 else wide(x)
    right = wide(y).swapaxes(-1, -2) if transpose_y and y.ndim > 1 else wide(y)
    try:
        return np.matmul(left, right)
    except ValueError:
        raise ProgramError(f"{list(left.shape)} and {list(right.shape)} cannot be multiplied") from None


@operator("einsum(values: T..., equation: const string) -> T", T=FLOAT)
def einsum(values: list[Array], equation: str) -> Array:
    require(len(values) == 2 and values[0].ndim == values[1].ndim, "einsum takes two tensors of one rank")
    rank = values[0].ndim
    spelling: dict[str, str] = {}
    pattern = "".join(c if c in ",->" else spelling.setdefault(c, "abcdefgh"[len(spelling)]) for c in equation)
    supported = {4: "abcd,adce->abce", 3: "abc,cbd->abd"}.get(rank)
    require(pattern == supported, f"the equation {equation} is not supported for the rank {rank}")
    x, y = (wide(value) for value in values)
    for axis in range(rank):
        if axis not in (rank - 1, rank - 3):
            size = max(x.shape[axis], y.shape[axis])
            x, y = (np.repeat(v, size, axis) if v.shape[axis] == 1 else v for v in (x, y))
    return np.einsum(pattern, x, y)


@operator(
    "scaled_dot_product_attention(query: T, key: T, value: T, attn_mask: M = None) -> T",
    since=18,
    T=FLOAT,
    M=("bool", *FLOAT),
)
def scaled_dot_product_attention(query: Array, key: Array, value: Array, attn_mask: Array | None) -> Array:
    require(
        query.ndim >= 3 and query.ndim == key.ndim == value.ndim, "query, key and value have one rank, of 3 or more"
    )
    scores = wide(query) @ wide(key).swapaxes(-1, -2) / np.sqrt(query.shape[-1])
    if attn_mask is not None and attn_mask.dtype == np.bool_:
        scores = np.where(attn_mask, scores, -np.inf)
    elif attn_mask is not None:
        scores = scores + wide(attn_mask)
    weighted: Array = softmax(scores, -1) @ wide(value)
    return weighted
