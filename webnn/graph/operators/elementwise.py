"""Element-wise arithmetic: one value in, or two that broadcast, one value out.

Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-binary, #api-mlgraphbuilder-unary and #api-mlgraphbuilder-cast
"""

from typing import Final

from webnn.graph.arguments import enum_value
from webnn.graph.broadcasting import broadcast
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.dtypes import ALL, FLOATS, SIGNED, DataType
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

    The operators of two operands take any data type, the same for both, and broadcast their shapes to each other; the
    result has the broadcast shape. Those of one operand keep its shape. All but `cast` keep the data type. They raise
    `ValidationError` for another data type, for shapes that do not broadcast, and for a result that would be too large.

    Floats follow IEEE 754: NaN stays NaN, overflow is infinite. Integers wrap around.
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
            b: same data type as `a`; its shape and `a`'s broadcast to each other.
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
            b: same data type as `a`; its shape and `a`'s broadcast to each other.
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
            b: same data type as `a`; its shape and `a`'s broadcast to each other.
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

        Integers truncate toward zero. Divided by zero they give 0, and the lowest one divided by -1 stays itself.

        Args:
            a: any data type and rank.
            b: same data type as `a`; its shape and `a`'s broadcast to each other.
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
            b: same data type as `a`; its shape and `a`'s broadcast to each other.
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
            b: same data type as `a`; its shape and `a`'s broadcast to each other.
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

        Integers are exact and wrap around; a negative exponent truncates the real result toward zero, so that only 1
        and -1 stay themselves (and zero gives 0).

        Args:
            a: any data type and rank.
            b: same data type as `a`; its shape and `a`'s broadcast to each other.
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
        """The absolute value of each element of a float or signed `input`. The lowest integer stays itself.

        Args:
            input: a float or signed integer type, any rank.
            label: shown in errors.

        Returns:
            An operand of `input`'s shape and data type.

        Raises:
            ValidationError: `input` is of another data type.

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
            ValidationError: `input` is of another data type.

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
            ValidationError: `input` is of another data type.

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
            ValidationError: `input` is of another data type.

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
            ValidationError: `input` is of another data type.

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
            ValidationError: `input` is of another data type.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-unary
        """
        return self._unary("floor", input, label)

    @operator(input=Limits(ALL), output=_OUTPUT)
    def identity(self, input: MLOperand, *, label: str = "") -> MLOperand:
        """The values of `input`, of any data type: what makes an input or a constant an output of the graph.

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
        """The natural logarithm of each element of a float `input`: -infinity of 0, NaN of negative values.

        Args:
            input: float32 or float16, any rank.
            label: shown in errors.

        Returns:
            An operand of `input`'s shape and data type.

        Raises:
            ValidationError: `input` is of another data type.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-unary
        """
        return self._unary("log", input, label)

    @operator(input=_SIGNED, output=_OUTPUT)
    def neg(self, input: MLOperand, *, label: str = "") -> MLOperand:
        """The negative of each element of a float or signed `input`. The lowest integer stays itself.

        Args:
            input: a float or signed integer type, any rank.
            label: shown in errors.

        Returns:
            An operand of `input`'s shape and data type.

        Raises:
            ValidationError: `input` is of another data type.

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
            ValidationError: `input` is of another data type.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-unary
        """
        return self._unary("reciprocal", input, label)

    @operator(input=_FLOAT, output=_OUTPUT)
    def round_even(self, input: MLOperand, *, label: str = "") -> MLOperand:
        """Each element of a float `input`, rounded to the nearest integer, and halves to the even one.

        Args:
            input: float32 or float16, any rank.
            label: shown in errors.

        Returns:
            An operand of `input`'s shape and data type.

        Raises:
            ValidationError: `input` is of another data type.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-unary
        """
        return self._unary("round_even", input, label)

    @operator(input=_SIGNED, output=_OUTPUT)
    def sign(self, input: MLOperand, *, label: str = "") -> MLOperand:
        """1, -1 or 0 for each element of a float or signed `input`, as it is above, below or neither (zero or NaN).

        Args:
            input: a float or signed integer type, any rank.
            label: shown in errors.

        Returns:
            An operand of `input`'s shape and data type.

        Raises:
            ValidationError: `input` is of another data type.

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
            ValidationError: `input` is of another data type.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-unary
        """
        return self._unary("sin", input, label)

    @operator(input=_FLOAT, output=_OUTPUT)
    def sqrt(self, input: MLOperand, *, label: str = "") -> MLOperand:
        """The square root of each element of a float `input`: NaN of negative values.

        Args:
            input: float32 or float16, any rank.
            label: shown in errors.

        Returns:
            An operand of `input`'s shape and data type.

        Raises:
            ValidationError: `input` is of another data type.

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
            ValidationError: `input` is of another data type.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-unary
        """
        return self._unary("tan", input, label)

    @operator(input=_CAST, output=_CAST)
    def cast(self, input: MLOperand, data_type: DataType, *, label: str = "") -> MLOperand:
        """Each element of `input` as another data type.

        - to a float: the nearest value; infinite beyond its range;
        - from a float to an integer: without the fraction; the nearest bound beyond the range, and 0 for NaN;
        - from an integer to an integer: the lowest bits, so that -1 becomes the largest unsigned value.

        Args:
            input: any data type and rank.
            data_type: what to cast to, any of the specification's eight.
            label: shown in errors.

        Returns:
            An operand of `input`'s shape and `data_type`.

        Raises:
            ValidationError: `data_type` is none of these.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-cast
        """
        data_type = enum_value("data_type", data_type, ALL)
        descriptor = MLOperandDescriptor(data_type, input.shape)
        return self._add("cast", {"input": input}, descriptor, label=label, data_type=data_type)
