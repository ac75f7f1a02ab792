"""Element-wise arithmetic on one operand, or on two that are broadcast together.

Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-binary, #api-mlgraphbuilder-unary and #api-mlgraphbuilder-cast
"""

from typing import Final

from webnn.graph.arguments import data_type_named
from webnn.graph.broadcasting import broadcast
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.dtypes import ALL, FLOATS, SIGNED, DataTypeLike
from webnn.graph.limits import Limits
from webnn.graph.operand import MLOperand
from webnn.graph.operator import Operators, operator

__all__ = ["Elementwise"]

_A: Final = Limits(ALL)
_B: Final = Limits(same_as="a")
_BINARY_OUTPUT: Final = Limits(same_as="a")
_FLOAT: Final = Limits(FLOATS)
_SIGNED: Final = Limits(SIGNED)
_OUTPUT: Final = Limits(same_as="input")
_CAST: Final = Limits(ALL, required=(*FLOATS, "int32", "int8", "uint8"))


class Elementwise(Operators):
    """Arithmetic, element by element.

    Operators on two operands require the same data type for both and broadcast their shapes together. Operators on one
    operand keep its shape. All except `cast` keep the data type. They raise `ValidationError` if the data type is not
    allowed, if the shapes do not broadcast, or if the result would be too large.

    Floats follow IEEE 754: NaN stays NaN, and overflow gives infinity. Integers wrap around.
    """

    def _binary(self, op: str, a: MLOperand, b: MLOperand, label: str) -> MLOperand:
        descriptor = MLOperandDescriptor(a.data_type, broadcast(a=a.shape, b=b.shape))
        return self._add(op, {"a": a, "b": b}, descriptor, label=label)

    def _unary(self, op: str, input: MLOperand, label: str) -> MLOperand:
        return self._add(op, {"input": input}, input.descriptor, label=label)

    @operator(a=_A, b=_B, output=_BINARY_OUTPUT)
    def add(self, a: MLOperand, b: MLOperand, *, label: str = "") -> MLOperand:
        """`a + b`, element by element.

        Args:
            a: any data type and rank.
            b: same data type as `a`; the shapes of both are broadcast together.
            label: shown in errors.

        Returns:
            An operand of the broadcast shape and `a`'s data type. Integers wrap around.

        Raises:
            ValidationError: the data types differ, or the shapes do not broadcast.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-binary
        """
        return self._binary("add", a, b, label)

    @operator(a=_A, b=_B, output=_BINARY_OUTPUT)
    def sub(self, a: MLOperand, b: MLOperand, *, label: str = "") -> MLOperand:
        """`a - b`, element by element. Integers wrap around, also below an unsigned 0.

        Args:
            a: any data type and rank.
            b: same data type as `a`; the shapes of both are broadcast together.
            label: shown in errors.

        Returns:
            An operand of the broadcast shape and `a`'s data type.

        Raises:
            ValidationError: the data types differ, or the shapes do not broadcast.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-binary
        """
        return self._binary("sub", a, b, label)

    @operator(a=_A, b=_B, output=_BINARY_OUTPUT)
    def mul(self, a: MLOperand, b: MLOperand, *, label: str = "") -> MLOperand:
        """`a * b`, element by element. Integers wrap around.

        Args:
            a: any data type and rank.
            b: same data type as `a`; the shapes of both are broadcast together.
            label: shown in errors.

        Returns:
            An operand of the broadcast shape and `a`'s data type.

        Raises:
            ValidationError: the data types differ, or the shapes do not broadcast.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-binary
        """
        return self._binary("mul", a, b, label)

    @operator(a=_A, b=_B, output=_BINARY_OUTPUT)
    def div(self, a: MLOperand, b: MLOperand, *, label: str = "") -> MLOperand:
        """`a / b`, element by element.

        Integers truncate toward zero. Division by zero gives 0, and the lowest integer divided by -1 gives itself.

        Args:
            a: any data type and rank.
            b: same data type as `a`; the shapes of both are broadcast together.
            label: shown in errors.

        Returns:
            An operand of the broadcast shape and `a`'s data type.

        Raises:
            ValidationError: the data types differ, or the shapes do not broadcast.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-binary
        """
        return self._binary("div", a, b, label)

    @operator(a=_A, b=_B, output=_BINARY_OUTPUT)
    def max(self, a: MLOperand, b: MLOperand, *, label: str = "") -> MLOperand:
        """The greater of `a` and `b`, element by element. NaN if either is NaN.

        Args:
            a: any data type and rank.
            b: same data type as `a`; the shapes of both are broadcast together.
            label: shown in errors.

        Returns:
            An operand of the broadcast shape and `a`'s data type.

        Raises:
            ValidationError: the data types differ, or the shapes do not broadcast.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-binary
        """
        return self._binary("max", a, b, label)

    @operator(a=_A, b=_B, output=_BINARY_OUTPUT)
    def min(self, a: MLOperand, b: MLOperand, *, label: str = "") -> MLOperand:
        """The lesser of `a` and `b`, element by element. NaN if either is NaN.

        Args:
            a: any data type and rank.
            b: same data type as `a`; the shapes of both are broadcast together.
            label: shown in errors.

        Returns:
            An operand of the broadcast shape and `a`'s data type.

        Raises:
            ValidationError: the data types differ, or the shapes do not broadcast.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-binary
        """
        return self._binary("min", a, b, label)

    @operator(a=_A, b=_B, output=_BINARY_OUTPUT)
    def pow(self, a: MLOperand, b: MLOperand, *, label: str = "") -> MLOperand:
        """`a` to the power of `b`, element by element.

        Integers are exact and wrap around. With a negative exponent, the real result is truncated toward zero: it is 0
        except for the bases 1 and -1. Zero to a negative power gives 0.

        Args:
            a: any data type and rank.
            b: same data type as `a`; the shapes of both are broadcast together.
            label: shown in errors.

        Returns:
            An operand of the broadcast shape and `a`'s data type.

        Raises:
            ValidationError: the data types differ, or the shapes do not broadcast.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-binary
        """
        return self._binary("pow", a, b, label)

    @operator(input=_SIGNED, output=_OUTPUT)
    def abs(self, input: MLOperand, *, label: str = "") -> MLOperand:
        """The absolute value of each element of a float or signed `input`. The lowest integer is unchanged.

        Args:
            input: a float or signed integer type, any rank.
            label: shown in errors.

        Returns:
            An operand of `input`'s shape and data type.

        Raises:
            ValidationError: the data type of `input` is not allowed.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-unary
        """
        return self._unary("abs", input, label)

    @operator(input=_FLOAT, output=_OUTPUT)
    def ceil(self, input: MLOperand, *, label: str = "") -> MLOperand:
        """Each element of a float `input`, rounded up to an integer.

        Args:
            input: float32 or float16, any rank.
            label: shown in errors.

        Returns:
            An operand of `input`'s shape and data type.

        Raises:
            ValidationError: the data type of `input` is not allowed.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-unary
        """
        return self._unary("ceil", input, label)

    @operator(input=_FLOAT, output=_OUTPUT)
    def cos(self, input: MLOperand, *, label: str = "") -> MLOperand:
        """The cosine of each element of a float `input`, in radians.

        Args:
            input: float32 or float16, any rank.
            label: shown in errors.

        Returns:
            An operand of `input`'s shape and data type.

        Raises:
            ValidationError: the data type of `input` is not allowed.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-unary
        """
        return self._unary("cos", input, label)

    @operator(input=_FLOAT, output=_OUTPUT)
    def erf(self, input: MLOperand, *, label: str = "") -> MLOperand:
        """The Gauss error function of each element of a float `input`.

        Args:
            input: float32 or float16, any rank.
            label: shown in errors.

        Returns:
            An operand of `input`'s shape and data type.

        Raises:
            ValidationError: the data type of `input` is not allowed.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-unary
        """
        return self._unary("erf", input, label)

    @operator(input=_FLOAT, output=_OUTPUT)
    def exp(self, input: MLOperand, *, label: str = "") -> MLOperand:
        """The exponential of each element of a float `input`.

        Args:
            input: float32 or float16, any rank.
            label: shown in errors.

        Returns:
            An operand of `input`'s shape and data type.

        Raises:
            ValidationError: the data type of `input` is not allowed.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-unary
        """
        return self._unary("exp", input, label)

    @operator(input=_FLOAT, output=_OUTPUT)
    def floor(self, input: MLOperand, *, label: str = "") -> MLOperand:
        """Each element of a float `input`, rounded down to an integer.

        Args:
            input: float32 or float16, any rank.
            label: shown in errors.

        Returns:
            An operand of `input`'s shape and data type.

        Raises:
            ValidationError: the data type of `input` is not allowed.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-unary
        """
        return self._unary("floor", input, label)

    @operator(input=Limits(ALL), output=_OUTPUT)
    def identity(self, input: MLOperand, *, label: str = "") -> MLOperand:
        """The values of `input`, unchanged. It allows an input or a constant to be an output of the graph.

        Args:
            input: any data type, any rank.
            label: shown in errors.

        Returns:
            An operand of `input`'s shape and data type.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-unary
        """
        return self._unary("identity", input, label)

    @operator(input=_FLOAT, output=_OUTPUT)
    def log(self, input: MLOperand, *, label: str = "") -> MLOperand:
        """The natural logarithm of each element of a float `input`: -infinity for 0, NaN for negative values.

        Args:
            input: float32 or float16, any rank.
            label: shown in errors.

        Returns:
            An operand of `input`'s shape and data type.

        Raises:
            ValidationError: the data type of `input` is not allowed.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-unary
        """
        return self._unary("log", input, label)

    @operator(input=_SIGNED, output=_OUTPUT)
    def neg(self, input: MLOperand, *, label: str = "") -> MLOperand:
        """The negative of each element of a float or signed `input`. The lowest integer is unchanged.

        Args:
            input: a float or signed integer type, any rank.
            label: shown in errors.

        Returns:
            An operand of `input`'s shape and data type.

        Raises:
            ValidationError: the data type of `input` is not allowed.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-unary
        """
        return self._unary("neg", input, label)

    @operator(input=_FLOAT, output=_OUTPUT)
    def reciprocal(self, input: MLOperand, *, label: str = "") -> MLOperand:
        """`1 / input`, element by element, of a float `input`.

        Args:
            input: float32 or float16, any rank.
            label: shown in errors.

        Returns:
            An operand of `input`'s shape and data type.

        Raises:
            ValidationError: the data type of `input` is not allowed.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-unary
        """
        return self._unary("reciprocal", input, label)

    @operator(input=_FLOAT, output=_OUTPUT)
    def round_even(self, input: MLOperand, *, label: str = "") -> MLOperand:
        """Each element of a float `input`, rounded to the nearest integer, with ties to even.

        Args:
            input: float32 or float16, any rank.
            label: shown in errors.

        Returns:
            An operand of `input`'s shape and data type.

        Raises:
            ValidationError: the data type of `input` is not allowed.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-unary
        """
        return self._unary("round_even", input, label)

    @operator(input=_SIGNED, output=_OUTPUT)
    def sign(self, input: MLOperand, *, label: str = "") -> MLOperand:
        """1 for each positive element of a float or signed `input`, -1 for each negative one, and 0 for zero and NaN.

        Args:
            input: a float or signed integer type, any rank.
            label: shown in errors.

        Returns:
            An operand of `input`'s shape and data type.

        Raises:
            ValidationError: the data type of `input` is not allowed.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-unary
        """
        return self._unary("sign", input, label)

    @operator(input=_FLOAT, output=_OUTPUT)
    def sin(self, input: MLOperand, *, label: str = "") -> MLOperand:
        """The sine of each element of a float `input`, in radians.

        Args:
            input: float32 or float16, any rank.
            label: shown in errors.

        Returns:
            An operand of `input`'s shape and data type.

        Raises:
            ValidationError: the data type of `input` is not allowed.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-unary
        """
        return self._unary("sin", input, label)

    @operator(input=_FLOAT, output=_OUTPUT)
    def sqrt(self, input: MLOperand, *, label: str = "") -> MLOperand:
        """The square root of each element of a float `input`: NaN for negative values.

        Args:
            input: float32 or float16, any rank.
            label: shown in errors.

        Returns:
            An operand of `input`'s shape and data type.

        Raises:
            ValidationError: the data type of `input` is not allowed.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-unary
        """
        return self._unary("sqrt", input, label)

    @operator(input=_FLOAT, output=_OUTPUT)
    def tan(self, input: MLOperand, *, label: str = "") -> MLOperand:
        """The tangent of each element of a float `input`, in radians.

        Args:
            input: float32 or float16, any rank.
            label: shown in errors.

        Returns:
            An operand of `input`'s shape and data type.

        Raises:
            ValidationError: the data type of `input` is not allowed.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-unary
        """
        return self._unary("tan", input, label)

    @operator(input=_CAST, output=_CAST)
    def cast(self, input: MLOperand, data_type: DataTypeLike, *, label: str = "") -> MLOperand:
        """Each element of `input` as another data type.

        - To a float: the nearest value, or infinity if it is out of range.
        - From a float to an integer: truncated and clamped to the range; NaN gives 0.
        - From an integer to an integer: the low bits, so that -1 becomes the largest unsigned value.

        Args:
            input: any data type and rank.
            data_type: the data type of the result, any of the specification's eight.
            label: shown in errors.

        Returns:
            An operand of `input`'s shape and the given data type.

        Raises:
            ValidationError: `data_type` is not one of the specification's eight.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-cast
        """
        target = data_type_named("data_type", data_type, ALL)
        descriptor = MLOperandDescriptor(target, input.shape)
        return self._add("cast", {"input": input}, descriptor, label=label, data_type=target)
