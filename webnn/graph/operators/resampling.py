"""Resampling of two axes.

Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-resample2d-method
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, TypeAlias, get_args

from webnn.errors import ValidationError
from webnn.graph.arguments import axes_of, double_list, enum_value, unsigned_list
from webnn.graph.descriptor import MAX_DIMENSION, MLOperandDescriptor
from webnn.graph.dtypes import FLOATS, cast_number
from webnn.graph.limits import Limits
from webnn.graph.operand import MLOperand
from webnn.graph.operator import Operators, operator

__all__ = ["MLInterpolationMode", "Resampling"]

MLInterpolationMode: TypeAlias = Literal["nearest-neighbor", "linear"]


class Resampling(Operators):
    """Resampling of two axes to other sizes."""

    @operator(
        input=Limits((*FLOATS, "int8", "uint8"), rank=4),
        output=Limits(same_as="input", rank=4),
    )
    def resample2d(
        self,
        input: MLOperand,
        *,
        mode: MLInterpolationMode = "nearest-neighbor",
        scales: Sequence[float] | None = None,
        sizes: Sequence[int] | None = None,
        axes: Sequence[int] | None = None,
        label: str = "",
    ) -> MLOperand:
        """`input` with two of its axes resampled to other sizes.

        Output `o` is at `(o + 0.5) * input size / output size - 0.5` in the input, clamped to its edges.

        Args:
            input: float32, float16, int8 or uint8, of rank 4.
            mode: `"nearest-neighbor"` takes the nearest value, and the lower index of two that are equally near;
                `"linear"` interpolates between the four nearest values. Integers are rounded, with ties to even.
            scales: the factors for the sizes of the two axes, as float32. The sizes are rounded down. Default:
                `[1.0, 1.0]`.
            sizes: the sizes of the two axes in the output, instead of `scales`.
            axes: the two axes, in any order. Default: `[2, 3]`.
            label: shown in errors.

        Returns:
            An operand of `input`'s data type and shape, except for the sizes of the two axes.

        Raises:
            ValidationError: a scale is not positive; a size is not 1 to 2**31 - 1; the axes are equal or out of range;
                a list does not have two items.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-resample2d-method
        """
        interpolation = enum_value("mode", mode, get_args(MLInterpolationMode))
        factors = (1.0, 1.0) if scales is None else _scales(scales)
        targets = None if sizes is None else unsigned_list("sizes", sizes, length=2)
        if targets is not None and 0 in targets:
            raise ValidationError(f"sizes must be at least 1, got {list(targets)}")
        dimensions = (2, 3) if axes is None else axes_of("axes", axes, input.shape)
        if len(dimensions) != 2:
            raise ValidationError(f"axes must have 2 items, got {list(dimensions)}")
        shape = list(input.shape)
        for i, axis in enumerate(dimensions):
            size = targets[i] if targets is not None else math.floor(input.shape[axis] * factors[i])
            if not 1 <= size <= MAX_DIMENSION:
                origin = (
                    f"input {list(input.shape)}, scales {list(factors)}"
                    if targets is None
                    else f"sizes {list(targets)}"
                )
                raise ValidationError(
                    f"the output size of axis {axis} would be {size}, but must be 1 to {MAX_DIMENSION}: {origin}"
                )
            shape[axis] = size
        return self._add(
            "resample2d",
            {"input": input},
            MLOperandDescriptor(input.data_type, shape),
            label=label,
            mode=interpolation,
            sizes=(shape[dimensions[0]], shape[dimensions[1]]),
            axes=dimensions,
        )


def _scales(value: object) -> tuple[float, ...]:
    """`sequence<float>` whose items are finite and positive as float32."""
    given = double_list("scales", value, length=2)
    scales = tuple(float(cast_number(item, "float32")) for item in given)
    if not all(0 < scale < math.inf for scale in scales):
        raise ValidationError(f"scales must be positive and finite as float32, got {list(given)}")
    return scales
