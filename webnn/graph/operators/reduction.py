"""Reductions of the values along some axes to one value, and the cumulative sum.

Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-reduce, #api-mlgraphbuilder-argminmax and
#api-mlgraphbuilder-cumulativesum
"""

from collections.abc import Sequence
from typing import Any, Final, Literal

import numpy as np

from webnn.graph.arguments import axes_of, axis_of, boolean, data_type_named
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.dtypes import ALL, FLOATS, DataType, DataTypeLike
from webnn.graph.limits import Limits, N
from webnn.graph.operand import MLOperand
from webnn.graph.operator import Operators, operator

__all__ = ["Reduction"]

_SUMMABLE: Final[tuple[DataType, ...]] = (*FLOATS, "int32", "uint32", "int64", "uint64")


class Reduction(Operators):
    """Reductions, and the cumulative sum."""

    def _arg(
        self, op: str, input: MLOperand, axis: int, *, keep_dimensions: bool, output_data_type: DataTypeLike, label: str
    ) -> MLOperand:
        axis = axis_of("axis", axis, input.shape)
        keep = boolean("keep_dimensions", keep_dimensions)
        # Every valid dimension fits into int32, so no index is too large for the output.
        data_type = data_type_named("output_data_type", output_data_type, ("int32", "int64"))
        descriptor = MLOperandDescriptor(data_type, _reduced(input.shape, (axis,), keep))
        return self._add(
            op,
            {"input": input},
            descriptor,
            label=label,
            axis=axis,
            keep_dimensions=keep,
            output_data_type=data_type,
        )

    @operator(input=Limits(ALL, rank=(1, N)), output=Limits(("int32", "int64")))
    def arg_min(
        self,
        input: MLOperand,
        axis: int,
        *,
        keep_dimensions: bool = False,
        output_data_type: Literal["int32", "int64"] | np.dtype[Any] | type[np.generic] = "int32",
        label: str = "",
    ) -> MLOperand:
        """The index of the smallest value along `axis`.

        Args:
            input: any data type, rank 1 to 8.
            axis: 0 to rank - 1.
            keep_dimensions: keep `axis` with size 1.
            output_data_type: "int32" or "int64".
            label: shown in errors.

        Returns:
            An operand of `output_data_type`, of `input`'s shape without `axis`. Of equal values, the index is that of
            the first. With a NaN among the values, the index depends on the backend.

        Raises:
            ValidationError: `axis` is out of range; `output_data_type` is not allowed.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-argminmax
        """
        return self._arg(
            "arg_min",
            input,
            axis,
            keep_dimensions=keep_dimensions,
            output_data_type=output_data_type,
            label=label,
        )

    @operator(input=Limits(ALL, rank=(1, N)), output=Limits(("int32", "int64")))
    def arg_max(
        self,
        input: MLOperand,
        axis: int,
        *,
        keep_dimensions: bool = False,
        output_data_type: Literal["int32", "int64"] | np.dtype[Any] | type[np.generic] = "int32",
        label: str = "",
    ) -> MLOperand:
        """The index of the largest value along `axis`.

        Args:
            input: any data type, rank 1 to 8.
            axis: 0 to rank - 1.
            keep_dimensions: keep `axis` with size 1.
            output_data_type: "int32" or "int64".
            label: shown in errors.

        Returns:
            An operand of `output_data_type`, of `input`'s shape without `axis`. Of equal values, the index is that of
            the first. With a NaN among the values, the index depends on the backend.

        Raises:
            ValidationError: `axis` is out of range; `output_data_type` is not allowed.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-argminmax
        """
        return self._arg(
            "arg_max",
            input,
            axis,
            keep_dimensions=keep_dimensions,
            output_data_type=output_data_type,
            label=label,
        )

    @operator(input=Limits(_SUMMABLE, rank=(1, N)), output=Limits(same_as="input", rank=(1, N)))
    def cumulative_sum(
        self, input: MLOperand, axis: int, *, exclusive: bool = False, reversed: bool = False, label: str = ""
    ) -> MLOperand:
        """The cumulative sum of the values along `axis`: `[1, 2, 3, 4]` gives `[1, 3, 6, 10]`.

        Args:
            input: any data type except int8 and uint8, rank 1 to 8.
            axis: 0 to rank - 1.
            exclusive: do not add the value at the position itself: `[0, 1, 3, 6]`.
            reversed: sum from the end: `[10, 9, 7, 4]`.
            label: shown in errors.

        Returns:
            An operand of `input`'s shape and data type. Integers wrap around.

        Raises:
            ValidationError: `axis` is out of range, or the data type of `input` is not allowed.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-cumulativesum
        """
        return self._add(
            "cumulative_sum",
            {"input": input},
            input.descriptor,
            label=label,
            axis=axis_of("axis", axis, input.shape),
            exclusive=boolean("exclusive", exclusive),
            reversed=boolean("reversed", reversed),
        )

    def _reduce(
        self, op: str, input: MLOperand, axes: Sequence[int] | None, keep_dimensions: bool, label: str
    ) -> MLOperand:
        axes = tuple(range(input.rank)) if axes is None else axes_of("axes", axes, input.shape)
        keep = boolean("keep_dimensions", keep_dimensions)
        descriptor = MLOperandDescriptor(input.data_type, _reduced(input.shape, axes, keep))
        return self._add(op, {"input": input}, descriptor, label=label, axes=axes, keep_dimensions=keep)

    @operator(input=Limits(_SUMMABLE), output=Limits(same_as="input"))
    def reduce_l1(
        self, input: MLOperand, *, axes: Sequence[int] | None = None, keep_dimensions: bool = False, label: str = ""
    ) -> MLOperand:
        """The sum of the absolute values: the L1 norm.

        Args:
            input: any data type except int8 and uint8, any rank.
            axes: the dimensions to reduce. With an empty list, each value is reduced by itself. Default: all.
            keep_dimensions: keep the reduced dimensions with size 1.
            label: shown in errors.

        Returns:
            An operand of `input`'s data type, and of its shape without `axes`. Integers wrap around.

        Raises:
            ValidationError: `axes` has a duplicate or an axis out of range; the data type of `input` is not allowed.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-reduce
        """
        return self._reduce("reduce_l1", input, axes, keep_dimensions, label)

    @operator(input=Limits(FLOATS), output=Limits(same_as="input"))
    def reduce_l2(
        self, input: MLOperand, *, axes: Sequence[int] | None = None, keep_dimensions: bool = False, label: str = ""
    ) -> MLOperand:
        """The square root of the sum of the squares: the L2 norm.

        Args:
            input: float32 or float16, any rank.
            axes: the dimensions to reduce. With an empty list, each value is reduced by itself. Default: all.
            keep_dimensions: keep the reduced dimensions with size 1.
            label: shown in errors.

        Returns:
            An operand of `input`'s data type, and of its shape without `axes`.

        Raises:
            ValidationError: `axes` has a duplicate or an axis out of range; the data type of `input` is not allowed.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-reduce
        """
        return self._reduce("reduce_l2", input, axes, keep_dimensions, label)

    @operator(input=Limits(FLOATS), output=Limits(same_as="input"))
    def reduce_log_sum(
        self, input: MLOperand, *, axes: Sequence[int] | None = None, keep_dimensions: bool = False, label: str = ""
    ) -> MLOperand:
        """The natural logarithm of the sum.

        Args:
            input: float32 or float16, any rank.
            axes: the dimensions to reduce. With an empty list, each value is reduced by itself. Default: all.
            keep_dimensions: keep the reduced dimensions with size 1.
            label: shown in errors.

        Returns:
            An operand of `input`'s data type, and of its shape without `axes`.

        Raises:
            ValidationError: `axes` has a duplicate or an axis out of range; the data type of `input` is not allowed.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-reduce
        """
        return self._reduce("reduce_log_sum", input, axes, keep_dimensions, label)

    @operator(input=Limits(FLOATS), output=Limits(same_as="input"))
    def reduce_log_sum_exp(
        self, input: MLOperand, *, axes: Sequence[int] | None = None, keep_dimensions: bool = False, label: str = ""
    ) -> MLOperand:
        """The natural logarithm of the sum of the exponentials, even if they overflow the data type.

        Args:
            input: float32 or float16, any rank.
            axes: the dimensions to reduce. With an empty list, each value is reduced by itself. Default: all.
            keep_dimensions: keep the reduced dimensions with size 1.
            label: shown in errors.

        Returns:
            An operand of `input`'s data type, and of its shape without `axes`.

        Raises:
            ValidationError: `axes` has a duplicate or an axis out of range; the data type of `input` is not allowed.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-reduce
        """
        return self._reduce("reduce_log_sum_exp", input, axes, keep_dimensions, label)

    @operator(input=Limits(ALL), output=Limits(same_as="input"))
    def reduce_max(
        self, input: MLOperand, *, axes: Sequence[int] | None = None, keep_dimensions: bool = False, label: str = ""
    ) -> MLOperand:
        """The largest value.

        Args:
            input: any data type, any rank.
            axes: the dimensions to reduce. With an empty list, each value is reduced by itself. Default: all.
            keep_dimensions: keep the reduced dimensions with size 1.
            label: shown in errors.

        Returns:
            An operand of `input`'s data type, and of its shape without `axes`. If a value is NaN, so is the result.

        Raises:
            ValidationError: `axes` has a duplicate or an axis out of range.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-reduce
        """
        return self._reduce("reduce_max", input, axes, keep_dimensions, label)

    @operator(input=Limits(FLOATS), output=Limits(same_as="input"))
    def reduce_mean(
        self, input: MLOperand, *, axes: Sequence[int] | None = None, keep_dimensions: bool = False, label: str = ""
    ) -> MLOperand:
        """The average.

        Args:
            input: float32 or float16, any rank.
            axes: the dimensions to reduce. With an empty list, each value is reduced by itself. Default: all.
            keep_dimensions: keep the reduced dimensions with size 1.
            label: shown in errors.

        Returns:
            An operand of `input`'s data type, and of its shape without `axes`.

        Raises:
            ValidationError: `axes` has a duplicate or an axis out of range; the data type of `input` is not allowed.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-reduce
        """
        return self._reduce("reduce_mean", input, axes, keep_dimensions, label)

    @operator(input=Limits(ALL), output=Limits(same_as="input"))
    def reduce_min(
        self, input: MLOperand, *, axes: Sequence[int] | None = None, keep_dimensions: bool = False, label: str = ""
    ) -> MLOperand:
        """The smallest value.

        Args:
            input: any data type, any rank.
            axes: the dimensions to reduce. With an empty list, each value is reduced by itself. Default: all.
            keep_dimensions: keep the reduced dimensions with size 1.
            label: shown in errors.

        Returns:
            An operand of `input`'s data type, and of its shape without `axes`. If a value is NaN, so is the result.

        Raises:
            ValidationError: `axes` has a duplicate or an axis out of range.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-reduce
        """
        return self._reduce("reduce_min", input, axes, keep_dimensions, label)

    @operator(input=Limits(_SUMMABLE, required=FLOATS), output=Limits(same_as="input", required=FLOATS))
    def reduce_product(
        self, input: MLOperand, *, axes: Sequence[int] | None = None, keep_dimensions: bool = False, label: str = ""
    ) -> MLOperand:
        """The product.

        Args:
            input: any data type except int8 and uint8, any rank.
            axes: the dimensions to reduce. With an empty list, each value is reduced by itself. Default: all.
            keep_dimensions: keep the reduced dimensions with size 1.
            label: shown in errors.

        Returns:
            An operand of `input`'s data type, and of its shape without `axes`. Integers wrap around.

        Raises:
            ValidationError: `axes` has a duplicate or an axis out of range; the data type of `input` is not allowed.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-reduce
        """
        return self._reduce("reduce_product", input, axes, keep_dimensions, label)

    @operator(input=Limits(_SUMMABLE), output=Limits(same_as="input"))
    def reduce_sum(
        self, input: MLOperand, *, axes: Sequence[int] | None = None, keep_dimensions: bool = False, label: str = ""
    ) -> MLOperand:
        """The sum.

        Args:
            input: any data type except int8 and uint8, any rank.
            axes: the dimensions to reduce. With an empty list, each value is reduced by itself. Default: all.
            keep_dimensions: keep the reduced dimensions with size 1.
            label: shown in errors.

        Returns:
            An operand of `input`'s data type, and of its shape without `axes`. Integers wrap around.

        Raises:
            ValidationError: `axes` has a duplicate or an axis out of range; the data type of `input` is not allowed.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-reduce
        """
        return self._reduce("reduce_sum", input, axes, keep_dimensions, label)

    @operator(input=Limits(_SUMMABLE), output=Limits(same_as="input"))
    def reduce_sum_square(
        self, input: MLOperand, *, axes: Sequence[int] | None = None, keep_dimensions: bool = False, label: str = ""
    ) -> MLOperand:
        """The sum of the squares.

        Args:
            input: any data type except int8 and uint8, any rank.
            axes: the dimensions to reduce. With an empty list, each value is reduced by itself. Default: all.
            keep_dimensions: keep the reduced dimensions with size 1.
            label: shown in errors.

        Returns:
            An operand of `input`'s data type, and of its shape without `axes`. Integers wrap around.

        Raises:
            ValidationError: `axes` has a duplicate or an axis out of range; the data type of `input` is not allowed.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-reduce
        """
        return self._reduce("reduce_sum_square", input, axes, keep_dimensions, label)


def _reduced(shape: tuple[int, ...], axes: tuple[int, ...], keep: bool) -> tuple[int, ...]:
    """The specification's "calculate reduction output sizes", for valid axes."""
    if keep:
        return tuple(1 if i in axes else size for i, size in enumerate(shape))
    return tuple(size for i, size in enumerate(shape) if i not in axes)
