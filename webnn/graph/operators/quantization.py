"""Quantization of floats to small integers with a scale and a zero point, and dequantization.

Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-quantizelinear and #api-mlgraphbuilder-dequantizelinear
"""

from typing import Final

from webnn.errors import ValidationError
from webnn.graph.broadcasting import is_blockwise
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.dtypes import FLOATS, DataType
from webnn.graph.limits import Limits
from webnn.graph.operand import MLOperand
from webnn.graph.operator import Operators, operator

__all__ = ["Quantization"]

_BYTES: Final[tuple[DataType, ...]] = ("uint8", "int8")
_INTEGERS: Final[tuple[DataType, ...]] = (*_BYTES, "uint32", "int32")
_NIBBLES: Final[tuple[DataType, ...]] = ("uint4", "int4")


class Quantization(Operators):
    """Quantization and dequantization."""

    @operator(
        input=Limits(_INTEGERS, required=_BYTES, ours=_NIBBLES),
        scale=Limits(FLOATS),
        zero_point=Limits(same_as="input", required=(*_BYTES, "int32")),
        output=Limits(same_as="scale"),
    )
    def dequantize_linear(
        self, input: MLOperand, scale: MLOperand, zero_point: MLOperand, *, label: str = ""
    ) -> MLOperand:
        """`(input - zero_point) * scale`, the floats that quantized values represent.

        Each value of `scale` and `zero_point` applies to a block of `input`. In each dimension, the length of a block
        is `input`'s size divided by `scale`'s size. So the shape `[1, 1, ...]` has one value for the whole tensor, and
        a shape with `input`'s size in one dimension and 1 in the others has one value per channel.

        Args:
            input: uint8, int8, uint32 or int32, of any rank; also uint4 or int4, as a constant or from
                `quantize_linear`.
            scale: float32 or float16, of `input`'s rank; each dimension divides that of `input`. Values that are not
                positive are allowed.
            zero_point: `input`'s data type and `scale`'s shape.
            label: shown in errors.

        Returns:
            An operand of `input`'s shape and `scale`'s data type. The subtraction does not overflow.

        Raises:
            ValidationError: the data types of `input` and `zero_point`, or the shapes of `scale` and `zero_point`,
                differ; a dimension of `scale` does not divide `input`'s.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-dequantizelinear
        """
        _check_blocks(input, scale, zero_point)
        return self._add(
            "dequantize_linear",
            {"input": input, "scale": scale, "zero_point": zero_point},
            MLOperandDescriptor(scale.data_type, input.shape),
            label=label,
        )

    @operator(
        input=Limits(FLOATS),
        scale=Limits(same_as="input"),
        zero_point=Limits(_INTEGERS, required=_BYTES, ours=_NIBBLES),
        output=Limits(same_as="zero_point", required=_BYTES),
    )
    def quantize_linear(
        self, input: MLOperand, scale: MLOperand, zero_point: MLOperand, *, label: str = ""
    ) -> MLOperand:
        """`round(input / scale) + zero_point` with ties to even, clamped to the range of the integers.

        Each value of `scale` and `zero_point` applies to a block of `input`, as in `dequantize_linear`.

        Args:
            input: float32 or float16, of any rank.
            scale: `input`'s data type and rank; each dimension divides that of `input`. Values that are not positive
                are allowed.
            zero_point: uint8, int8, uint32 or int32, and `scale`'s shape; also uint4 or int4, for an output
                that only `dequantize_linear` reads.
            label: shown in errors.

        Returns:
            An operand of `input`'s shape and `zero_point`'s data type. NaN gives the lowest value of that type.

        Raises:
            ValidationError: the data types of `input` and `scale`, or the shapes of `scale` and `zero_point`, differ; a
                dimension of `scale` does not divide `input`'s.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-quantizelinear
        """
        _check_blocks(input, scale, zero_point)
        return self._add(
            "quantize_linear",
            {"input": input, "scale": scale, "zero_point": zero_point},
            MLOperandDescriptor(zero_point.data_type, input.shape),
            label=label,
        )


def _check_blocks(input: MLOperand, scale: MLOperand, zero_point: MLOperand) -> None:
    for name, operand in (("scale", scale), ("zero_point", zero_point)):
        if operand.rank != input.rank:
            raise ValidationError(
                f"{name} {list(operand.shape)} must have the rank of input {list(input.shape)}, {input.rank}:"
                " reshape it, with size 1 for the other dimensions"
            )
    if scale.shape != zero_point.shape:
        raise ValidationError(
            f"scale {list(scale.shape)} and zero_point {list(zero_point.shape)} must have the same shape"
        )
    if not is_blockwise(scale.shape, input.shape):
        raise ValidationError(
            f"each dimension of scale and zero_point {list(scale.shape)} must divide that of input {list(input.shape)}"
        )
