"""Data movement: the same values in another shape or order, repeated, or in part.

Spec: https://www.w3.org/TR/webnn/#mlgraphbuilder-interface
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Literal, TypeAlias

from webnn.errors import ValidationError
from webnn.graph.arguments import axes_of, axis_of, boolean, enum_value, number, signed, unsigned, unsigned_list
from webnn.graph.broadcasting import is_same_but_for, is_unidirectional
from webnn.graph.descriptor import MAX_TENSOR_COUNT, MLOperandDescriptor, output_descriptor
from webnn.graph.dtypes import ALL, FLOATS, Number, cast_number
from webnn.graph.limits import Limits, N
from webnn.graph.operand import MLOperand
from webnn.graph.operator import Operators, operator

__all__ = ["MLPaddingMode", "Movement"]

MLPaddingMode: TypeAlias = Literal["constant", "edge", "reflection"]

_PADDING_MODES: Final[tuple[MLPaddingMode, ...]] = ("constant", "edge", "reflection")
_WITH_BYTES: Final = (*FLOATS, "int32", "int8", "uint8")


class Movement(Operators):
    """Shapes and layouts."""

    @operator(inputs=Limits(ALL, rank=(1, N)), output=Limits(same_as="inputs", rank=(1, N)))
    def concat(self, inputs: Sequence[MLOperand], axis: int, *, label: str = "") -> MLOperand:
        """The inputs one after the other along one axis.

        Args:
            inputs: 1 to 8192 operands of one data type and of one shape, but for the size of `axis`.
            axis: 0 to rank - 1.
            label: shown in errors.

        Returns:
            An operand of the inputs' shape, but `axis` is as long as all of them together.

        Raises:
            ValidationError: no inputs or too many; they differ in data type or shape; `axis` is not one of theirs.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-concat
        """
        if not 1 <= len(inputs) <= MAX_TENSOR_COUNT:
            raise ValidationError(f"inputs must be 1 to {MAX_TENSOR_COUNT} operands, got {len(inputs)}")
        first = inputs[0]
        axis = axis_of("axis", axis, first.shape)
        size = 0
        for i, input in enumerate(inputs):
            if input.data_type != first.data_type:
                raise ValidationError(f"inputs[{i}] is {input.data_type}, but inputs[0] is {first.data_type}")
            if not is_same_but_for(axis, input.shape, first.shape):
                raise ValidationError(
                    f"inputs[{i}] {list(input.shape)} and inputs[0] {list(first.shape)} differ in more than axis {axis}"
                )
            size += input.shape[axis]
        shape = (*first.shape[:axis], size, *first.shape[axis + 1 :])
        return self._add(
            "concat", {"inputs": inputs}, output_descriptor(first.data_type, shape), label=label, axis=axis
        )

    @operator(input=Limits(ALL), output=Limits(same_as="input"))
    def expand(self, input: MLOperand, new_shape: Sequence[int], *, label: str = "") -> MLOperand:
        """`input` repeated along its dimensions of size 1, and along new leading ones, until it has `new_shape`.

        Args:
            input: any data type and rank.
            new_shape: each dimension as in `input`, or any size where `input` has 1; more may stand in front.
            label: shown in errors.

        Returns:
            An operand of shape `new_shape` and `input`'s data type.

        Raises:
            ValidationError: `input` does not broadcast to `new_shape`.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-expand
        """
        descriptor = MLOperandDescriptor(input.data_type, unsigned_list("new_shape", new_shape))
        if not is_unidirectional(input.shape, descriptor.shape):
            raise ValidationError(
                f"input {list(input.shape)} cannot be broadcast to new_shape {list(descriptor.shape)}"
            )
        return self._add("expand", {"input": input}, descriptor, label=label, new_shape=descriptor.shape)

    @operator(input=Limits(ALL, required=FLOATS), output=Limits(same_as="input", required=FLOATS))
    def pad(
        self,
        input: MLOperand,
        beginning_padding: Sequence[int],
        ending_padding: Sequence[int],
        *,
        mode: MLPaddingMode = "constant",
        value: Number = 0,
        label: str = "",
    ) -> MLOperand:
        """`input` with values added before and after it along each dimension.

        Args:
            input: any data type and rank.
            beginning_padding: how many values to add at the beginning of each dimension.
            ending_padding: how many at the end of each.
            mode: what to add: `value`, the value at the edge, or the values mirrored at the edge (which is not
                repeated; then each padding must be smaller than the dimension).
            value: for the mode `"constant"`; cast to `input`'s data type.
            label: shown in errors.

        Returns:
            An operand of `input`'s data type; each dimension is beginning padding + input size + ending padding.

        Raises:
            ValidationError: the paddings are not as many as the dimensions; a mirrored padding is not smaller than
                its dimension; the result is too large.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-pad
        """
        rank = len(input.shape)
        beginning = unsigned_list("beginning_padding", beginning_padding, length=rank)
        ending = unsigned_list("ending_padding", ending_padding, length=rank)
        mode = enum_value("mode", mode, _PADDING_MODES)
        if mode == "reflection":
            for name, padding in (("beginning_padding", beginning), ("ending_padding", ending)):
                if any(p >= size for p, size in zip(padding, input.shape, strict=True)):
                    raise ValidationError(
                        f"{name} {list(padding)} must be smaller than input {list(input.shape)} to reflect it"
                    )
        shape = tuple(b + size + e for b, size, e in zip(beginning, input.shape, ending, strict=True))
        return self._add(
            "pad",
            {"input": input},
            output_descriptor(input.data_type, shape),
            label=label,
            beginning_padding=beginning,
            ending_padding=ending,
            mode=mode,
            value=cast_number(number("value", value), input.data_type),
        )

    @operator(
        input=Limits(ALL, required=_WITH_BYTES),
        output=Limits(same_as="input", required=_WITH_BYTES),
    )
    def reshape(self, input: MLOperand, new_shape: Sequence[int], *, label: str = "") -> MLOperand:
        """The same values, in the same order, in another shape.

        Args:
            input: any data type and rank.
            new_shape: dimensions with as many elements as `input` has; empty for a scalar.
            label: shown in errors.

        Returns:
            An operand of shape `new_shape` and `input`'s data type.

        Raises:
            ValidationError: `new_shape` is no valid shape, or has another number of elements.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-reshape-method
        """
        descriptor = MLOperandDescriptor(input.data_type, unsigned_list("new_shape", new_shape))
        if descriptor.element_count != input.descriptor.element_count:
            raise ValidationError(
                f"new_shape {list(descriptor.shape)} has {descriptor.element_count} elements, "
                f"but input {list(input.shape)} has {input.descriptor.element_count}"
            )
        return self._add("reshape", {"input": input}, descriptor, label=label, new_shape=descriptor.shape)

    @operator(input=Limits(ALL), output=Limits(same_as="input"))
    def reverse(self, input: MLOperand, *, axes: Sequence[int] | None = None, label: str = "") -> MLOperand:
        """`input` back to front along some axes.

        Args:
            input: any data type and rank.
            axes: which axes to reverse, none twice. Default: all; an empty list reverses none.
            label: shown in errors.

        Returns:
            An operand of `input`'s shape and data type.

        Raises:
            ValidationError: `axes` has an axis twice, or one that `input` has not.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-reverse-method
        """
        resolved = tuple(range(len(input.shape))) if axes is None else axes_of("axes", axes, input.shape)
        return self._add("reverse", {"input": input}, input.descriptor, label=label, axes=resolved)

    @operator(input=Limits(ALL, required=_WITH_BYTES), output=Limits(same_as="input", required=_WITH_BYTES))
    def slice(
        self,
        input: MLOperand,
        starts: Sequence[int],
        sizes: Sequence[int],
        *,
        strides: Sequence[int] | None = None,
        label: str = "",
    ) -> MLOperand:
        """A part of `input`: a range of each dimension, or every so many elements of the range.

        Args:
            input: any data type and rank.
            starts: where the range of each dimension begins.
            sizes: how long each range is, before `strides` leaves elements out; start + size is within the dimension.
            strides: the step from one element taken to the next, along each dimension. Default: all 1.
            label: shown in errors.

        Returns:
            An operand of `input`'s data type; each dimension is size / stride, rounded up.

        Raises:
            ValidationError: a list is not as long as `input`'s rank; a size or stride is 0; a range leaves `input`.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-slice
        """
        rank = len(input.shape)
        begin = unsigned_list("starts", starts, length=rank)
        count = unsigned_list("sizes", sizes, length=rank)
        step = (1,) * rank if strides is None else unsigned_list("strides", strides, length=rank)
        for name, values in (("sizes", count), ("strides", step)):
            if 0 in values:
                raise ValidationError(f"{name} must be at least 1 everywhere, got {list(values)}")
        if any(b + c > size for b, c, size in zip(begin, count, input.shape, strict=True)):
            raise ValidationError(
                f"starts {list(begin)} with sizes {list(count)} is not within input {list(input.shape)}"
            )
        shape = tuple(-(-c // s) for c, s in zip(count, step, strict=True))
        return self._add(
            "slice",
            {"input": input},
            MLOperandDescriptor(input.data_type, shape),
            label=label,
            starts=begin,
            sizes=count,
            strides=step,
        )

    @operator(input=Limits(ALL, rank=(1, N)), outputs=Limits(same_as="input", rank=(1, N)))
    def split(
        self, input: MLOperand, splits: int | Sequence[int], *, axis: int = 0, label: str = ""
    ) -> list[MLOperand]:
        """`input` cut along one axis, into equal parts or into parts of given sizes.

        Args:
            input: any data type, at least one dimension.
            splits: how many parts, 1 to 8192, which must divide the axis evenly; or the size of each part, which
                together are the size of the axis.
            axis: 0 to rank - 1.
            label: shown in errors.

        Returns:
            The parts, in order: operands of `input`'s data type and shape, but for the size of `axis`.

        Raises:
            ValidationError: `axis` is not an axis of `input`; `splits` does not fit its size; no parts or too many.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-split
        """
        axis = axis_of("axis", axis, input.shape)
        size = input.shape[axis]
        if isinstance(splits, Iterable) and getattr(splits, "shape", None) != ():
            sizes = unsigned_list("splits", splits)
            if not 1 <= len(sizes) <= MAX_TENSOR_COUNT:
                raise ValidationError(f"splits must be 1 to {MAX_TENSOR_COUNT} sizes, got {len(sizes)}")
            if 0 in sizes:
                raise ValidationError(f"splits must be at least 1 each, got {list(sizes)}")
            if sum(sizes) != size:
                raise ValidationError(
                    f"splits {list(sizes)} add up to {sum(sizes)}, but axis {axis} of input {list(input.shape)} has "
                    f"size {size}"
                )
        else:
            count = unsigned("splits", splits)
            if not 1 <= count <= MAX_TENSOR_COUNT:
                raise ValidationError(f"splits must be 1 to {MAX_TENSOR_COUNT}, got {count}")
            if size % count:
                raise ValidationError(f"splits {count} does not divide axis {axis} of input {list(input.shape)} evenly")
            sizes = (size // count,) * count
        before, after = input.shape[:axis], input.shape[axis + 1 :]
        parts = {part: MLOperandDescriptor(input.data_type, (*before, part, *after)) for part in set(sizes)}
        outputs = [parts[part] for part in sizes]
        return self._add_many("split", {"input": input}, outputs, label=label, splits=sizes, axis=axis)

    @operator(input=Limits(ALL), output=Limits(same_as="input"))
    def tile(self, input: MLOperand, repetitions: Sequence[int], *, label: str = "") -> MLOperand:
        """`input` laid down again and again along each dimension.

        Args:
            input: any data type and rank.
            repetitions: how often along each dimension, at least 1.
            label: shown in errors.

        Returns:
            An operand of `input`'s data type; each dimension is input size x repetitions.

        Raises:
            ValidationError: `repetitions` is not as long as `input`'s rank, or has a 0; the result is too large.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-tile
        """
        times = unsigned_list("repetitions", repetitions, length=len(input.shape))
        if 0 in times:
            raise ValidationError(f"repetitions must be at least 1 everywhere, got {list(times)}")
        shape = tuple(size * n for size, n in zip(input.shape, times, strict=True))
        return self._add(
            "tile", {"input": input}, output_descriptor(input.data_type, shape), label=label, repetitions=times
        )

    @operator(input=Limits(ALL), output=Limits(same_as="input"))
    def transpose(self, input: MLOperand, *, permutation: Sequence[int] | None = None, label: str = "") -> MLOperand:
        """`input` with its axes in another order.

        Args:
            input: any data type and rank.
            permutation: for each axis of the output, the axis of `input` it is. Default: the axes in reverse.
            label: shown in errors.

        Returns:
            An operand of `input`'s data type, its dimensions permuted.

        Raises:
            ValidationError: `permutation` does not have each axis of `input` once.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-transpose
        """
        rank = len(input.shape)
        if permutation is None:
            order = tuple(reversed(range(rank)))
        else:
            order = axes_of("permutation", permutation, input.shape)
            if len(order) != rank:
                raise ValidationError(f"permutation must have {rank} items, got {list(order)}")
        descriptor = MLOperandDescriptor(input.data_type, tuple(input.shape[axis] for axis in order))
        return self._add("transpose", {"input": input}, descriptor, label=label, permutation=order)

    @operator(
        input=Limits(ALL, rank=(2, N), required=FLOATS), output=Limits(same_as="input", rank=(2, N), required=FLOATS)
    )
    def triangular(self, input: MLOperand, *, upper: bool = True, diagonal: int = 0, label: str = "") -> MLOperand:
        """The upper or lower triangle of each matrix of `input`, with zeros in place of the rest.

        Args:
            input: any data type; `[..., rows, columns]`.
            upper: whether the upper or the lower triangle stays.
            diagonal: where the triangle ends: 0 the main diagonal, 1 the one above it, -1 the one below it.
            label: shown in errors.

        Returns:
            An operand of `input`'s shape and data type.

        Raises:
            ValidationError: `input` has fewer than two dimensions; `diagonal` is not -2**31 to 2**31 - 1.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-triangular
        """
        return self._add(
            "triangular",
            {"input": input},
            input.descriptor,
            label=label,
            upper=boolean("upper", upper),
            diagonal=signed("diagonal", diagonal),
        )
