"""Convolution over height and width, and its transpose.

Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-conv2d and #api-mlgraphbuilder-convtranspose2d
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, TypeAlias, get_args

from webnn.errors import ValidationError
from webnn.graph.arguments import enum_value, unsigned
from webnn.graph.descriptor import MAX_DIMENSION, MLOperandDescriptor
from webnn.graph.dtypes import FLOATS
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

__all__ = ["Convolution", "MLConv2dFilterOperandLayout", "MLConvTranspose2dFilterOperandLayout"]

MLConv2dFilterOperandLayout: TypeAlias = Literal["oihw", "hwio", "ohwi", "ihwo"]
MLConvTranspose2dFilterOperandLayout: TypeAlias = Literal["iohw", "hwoi", "ohwi"]

_CONV2D_FILTER_OPERAND_LAYOUT: Final = get_args(MLConv2dFilterOperandLayout)
_CONV_TRANSPOSE2D_FILTER_OPERAND_LAYOUT: Final = get_args(MLConvTranspose2dFilterOperandLayout)
_INPUT_OPERAND_LAYOUT: Final = get_args(MLInputOperandLayout)


def _ordered(shape: Sequence[int], layout: str, order: str) -> list[int]:
    return [shape[i] for i in permutation(layout, order)]


def _other_layout(input: MLOperand, layout: str, channels: int) -> str:
    """The end of a message, if `input` has so many channels in the other layout."""
    other = "nhwc" if layout == "nchw" else "nchw"
    fits = input.shape[other.index("c")] == channels
    return f'; for an input in the other layout, write input_layout="{other}"' if fits else ""


def _check_bias(bias: MLOperand | None, output_channels: int) -> None:
    if bias is not None and bias.shape != (output_channels,):
        raise ValidationError(
            f"bias {list(bias.shape)} must be [{output_channels}], with one value for each output channel"
        )


class Convolution(Operators):
    """Convolutions over height and width."""

    @operator(
        input=Limits(FLOATS, rank=4),
        filter=Limits(same_as="input", rank=4),
        bias=Limits(same_as="input", rank=1),
        output=Limits(same_as="input", rank=4),
    )
    def conv2d(
        self,
        input: MLOperand,
        filter: MLOperand,
        *,
        padding: Sequence[int] | None = None,
        strides: Sequence[int] | None = None,
        dilations: Sequence[int] | None = None,
        groups: int = 1,
        input_layout: MLInputOperandLayout = "nchw",
        filter_layout: MLConv2dFilterOperandLayout = "oihw",
        bias: MLOperand | None = None,
        label: str = "",
    ) -> MLOperand:
        """The convolution of `input` with `filter` over height and width.

        Each output value is the sum of a window of the input times the filter, plus the bias of its channel. With as
        many groups as input channels, this is a depthwise convolution.

        Args:
            input: float32 or float16, `[batch, channels, height, width]`, or in the order of `input_layout`.
            filter: `[output channels, channels / groups, height, width]`, or in the order of `filter_layout`.
            padding: the number of zeros around the input, `[top, bottom, left, right]`. Default: `[0, 0, 0, 0]`.
            strides: the step of the window, `[vertical, horizontal]`. Default: `[1, 1]`.
            dilations: the step between the input values of one window, `[vertical, horizontal]`. Default: `[1, 1]`.
            groups: the number of groups of channels. Each group of output channels is computed from one group of
                input channels.
            input_layout: the order of the axes of the input and the output.
            filter_layout: the order of the axes of the filter.
            bias: one value for each output channel. Default: zeros.
            label: shown in errors.

        Returns:
            `[batch, output channels, height, width]` in the order of `input_layout`, where each size is
            `1 + floor((size + padding - dilation * (filter size - 1) - 1) / stride)`.

        Raises:
            ValidationError: the channels of `input`, `filter`, `bias` and `groups` do not match; the filter does not
                fit into the padded input; a list has the wrong length; a stride, a dilation or `groups` is 0.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-conv2d
        """
        pads = window_padding(padding)
        strides = positive_pair("strides", strides, (1, 1))
        dilations = positive_pair("dilations", dilations, (1, 1))
        groups = _positive_groups(groups)
        layout = enum_value("input_layout", input_layout, _INPUT_OPERAND_LAYOUT)
        filter_order = enum_value("filter_layout", filter_layout, _CONV2D_FILTER_OPERAND_LAYOUT)

        batches, channels, *inputs = _ordered(input.shape, layout, "nchw")
        output_channels, filter_channels, *window = _ordered(filter.shape, filter_order, "oihw")
        if channels % groups:
            raise ValidationError(
                f"the {channels} channels of input {_in(input, layout)} cannot be divided into {groups} equal groups"
            )
        if channels // groups != filter_channels:
            per_group = "channels per group" if groups > 1 else "channels"
            raise ValidationError(
                f"filter {_in(filter, filter_order)} takes {filter_channels} input {per_group}, "
                f"but input {_in(input, layout)} has {channels // groups}"
                f"{_other_layout(input, layout, filter_channels * groups)}"
            )
        if output_channels % groups:
            raise ValidationError(
                f"the {output_channels} output channels of filter {_in(filter, filter_order)} "
                f"cannot be divided into {groups} equal groups"
            )
        _check_bias(bias, output_channels)
        height, width = sweeps(inputs, window, pads, strides, dilations)
        sizes = (height.floor_size, width.floor_size)
        check_output_sizes(
            sizes,
            lambda: (
                f"input {inputs} with padding {list(pads)}, filter {window} with dilations {list(dilations)}, "
                f"strides {list(strides)}"
            ),
        )
        shape = _ordered((batches, output_channels, *sizes), "nchw", layout)
        return self._add(
            "conv2d",
            {"input": input, "filter": filter, "bias": bias},
            MLOperandDescriptor(input.data_type, shape),
            label=label,
            padding=pads,
            strides=strides,
            dilations=dilations,
            groups=groups,
            input_layout=layout,
            filter_layout=filter_order,
        )

    @operator(
        input=Limits(FLOATS, rank=4),
        filter=Limits(same_as="input", rank=4),
        bias=Limits(same_as="input", rank=1),
        output=Limits(same_as="input", rank=4),
    )
    def conv_transpose2d(
        self,
        input: MLOperand,
        filter: MLOperand,
        *,
        padding: Sequence[int] | None = None,
        strides: Sequence[int] | None = None,
        dilations: Sequence[int] | None = None,
        output_padding: Sequence[int] | None = None,
        output_sizes: Sequence[int] | None = None,
        groups: int = 1,
        input_layout: MLInputOperandLayout = "nchw",
        filter_layout: MLConvTranspose2dFilterOperandLayout = "iohw",
        bias: MLOperand | None = None,
        label: str = "",
    ) -> MLOperand:
        """The transposed convolution of `input` with `filter` over height and width.

        Each input value times the filter is added to a window of the output, and then the bias of the channel is added.
        It is the gradient of `conv2d` with the same options, and is used to upsample images.

        Args:
            input: float32 or float16, `[batch, channels, height, width]`, or in the order of `input_layout`.
            filter: `[channels, output channels / groups, height, width]`, or in the order of `filter_layout`.
            padding: the number of values to remove around the output, `[top, bottom, left, right]`. Default:
                `[0, 0, 0, 0]`.
            strides: the step of the window in the output, `[vertical, horizontal]`. Default: `[1, 1]`.
            dilations: the step between the output values of one window, `[vertical, horizontal]`. Default: `[1, 1]`.
            output_padding: the number of values to add at the bottom and at the right of the output, less than the
                strides. Default: `[0, 0]`.
            output_sizes: `[height, width]` of the output, instead of `output_padding`.
            groups: the number of groups of channels. Each group of output channels is computed from one group of
                input channels. The specification allows numbers that do not divide the input channels, but no backend
                runs such graphs.
            input_layout: the order of the axes of the input and the output.
            filter_layout: the order of the axes of the filter.
            bias: one value for each output channel. Default: zeros.
            label: shown in errors.

        Returns:
            `[batch, output channels, height, width]` in the order of `input_layout`, where each size is
            `(size - 1) * stride + dilation * (filter size - 1) + 1 - padding + output padding`.

        Raises:
            ValidationError: the channels of `input`, `filter` and `bias` do not match; `output_padding` or
                `output_sizes` does not match the strides; the output is empty; a list has the wrong length; a stride,
                a dilation or `groups` is 0.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-convtranspose2d
        """
        pads = window_padding(padding)
        strides = positive_pair("strides", strides, (1, 1))
        dilations = positive_pair("dilations", dilations, (1, 1))
        extra = pair("output_padding", output_padding, (0, 0))
        if output_sizes is not None:
            output_sizes = pair("output_sizes", output_sizes, (0, 0))
        elif extra[0] >= strides[0] or extra[1] >= strides[1]:
            raise ValidationError(f"output_padding {list(extra)} must be less than strides {list(strides)}")
        groups = _positive_groups(groups)
        layout = enum_value("input_layout", input_layout, _INPUT_OPERAND_LAYOUT)
        filter_order = enum_value("filter_layout", filter_layout, _CONV_TRANSPOSE2D_FILTER_OPERAND_LAYOUT)

        batches, channels, *inputs = _ordered(input.shape, layout, "nchw")
        filter_channels, output_channels, *window = _ordered(filter.shape, filter_order, "iohw")
        if channels != filter_channels:
            raise ValidationError(
                f"filter {_in(filter, filter_order)} takes {filter_channels} input channels, "
                f"but input {_in(input, layout)} has {channels}"
            )
        output_channels *= groups
        if output_channels > MAX_DIMENSION:
            raise ValidationError(
                f"filter {_in(filter, filter_order)} with {groups} groups makes {output_channels} output channels; "
                f"at most {MAX_DIMENSION} are supported"
            )
        _check_bias(bias, output_channels)
        height, width = sweeps(inputs, window, pads, strides, dilations)
        least = (height.transposed_size, width.transposed_size)

        def derivation() -> str:
            return (
                f"input {inputs} with strides {list(strides)}, filter {window} with dilations {list(dilations)}, "
                f"padding {list(pads)}"
            )

        sizes = (least[0] + extra[0], least[1] + extra[1])
        if output_sizes is not None:
            sizes = (output_sizes[0], output_sizes[1])
            extra = (sizes[0] - least[0], sizes[1] - least[1])
            if not (0 <= extra[0] < strides[0] and 0 <= extra[1] < strides[1]):
                most = [size + stride - 1 for size, stride in zip(least, strides, strict=True)]
                raise ValidationError(
                    f"output_sizes must be {list(least)} to {most}, got {list(sizes)}: {derivation()}"
                )
        check_output_sizes(sizes, derivation)
        shape = _ordered((batches, output_channels, *sizes), "nchw", layout)
        return self._add(
            "conv_transpose2d",
            {"input": input, "filter": filter, "bias": bias},
            MLOperandDescriptor(input.data_type, shape),
            label=label,
            padding=pads,
            strides=strides,
            dilations=dilations,
            output_padding=extra,
            output_sizes=sizes,
            groups=groups,
            input_layout=layout,
            filter_layout=filter_order,
        )


def _positive_groups(groups: object) -> int:
    result = unsigned("groups", groups)
    if result == 0:
        raise ValidationError("groups must be at least 1, got 0")
    return result


def _in(operand: MLOperand, layout: str) -> str:
    return f'{list(operand.shape)} in layout "{layout}"'
