"""Operators of `quantization_ops.py`, and the quantized weights of `constexpr_ops.py`."""

from __future__ import annotations

import numpy as np

from tests.coreml.interpreter.datatypes import DTYPES, Array, wide
from tests.coreml.interpreter.signatures import FLOAT, Typed, operator, require


def _along(parameter: Array, input: Array, axis: int | None) -> Array:
    """A scalar, or a vector along `axis` of the input, ready for broadcasting."""
    require(parameter.ndim <= 1, f"scale and zero_point are scalars or vectors, not of rank {parameter.ndim}")
    if parameter.ndim == 0:
        return wide(parameter)
    require(axis is not None and -input.ndim <= axis < input.ndim, f"a vector along the axis {axis}")
    assert axis is not None
    require(parameter.size == input.shape[axis], f"{parameter.size} elements along {input.shape[axis]}")
    return wide(parameter).reshape([-1 if i == axis % input.ndim else 1 for i in range(input.ndim)])


@operator(
    "quantize(input: S, scale: const S[*], output_dtype: const string, zero_point: const D[*] = None,"
    " axis: const int32 = None)",
    S=FLOAT,
    D=("uint8", "int8"),
)
def quantize(input: Array, scale: Array, output_dtype: str, zero_point: Array | None, axis: int | None) -> Typed:
    require(input.ndim >= 1, "input must have the rank 1 or more")
    require(output_dtype in ("uint8", "int8"), f"output_dtype is {output_dtype}")
    dtype = DTYPES[output_dtype]
    require(zero_point is None or zero_point.dtype == dtype, f"zero_point is not {output_dtype}")
    require(bool(scale.all()), "a scale is 0")
    steps = np.round(wide(input) / _along(scale, input, axis))
    shifted = steps if zero_point is None else steps + _along(zero_point, input, axis)
    limits = np.iinfo(dtype)
    return Typed(np.clip(shifted, limits.min, limits.max), output_dtype)


@operator(
    "dequantize(input: S, scale: const D[*], zero_point: const S[*] = None, axis: const int32 = None) -> D",
    S=("uint8", "int8"),
    D=FLOAT,
)
def dequantize(input: Array, scale: Array, zero_point: Array | None, axis: int | None) -> Array:
    require(input.ndim >= 1, "input must have the rank 1 or more")
    shifted = wide(input) if zero_point is None else wide(input) - _along(zero_point, input, axis)
    return shifted * _along(scale, input, axis)


@operator(
    "constexpr_affine_dequantize(quantized_data: const S[*], zero_point: const Z[*], scale: const D[*],"
    " axis: const int32) -> D",
    S=("uint8", "int8"),
    Z=("uint8", "int8", "fp32"),
    D=FLOAT,
)
def constexpr_affine_dequantize(quantized_data: Array, zero_point: Array, scale: Array, axis: int) -> Array:
    require(quantized_data.ndim >= 1, "quantized_data must have the rank 1 or more")
    require(-quantized_data.ndim <= axis < quantized_data.ndim, f"the axis {axis} of the rank {quantized_data.ndim}")
    shifted = wide(quantized_data) - _along(zero_point, quantized_data, axis)
    return shifted * _along(scale, quantized_data, axis)
