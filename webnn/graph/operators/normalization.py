"""Normalization of values to a mean of 0 and a variance of 1, followed by a scale and a bias.

Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-batchnorm, #api-mlgraphbuilder-instancenorm and
#api-mlgraphbuilder-layernorm
"""

from collections.abc import Sequence
from typing import Literal

from webnn.errors import ValidationError
from webnn.graph.arguments import axes_of, axis_of, double, enum_value
from webnn.graph.dtypes import FLOATS, Number, cast_number
from webnn.graph.limits import Limits, N
from webnn.graph.operand import MLOperand
from webnn.graph.operator import Operators, operator

__all__ = ["Normalization"]


class Normalization(Operators):
    """Normalization with given statistics, or with those of each channel or sample."""

    @operator(
        input=Limits(FLOATS, rank=(1, N), required_rank=(3, 5)),
        mean=Limits(same_as="input", rank=1),
        variance=Limits(same_as="input", rank=1),
        scale=Limits(same_as="input", rank=1),
        bias=Limits(same_as="input", rank=1),
        output=Limits(same_as="input", rank=(1, N), required_rank=(3, 5)),
    )
    def batch_normalization(
        self,
        input: MLOperand,
        mean: MLOperand,
        variance: MLOperand,
        *,
        scale: MLOperand | None = None,
        bias: MLOperand | None = None,
        axis: int = 1,
        epsilon: float = 1e-5,
        label: str = "",
    ) -> MLOperand:
        """`scale * (input - mean) / sqrt(variance + epsilon) + bias`, with the statistics of the training data.

        Args:
            input: float32 or float16, rank 1 to 8. The size of `axis` is `channels`.
            mean: same data type as `input`, `[channels]`.
            variance: same data type as `input`, `[channels]`.
            scale: same data type as `input`, `[channels]`. Default: 1.
            bias: same data type as `input`, `[channels]`. Default: 0.
            axis: the dimension of the channels. The default suits layout "nchw".
            epsilon: added to the variance, finite; it is rounded to `input`'s data type.
            label: shown in errors.

        Returns:
            An operand of `input`'s shape and data type.

        Raises:
            ValidationError: `axis` is out of range; `mean`, `variance`, `scale` or `bias` is not `[channels]`, or its
                data type is not that of `input`; `epsilon` is not finite.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-batchnorm
        """
        axis = axis_of("axis", axis, input.shape)
        for name, operand in {"mean": mean, "variance": variance, "scale": scale, "bias": bias}.items():
            _check_sizes(name, operand, input, (axis,))
        return self._add(
            "batch_normalization",
            {"input": input, "mean": mean, "variance": variance, "scale": scale, "bias": bias},
            input.descriptor,
            label=label,
            axis=axis,
            epsilon=_epsilon(epsilon, input),
        )

    @operator(
        input=Limits(FLOATS, rank=4),
        scale=Limits(same_as="input", rank=1),
        bias=Limits(same_as="input", rank=1),
        output=Limits(same_as="input", rank=4),
    )
    def instance_normalization(
        self,
        input: MLOperand,
        *,
        scale: MLOperand | None = None,
        bias: MLOperand | None = None,
        epsilon: float = 1e-5,
        layout: Literal["nchw", "nhwc"] = "nchw",
        label: str = "",
    ) -> MLOperand:
        """`scale * (input - mean) / sqrt(variance + epsilon) + bias`, separately for each channel of each sample.

        Args:
            input: float32 or float16, `[batch, channels, height, width]`, or `[batch, height, width, channels]` with
                layout "nhwc". Mean and variance are computed over height and width.
            scale: same data type as `input`, `[channels]`. Default: 1.
            bias: same data type as `input`, `[channels]`. Default: 0.
            epsilon: added to the variance, finite; it is rounded to `input`'s data type.
            layout: "nchw" or "nhwc".
            label: shown in errors.

        Returns:
            An operand of `input`'s shape and data type.

        Raises:
            ValidationError: `input` is not 4-D; `scale` or `bias` is not `[channels]`, or its data type is not that of
                `input`; `epsilon` is not finite; `layout` is unknown.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-instancenorm
        """
        layout = enum_value("layout", layout, ("nchw", "nhwc"))
        axis = 1 if layout == "nchw" else 3
        for name, operand in {"scale": scale, "bias": bias}.items():
            _check_sizes(name, operand, input, (axis,))
        return self._add(
            "instance_normalization",
            {"input": input, "scale": scale, "bias": bias},
            input.descriptor,
            label=label,
            epsilon=_epsilon(epsilon, input),
            layout=layout,
        )

    @operator(
        input=Limits(FLOATS),
        scale=Limits(same_as="input"),
        bias=Limits(same_as="input"),
        output=Limits(same_as="input"),
    )
    def layer_normalization(
        self,
        input: MLOperand,
        *,
        scale: MLOperand | None = None,
        bias: MLOperand | None = None,
        axes: Sequence[int] | None = None,
        epsilon: float = 1e-5,
        label: str = "",
    ) -> MLOperand:
        """`scale * (input - mean) / sqrt(variance + epsilon) + bias`, over the features of each sample.

        Args:
            input: float32 or float16, any rank.
            scale: same data type as `input`; its shape is the sizes of `axes`, in that order. Default: 1.
            bias: same data type as `input` and same shape as `scale`. Default: 0.
            axes: the dimensions over which mean and variance are computed, in any order. With an empty list, each
                value is normalized by itself. Default: all except the first.
            epsilon: added to the variance, finite; it is rounded to `input`'s data type.
            label: shown in errors.

        Returns:
            An operand of `input`'s shape and data type.

        Raises:
            ValidationError: `axes` has a duplicate or an axis out of range; the shape of `scale` or `bias` is not the
                sizes of `axes`, or its data type is not that of `input`; `epsilon` is not finite.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-layernorm
        """
        axes = tuple(range(1, input.rank)) if axes is None else axes_of("axes", axes, input.shape)
        for name, operand in {"scale": scale, "bias": bias}.items():
            _check_sizes(name, operand, input, axes)
        return self._add(
            "layer_normalization",
            {"input": input, "scale": scale, "bias": bias},
            input.descriptor,
            label=label,
            axes=axes,
            epsilon=_epsilon(epsilon, input),
        )


def _epsilon(value: float, input: MLOperand) -> Number:
    return cast_number(double("epsilon", value), input.data_type)


def _check_sizes(name: str, operand: MLOperand | None, input: MLOperand, axes: tuple[int, ...]) -> None:
    sizes = tuple(input.shape[axis] for axis in axes)
    if operand is not None and operand.shape != sizes:
        along = f"axes {list(axes)} of input {list(input.shape)}"
        raise ValidationError(f"{name} {list(operand.shape)} must be {list(sizes)}, the sizes of {along}")
