"""Data movement: reshaping, reordering, repeating and selecting values.

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
    """Data movement."""

    @operator(inputs=Limits(ALL, rank=(1, N)), output=Limits(same_as="inputs", rank=(1, N)))
    def concat(self, inputs: Sequence[MLOperand], axis: int, *, label: str = "") -> MLOperand:
        """The inputs joined along one axis.

        Args:
            inputs: 1 to 8192 operands of the same data type, and of the same shape except along `axis`.
            axis: 0 to rank - 1.
            label: shown in errors.

        Returns:
            An operand of the inputs' shape, except that the size of `axis` is the sum of theirs.

        Raises:
            ValidationError: there are no inputs or too many; their data types or shapes differ; `axis` is out of range.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-concat
        """
        if not 1 <= len(inputs) <= MAX_TENSOR_COUNT:
            raise ValidationError(f"inputs must be 1 to {MAX_TENSOR_COUNT} operands, got {len(inputs)}")
        first = inputs[0]
        axis = axis_of("axis", axis, first.shape)
        size = 0
        for i, input in enumerate(inputs):
            if input.data_type != first.data_type:
                raise ValidationError(
                    f"inputs[{i}] is {input.data_type}, but must have the data type of inputs[0], {first.data_type}"
                )
            if not is_same_but_for(axis, input.shape, first.shape):
                raise ValidationError(
                    f"inputs[{i}] {list(input.shape)} must have the shape of inputs[0] {list(first.shape)} except "
                    f"along axis {axis}"
                )
            size += input.shape[axis]
        shape = (*first.shape[:axis], size, *first.shape[axis + 1 :])
        return self._add(
            "concat", {"inputs": inputs}, output_descriptor(first.data_type, shape), label=label, axis=axis
        )

    @operator(input=Limits(ALL), output=Limits(same_as="input"))
    def expand(self, input: MLOperand, new_shape: Sequence[int], *, label: str = "") -> MLOperand:
        """`input` broadcast to `new_shape`: repeated along its dimensions of size 1 and along new leading dimensions.

        Args:
            input: any data type and rank.
            new_shape: a shape that `input` broadcasts to.
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
            beginning_padding: the number of values to add at the beginning of each dimension.
            ending_padding: the number of values to add at the end of each dimension.
            mode: `"constant"` adds `value`. `"edge"` repeats the value at the edge. `"reflection"` mirrors the values
                at the edge without repeating it, so each padding must be smaller than the dimension.
            value: for the mode `"constant"`; it is cast to `input`'s data type.
            label: shown in errors.

        Returns:
            An operand of `input`'s data type; each dimension is beginning padding + input size + ending padding.

        Raises:
            ValidationError: a list is not as long as `input`'s rank; a padding in mode `"reflection"` is not smaller
                than its dimension; the result is too large.

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
                        f"{name} {list(padding)} must be smaller than input {list(input.shape)} in mode 'reflection'"
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
            new_shape: a shape with the same number of elements as `input`; empty for a scalar.
            label: shown in errors.

        Returns:
            An operand of shape `new_shape` and `input`'s data type.

        Raises:
            ValidationError: `new_shape` is not a valid shape, or has a different number of elements.

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
        """`input` with the order of the elements reversed along some axes.

        Args:
            input: any data type and rank.
            axes: the axes to reverse, without duplicates. Default: all axes. An empty list reverses nothing.
            label: shown in errors.

        Returns:
            An operand of `input`'s shape and data type.

        Raises:
            ValidationError: `axes` has a duplicate or an axis out of range.

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
        """A part of `input`: a range of each dimension, with an optional stride.

        Args:
            input: any data type and rank.
            starts: the first index of the range in each dimension.
            sizes: the length of each range before strides are applied; start + size must not exceed the dimension.
            strides: the step between elements in each dimension. Default: 1 everywhere.
            label: shown in errors.

        Returns:
            An operand of `input`'s data type; each dimension is size / stride, rounded up.

        Raises:
            ValidationError: a list is not as long as `input`'s rank; a size or stride is 0; a range exceeds `input`.

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
            raise ValidationError(f"starts {list(begin)} with sizes {list(count)} exceed input {list(input.shape)}")
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
        """`input` split along one axis, into equal parts or into parts of given sizes.

        Args:
            input: any data type, at least one dimension.
            splits: the number of parts, 1 to 8192, which must divide the size of the axis; or the size of each part,
                which must add up to the size of the axis.
            axis: 0 to rank - 1.
            label: shown in errors.

        Returns:
            The parts in order: operands of `input`'s data type, and of its shape except along `axis`.

        Raises:
            ValidationError: `axis` is out of range; `splits` does not match its size; there are no parts or too many.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-split
        """
        axis = axis_of("axis", axis, input.shape)
        size = input.shape[axis]
        if isinstance(splits, Iterable) and getattr(splits, "shape", None) != ():
            sizes = unsigned_list("splits", splits)
            if not 1 <= len(sizes) <= MAX_TENSOR_COUNT:
                raise ValidationError(f"splits must be 1 to {MAX_TENSOR_COUNT} sizes, got {len(sizes)}")
            if 0 in sizes:
                raise ValidationError(f"each of splits must be at least 1, got {list(sizes)}")
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
        """`input` repeated along each dimension.

        Args:
            input: any data type and rank.
            repetitions: the number of repetitions along each dimension, at least 1.
            label: shown in errors.

        Returns:
            An operand of `input`'s data type; each dimension is input size * repetitions.

        Raises:
            ValidationError: `repetitions` is not as long as `input`'s rank, or contains 0; the result is too large.

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
            permutation: the axis of `input` for each axis of the output. Default: all axes in reverse order.
            label: shown in errors.

        Returns:
            An operand of `input`'s data type, its dimensions permuted.

        Raises:
            ValidationError: `permutation` does not contain each axis of `input` exactly once.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-transpose
        """
        rank = len(input.shape)
        if permutation is None:
            order = tuple(reversed(range(rank)))
        else:
            order = axes_of("permutation", permutation, input.shape)
            if len(order) != rank:
                raise ValidationError(
                    f"permutation must have each of the {rank} axes of input {list(input.shape)}, got {list(order)}"
                )
        descriptor = MLOperandDescriptor(input.data_type, tuple(input.shape[axis] for axis in order))
        return self._add("transpose", {"input": input}, descriptor, label=label, permutation=order)

    @operator(
        input=Limits(ALL, rank=(2, N), required=FLOATS), output=Limits(same_as="input", rank=(2, N), required=FLOATS)
    )
    def triangular(self, input: MLOperand, *, upper: bool = True, diagonal: int = 0, label: str = "") -> MLOperand:
        """The upper or lower triangle of each matrix of `input`, with zeros elsewhere.

        Args:
            input: any data type; `[..., rows, columns]`.
            upper: True keeps the upper triangle, False the lower one.
            diagonal: the edge of the triangle: 0 is the main diagonal, 1 the one above it, -1 the one below it.
            label: shown in errors.

        Returns:
            An operand of `input`'s shape and data type.

        Raises:
            ValidationError: `input` has fewer than two dimensions; `diagonal` is not in the range -2**31 to 2**31 - 1.

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
