"""Pooling over height and width.

Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-pool2d
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, TypeAlias, get_args

from webnn.errors import ValidationError
from webnn.graph.arguments import enum_value
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.dtypes import ALL, FLOATS
from webnn.graph.limits import Limits
from webnn.graph.operand import MLOperand
from webnn.graph.operator import Operators, operator
from webnn.graph.windows import (
    MLInputOperandLayout,
    check_output_sizes,
    pair,
    permutation,
    positive_pair,
    sweeps,
    window_padding,
)

__all__ = ["MLRoundingType", "Pooling"]

MLRoundingType: TypeAlias = Literal["floor", "ceil"]

_FLOATS_ONLY: Final = {"input": Limits(FLOATS, rank=4), "output": Limits(same_as="input", rank=4)}


_INPUT_OPERAND_LAYOUT: Final = get_args(MLInputOperandLayout)
_ROUNDING_TYPE: Final = get_args(MLRoundingType)


class Pooling(Operators):
    """Pooling: one output value for each window of the input."""

    def _pool(
        self,
        op: str,
        input: MLOperand,
        label: str,
        *,
        window_dimensions: object,
        padding: object,
        strides: object,
        dilations: object,
        layout: object,
        output_shape_rounding: object,
        output_sizes: object,
    ) -> MLOperand:
        order = enum_value("layout", layout, _INPUT_OPERAND_LAYOUT)
        rounding = enum_value("output_shape_rounding", output_shape_rounding, _ROUNDING_TYPE)
        batches, channels, *inputs = (input.shape[i] for i in permutation(order, "nchw"))
        window = positive_pair("window_dimensions", window_dimensions, (inputs[0], inputs[1]))
        pads = window_padding(padding)
        steps = positive_pair("strides", strides, (1, 1))
        spread = positive_pair("dilations", dilations, (1, 1))
        height, width = sweeps(inputs, window, pads, steps, spread)
        floor, ceil = (height.floor_size, width.floor_size), (height.ceil_size, width.ceil_size)

        def derivation() -> str:
            return (
                f"input {inputs} with padding {list(pads)}, window {list(window)} with dilations {list(spread)}, "
                f"strides {list(steps)}"
            )

        sizes = floor if rounding == "floor" else ceil
        if output_sizes is not None:
            # The specification's text ignores the padding here and rejects sizes that are not smaller than the strides.
            # No implementation follows it, and the conformance tests use sizes that include the padding.
            sizes = pair("output_sizes", output_sizes, sizes)
            if sizes not in (floor, ceil):
                raise ValidationError(
                    f"output_sizes must be {list(floor)} (rounded down) or {list(ceil)} (rounded up), "
                    f"got {list(sizes)}: {derivation()}"
                )
        check_output_sizes(sizes, derivation)
        nchw = (batches, channels, *sizes)
        return self._add(
            op,
            {"input": input},
            MLOperandDescriptor(input.data_type, [nchw[i] for i in permutation("nchw", order)]),
            label=label,
            window_dimensions=window,
            padding=pads,
            strides=steps,
            dilations=spread,
            layout=order,
            output_shape_rounding=rounding,
            output_sizes=sizes,
        )

    @operator(**_FLOATS_ONLY)
    def average_pool2d(
        self,
        input: MLOperand,
        *,
        window_dimensions: Sequence[int] | None = None,
        padding: Sequence[int] | None = None,
        strides: Sequence[int] | None = None,
        dilations: Sequence[int] | None = None,
        layout: MLInputOperandLayout = "nchw",
        output_shape_rounding: MLRoundingType = "floor",
        output_sizes: Sequence[int] | None = None,
        label: str = "",
    ) -> MLOperand:
        """The average of each window of `input`, without the padding. A window of only padding gives 0.

        Args:
            input: float32 or float16, `[batch, channels, height, width]`, or in the order of `layout`.
            window_dimensions: `[height, width]` of the window. Default: the size of the input.
            padding: the number of values around the input, `[top, bottom, left, right]`. Default: `[0, 0, 0, 0]`.
            strides: the step of the window, `[vertical, horizontal]`. Default: `[1, 1]`.
            dilations: the step between the input values of one window, `[vertical, horizontal]`. Default: `[1, 1]`.
            layout: the order of the axes of the input and the output.
            output_shape_rounding: `"ceil"` includes a last window that fits only in part, `"floor"` does not.
            output_sizes: `[height, width]` of the output, rounded down or up, instead of `output_shape_rounding`.
            label: shown in errors.

        Returns:
            `[batch, channels, height, width]` in the order of `layout`, where each size is
            `1 + (size + padding - dilation * (window size - 1) - 1) / stride`, rounded.

        Raises:
            ValidationError: the window does not fit into the padded input; `output_sizes` is not one of the two
                rounded sizes; a list has the wrong length; a window dimension, a stride or a dilation is 0.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-pool2d-average
        """
        return self._pool(
            "average_pool2d",
            input,
            label,
            window_dimensions=window_dimensions,
            padding=padding,
            strides=strides,
            dilations=dilations,
            layout=layout,
            output_shape_rounding=output_shape_rounding,
            output_sizes=output_sizes,
        )

    @operator(**_FLOATS_ONLY)
    def l2_pool2d(
        self,
        input: MLOperand,
        *,
        window_dimensions: Sequence[int] | None = None,
        padding: Sequence[int] | None = None,
        strides: Sequence[int] | None = None,
        dilations: Sequence[int] | None = None,
        layout: MLInputOperandLayout = "nchw",
        output_shape_rounding: MLRoundingType = "floor",
        output_sizes: Sequence[int] | None = None,
        label: str = "",
    ) -> MLOperand:
        """The square root of the sum of squares of each window of `input`. A window of only padding gives 0.

        Args:
            input: float32 or float16, `[batch, channels, height, width]`, or in the order of `layout`.
            window_dimensions: `[height, width]` of the window. Default: the size of the input.
            padding: the number of values around the input, `[top, bottom, left, right]`. Default: `[0, 0, 0, 0]`.
            strides: the step of the window, `[vertical, horizontal]`. Default: `[1, 1]`.
            dilations: the step between the input values of one window, `[vertical, horizontal]`. Default: `[1, 1]`.
            layout: the order of the axes of the input and the output.
            output_shape_rounding: `"ceil"` includes a last window that fits only in part, `"floor"` does not.
            output_sizes: `[height, width]` of the output, rounded down or up, instead of `output_shape_rounding`.
            label: shown in errors.

        Returns:
            `[batch, channels, height, width]` in the order of `layout`, where each size is
            `1 + (size + padding - dilation * (window size - 1) - 1) / stride`, rounded.

        Raises:
            ValidationError: the window does not fit into the padded input; `output_sizes` is not one of the two
                rounded sizes; a list has the wrong length; a window dimension, a stride or a dilation is 0.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-pool2d-l2
        """
        return self._pool(
            "l2_pool2d",
            input,
            label,
            window_dimensions=window_dimensions,
            padding=padding,
            strides=strides,
            dilations=dilations,
            layout=layout,
            output_shape_rounding=output_shape_rounding,
            output_sizes=output_sizes,
        )

    @operator(input=Limits(ALL, rank=4, required=FLOATS), output=Limits(same_as="input", rank=4, required=FLOATS))
    def max_pool2d(
        self,
        input: MLOperand,
        *,
        window_dimensions: Sequence[int] | None = None,
        padding: Sequence[int] | None = None,
        strides: Sequence[int] | None = None,
        dilations: Sequence[int] | None = None,
        layout: MLInputOperandLayout = "nchw",
        output_shape_rounding: MLRoundingType = "floor",
        output_sizes: Sequence[int] | None = None,
        label: str = "",
    ) -> MLOperand:
        """The largest value of each window of `input`, of any data type.

        A window of only padding gives the smallest value of the data type, which is -infinity for floats.

        Args:
            input: any data type, `[batch, channels, height, width]`, or in the order of `layout`.
            window_dimensions: `[height, width]` of the window. Default: the size of the input.
            padding: the number of values around the input, `[top, bottom, left, right]`. Default: `[0, 0, 0, 0]`.
            strides: the step of the window, `[vertical, horizontal]`. Default: `[1, 1]`.
            dilations: the step between the input values of one window, `[vertical, horizontal]`. Default: `[1, 1]`.
            layout: the order of the axes of the input and the output.
            output_shape_rounding: `"ceil"` includes a last window that fits only in part, `"floor"` does not.
            output_sizes: `[height, width]` of the output, rounded down or up, instead of `output_shape_rounding`.
            label: shown in errors.

        Returns:
            `[batch, channels, height, width]` in the order of `layout`, where each size is
            `1 + (size + padding - dilation * (window size - 1) - 1) / stride`, rounded.

        Raises:
            ValidationError: the window does not fit into the padded input; `output_sizes` is not one of the two
                rounded sizes; a list has the wrong length; a window dimension, a stride or a dilation is 0.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-pool2d-max
        """
        return self._pool(
            "max_pool2d",
            input,
            label,
            window_dimensions=window_dimensions,
            padding=padding,
            strides=strides,
            dilations=dilations,
            layout=layout,
            output_shape_rounding=output_shape_rounding,
            output_sizes=output_sizes,
        )
