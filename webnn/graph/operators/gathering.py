"""Gathering and scattering: reading and writing at positions that are computed at run time.

Negative indices count from the end. The specification does not define the result of indices out of range, nor of
several updates of one position. Here, such an index is clamped to the range (after counting from the end), and the
last update in row-major order wins.
Spec: https://www.w3.org/TR/webnn/#mlgraphbuilder-interface
"""

from __future__ import annotations

from typing import Final

from webnn.errors import ValidationError
from webnn.graph.arguments import axis_of
from webnn.graph.broadcasting import is_same_but_for
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.dtypes import ALL, FLOATS, INDICES
from webnn.graph.limits import Limits, N
from webnn.graph.operand import MLOperand
from webnn.graph.operator import Operators, operator

__all__ = ["Gathering"]

_WITH_BYTES: Final = (*FLOATS, "int32", "int8", "uint8")


class Gathering(Operators):
    """Reading and writing by index."""

    @operator(
        input=Limits(ALL, rank=(1, N), required=_WITH_BYTES),
        indices=Limits(INDICES),
        output=Limits(same_as="input", rank=(1, N), required=_WITH_BYTES),
    )
    def gather(self, input: MLOperand, indices: MLOperand, *, axis: int = 0, label: str = "") -> MLOperand:
        """Slices of `input`, each selected by an index along one axis.

        Args:
            input: any data type, `[before..., size, after...]` with `size` at `axis`.
            indices: int32, uint32 or int64, any shape. The values are -size to size - 1; others are clamped.
            axis: 0 to rank - 1.
            label: shown in errors.

        Returns:
            An operand of `input`'s data type, `[before..., indices' shape..., after...]`.

        Raises:
            ValidationError: `axis` is out of range; the result has more than 8 dimensions or is too large.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-gather
        """
        axis = axis_of("axis", axis, input.shape)
        shape = (*input.shape[:axis], *indices.shape, *input.shape[axis + 1 :])
        descriptor = MLOperandDescriptor(input.data_type, shape)
        if shape:
            return self._add("gather", {"input": input, "indices": indices}, descriptor, label=label, axis=axis)
        # The algorithm and browsers give a scalar here, which the limits table forbids: gather from a row and reshape.
        row = MLOperandDescriptor(input.data_type, (1, *input.shape))
        input = self._add("reshape", {"input": input}, row, label=label, new_shape=row.shape)
        one = MLOperandDescriptor(input.data_type, (1,))
        taken = self._add("gather", {"input": input, "indices": indices}, one, label=label, axis=1)
        return self._add("reshape", {"input": taken}, descriptor, label=label, new_shape=())

    @operator(
        input=Limits(ALL, rank=(1, N)),
        indices=Limits(INDICES, rank=(1, N)),
        output=Limits(same_as="input", rank=(1, N)),
    )
    def gather_elements(self, input: MLOperand, indices: MLOperand, *, axis: int = 0, label: str = "") -> MLOperand:
        """Elements of `input` at the positions of the output, but with an index along one axis.

        For `axis` 1, `output[i, j, k] = input[i, indices[i, j, k], k]`.

        Args:
            input: any data type, at least one dimension.
            indices: int32, uint32 or int64, of `input`'s shape except along `axis`. The values are -size to size - 1,
                where size is that of `input`; others are clamped.
            axis: 0 to rank - 1.
            label: shown in errors.

        Returns:
            An operand of `input`'s data type and `indices`' shape.

        Raises:
            ValidationError: `axis` is out of range; the shapes of `indices` and `input` differ in another axis.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-gatherelements
        """
        axis = axis_of("axis", axis, input.shape)
        _check_elementwise(input, indices, axis)
        descriptor = MLOperandDescriptor(input.data_type, indices.shape)
        return self._add("gather_elements", {"input": input, "indices": indices}, descriptor, label=label, axis=axis)

    @operator(
        input=Limits(ALL, rank=(1, N), required=_WITH_BYTES),
        indices=Limits(INDICES, rank=(1, N)),
        output=Limits(same_as="input", rank=(0, N), required=_WITH_BYTES),
    )
    def gather_nd(self, input: MLOperand, indices: MLOperand, *, label: str = "") -> MLOperand:
        """Slices of `input`, each selected by coordinates along the first axes.

        Args:
            input: any data type, `[indexed..., rest...]`.
            indices: int32, uint32 or int64, `[which..., coordinates]`, with one coordinate for each indexed dimension.
                The values are -size to size - 1, where size is that of the dimension; others are clamped.
            label: shown in errors.

        Returns:
            An operand of `input`'s data type, `[which..., rest...]`.

        Raises:
            ValidationError: there are more coordinates than dimensions of `input`; the result has more than 8
                dimensions or is too large.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-gathernd
        """
        descriptor = MLOperandDescriptor(input.data_type, _slices_shape(input, indices))
        return self._add("gather_nd", {"input": input, "indices": indices}, descriptor, label=label)

    @operator(
        input=Limits(ALL, rank=(1, N)),
        indices=Limits(INDICES, rank=(1, N)),
        updates=Limits(same_as="input", rank=(1, N)),
        output=Limits(same_as="input", rank=(1, N)),
    )
    def scatter_elements(
        self, input: MLOperand, indices: MLOperand, updates: MLOperand, *, axis: int = 0, label: str = ""
    ) -> MLOperand:
        """`input` with elements replaced at the positions of the updates, but with an index along one axis.

        For `axis` 1, `output[i, indices[i, j, k], k] = updates[i, j, k]`, in row-major order.

        Args:
            input: any data type, at least one dimension.
            indices: int32, uint32 or int64, of `input`'s shape except along `axis`. The values are -size to size - 1,
                where size is that of `input`; others are clamped.
            updates: `input`'s data type, `indices`' shape.
            axis: 0 to rank - 1.
            label: shown in errors.

        Returns:
            An operand of `input`'s shape and data type.

        Raises:
            ValidationError: `axis` is out of range; the shapes of `indices` and `input` differ in another axis; the
                shapes of `updates` and `indices` differ; the data types of `updates` and `input` differ.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-scatterelements
        """
        axis = axis_of("axis", axis, input.shape)
        _check_elementwise(input, indices, axis)
        if updates.shape != indices.shape:
            raise ValidationError(
                f"updates {list(updates.shape)} must have the shape of indices, {list(indices.shape)}"
            )
        operands = {"input": input, "indices": indices, "updates": updates}
        return self._add("scatter_elements", operands, input.descriptor, label=label, axis=axis)

    @operator(
        input=Limits(ALL, rank=(1, N)),
        indices=Limits(INDICES, rank=(1, N)),
        updates=Limits(same_as="input"),
        output=Limits(same_as="input", rank=(1, N)),
    )
    def scatter_nd(self, input: MLOperand, indices: MLOperand, updates: MLOperand, *, label: str = "") -> MLOperand:
        """`input` with slices replaced at coordinates along the first axes.

        Args:
            input: any data type, `[indexed..., rest...]`.
            indices: int32, uint32 or int64, `[which..., coordinates]`, with one coordinate for each indexed dimension.
                The values are -size to size - 1, where size is that of the dimension; others are clamped.
            updates: `input`'s data type, `[which..., rest...]`.
            label: shown in errors.

        Returns:
            An operand of `input`'s shape and data type.

        Raises:
            ValidationError: there are more coordinates than dimensions of `input`; `updates` has the wrong shape or
                data type.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-scatternd
        """
        expected = _slices_shape(input, indices)
        if updates.shape != expected:
            raise ValidationError(
                f"updates {list(updates.shape)} must be {list(expected)} for input {list(input.shape)} "
                f"and indices {list(indices.shape)}"
            )
        operands = {"input": input, "indices": indices, "updates": updates}
        return self._add("scatter_nd", operands, input.descriptor, label=label)


def _check_elementwise(input: MLOperand, indices: MLOperand, axis: int) -> None:
    if not is_same_but_for(axis, indices.shape, input.shape):
        raise ValidationError(
            f"indices {list(indices.shape)} must have the shape of input {list(input.shape)} except along axis {axis}"
        )


def _slices_shape(input: MLOperand, indices: MLOperand) -> tuple[int, ...]:
    """The shape `[which..., rest...]` of `gather_nd` and `scatter_nd`."""
    *which, coordinates = indices.shape
    if coordinates > len(input.shape):
        raise ValidationError(
            f"indices {list(indices.shape)} has {coordinates} coordinates, "
            f"but input {list(input.shape)} has {len(input.shape)} dimensions"
        )
    return (*which, *input.shape[coordinates:])
