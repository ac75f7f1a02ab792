"""Activation functions: one tensor in, one of the same shape and data type out.

Spec: https://www.w3.org/TR/webnn/, one section each
"""

from typing import Final

from webnn.errors import ValidationError
from webnn.graph.arguments import axis_of, double, number
from webnn.graph.broadcasting import broadcast
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.dtypes import ALL, FLOATS, SIGNED, Number, cast_number
from webnn.graph.limits import Limits, N
from webnn.graph.operand import MLOperand
from webnn.graph.operator import Operators, operator

__all__ = ["Activation"]

_FLOAT: Final = Limits(FLOATS)
_SIGNED: Final = Limits(SIGNED, required=FLOATS)
_OUTPUT: Final = Limits(same_as="input", required=FLOATS)


class Activation(Operators):
    """Activation functions.

    The result has the shape and data type of the input, except that `prelu` broadcasts. They raise `ValidationError`
    if the data type is not allowed, or if an option is not a finite number. Options are cast to the data type of the
    input: with a `float16` input, `alpha` is rounded to the nearest `float16`.
    """

    def _activation(self, op: str, input: MLOperand, label: str, **options: float) -> MLOperand:
        values = {name: cast_number(double(name, value), input.data_type) for name, value in options.items()}
        return self._add(op, {"input": input}, input.descriptor, label=label, **values)

    @operator(input=Limits(ALL, required=FLOATS), output=_OUTPUT)
    def clamp(
        self,
        input: MLOperand,
        *,
        min_value: Number | None = None,
        max_value: Number | None = None,
        label: str = "",
    ) -> MLOperand:
        """`input` with every element limited to the range from `min_value` to `max_value`. NaN stays NaN.

        Args:
            input: any data type and rank.
            min_value: cast to the data type of `input`; a Python int is exact. Default: no lower limit.
            max_value: cast to the data type of `input`; a Python int is exact. Default: no upper limit.
            label: shown in errors.

        Returns:
            An operand of `input`'s shape and data type.

        Raises:
            ValidationError: a bound is not a number, or `min_value` is greater than `max_value` after the cast.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-clamp
        """
        # In the specification's text, the signs of the defaults are swapped.
        low = cast_number(number("min_value", float("-inf") if min_value is None else min_value), input.data_type)
        high = cast_number(number("max_value", float("inf") if max_value is None else max_value), input.data_type)
        if low > high:
            raise ValidationError(f"min_value {low} is greater than max_value {high} (both cast to {input.data_type})")
        return self._add("clamp", {"input": input}, input.descriptor, label=label, min_value=low, max_value=high)

    @operator(input=_FLOAT, output=_OUTPUT)
    def elu(self, input: MLOperand, *, alpha: float = 1.0, label: str = "") -> MLOperand:
        """`max(0, x) + alpha * (exp(min(0, x)) - 1)` of each element of a float `input`.

        Args:
            input: float32 or float16, any rank.
            alpha: the factor for negative elements.
            label: shown in errors.

        Returns:
            An operand of `input`'s shape and data type.

        Raises:
            ValidationError: the data type of `input` is not allowed; `alpha` is not finite.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-elu
        """
        return self._activation("elu", input, label, alpha=alpha)

    @operator(input=_FLOAT, output=_OUTPUT)
    def gelu(self, input: MLOperand, *, label: str = "") -> MLOperand:
        """`0.5 * x * (1 + erf(x / sqrt(2)))` of each element of a float `input`.

        Args:
            input: float32 or float16, any rank.
            label: shown in errors.

        Returns:
            An operand of `input`'s shape and data type.

        Raises:
            ValidationError: the data type of `input` is not allowed.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-gelu-method
        """
        return self._activation("gelu", input, label)

    @operator(input=_FLOAT, output=_OUTPUT)
    def hard_sigmoid(self, input: MLOperand, *, alpha: float = 0.2, beta: float = 0.5, label: str = "") -> MLOperand:
        """`max(0, min(1, alpha * x + beta))` of each element of a float `input`.

        Args:
            input: float32 or float16, any rank.
            alpha: the slope.
            beta: the value at 0.
            label: shown in errors.

        Returns:
            An operand of `input`'s shape and data type.

        Raises:
            ValidationError: the data type of `input` is not allowed; `alpha` or `beta` is not finite.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-hard-sigmoid
        """
        return self._activation("hard_sigmoid", input, label, alpha=alpha, beta=beta)

    @operator(input=_FLOAT, output=_OUTPUT)
    def hard_swish(self, input: MLOperand, *, label: str = "") -> MLOperand:
        """`x * max(0, min(6, x + 3)) / 6` of each element of a float `input`.

        Args:
            input: float32 or float16, any rank.
            label: shown in errors.

        Returns:
            An operand of `input`'s shape and data type.

        Raises:
            ValidationError: the data type of `input` is not allowed.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-hard-swish
        """
        return self._activation("hard_swish", input, label)

    @operator(input=_FLOAT, output=_OUTPUT)
    def leaky_relu(self, input: MLOperand, *, alpha: float = 0.01, label: str = "") -> MLOperand:
        """`max(0, x) + alpha * min(0, x)` of each element of a float `input`.

        Args:
            input: float32 or float16, any rank.
            alpha: the slope for negative elements.
            label: shown in errors.

        Returns:
            An operand of `input`'s shape and data type.

        Raises:
            ValidationError: the data type of `input` is not allowed; `alpha` is not finite.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-leakyrelu
        """
        return self._activation("leaky_relu", input, label, alpha=alpha)

    @operator(input=_FLOAT, output=_OUTPUT)
    def linear(self, input: MLOperand, *, alpha: float = 1.0, beta: float = 0.0, label: str = "") -> MLOperand:
        """`alpha * x + beta` of each element of a float `input`.

        Args:
            input: float32 or float16, any rank.
            alpha: the slope.
            beta: the value at 0.
            label: shown in errors.

        Returns:
            An operand of `input`'s shape and data type.

        Raises:
            ValidationError: the data type of `input` is not allowed; `alpha` or `beta` is not finite.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-linear
        """
        return self._activation("linear", input, label, alpha=alpha, beta=beta)

    @operator(input=_SIGNED, slope=Limits(same_as="input", required=FLOATS), output=_OUTPUT)
    def prelu(self, input: MLOperand, slope: MLOperand, *, label: str = "") -> MLOperand:
        """`max(0, x) + slope * min(0, x)`, a leaky ReLU whose slope is a tensor. Integers wrap around.

        Args:
            input: a float or signed type, any rank.
            slope: same data type as `input`; the shapes of both are broadcast together.
            label: shown in errors.

        Returns:
            An operand of the broadcast shape and `input`'s data type.

        Raises:
            ValidationError: the data types differ, or the shapes do not broadcast.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-prelu
        """
        descriptor = MLOperandDescriptor(input.data_type, broadcast(input=input.shape, slope=slope.shape))
        return self._add("prelu", {"input": input, "slope": slope}, descriptor, label=label)

    @operator(input=_SIGNED, output=_OUTPUT)
    def relu(self, input: MLOperand, *, label: str = "") -> MLOperand:
        """`max(0, x)` of each element of a float or signed `input`.

        Args:
            input: a float or signed integer type, any rank.
            label: shown in errors.

        Returns:
            An operand of `input`'s shape and data type.

        Raises:
            ValidationError: the data type of `input` is not allowed.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-relu-method
        """
        return self._activation("relu", input, label)

    @operator(input=_FLOAT, output=_OUTPUT)
    def sigmoid(self, input: MLOperand, *, label: str = "") -> MLOperand:
        """`1 / (exp(-x) + 1)` of each element of a float `input`.

        Args:
            input: float32 or float16, any rank.
            label: shown in errors.

        Returns:
            An operand of `input`'s shape and data type.

        Raises:
            ValidationError: the data type of `input` is not allowed.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-sigmoid-method
        """
        return self._activation("sigmoid", input, label)

    @operator(input=Limits(FLOATS, rank=(1, N)), output=Limits(same_as="input", rank=(1, N)))
    def softmax(self, input: MLOperand, axis: int, *, label: str = "") -> MLOperand:
        """`exp(x)`, scaled so that the elements along `axis` add up to 1.

        Args:
            input: a float type, rank at least 1.
            axis: 0 to rank - 1. Negative axes are not supported, unlike in NumPy.
            label: shown in errors.

        Returns:
            An operand of `input`'s shape and data type.

        Raises:
            ValidationError: `axis` is out of range.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-softmax-method
        """
        axis = axis_of("axis", axis, input.shape)
        return self._add("softmax", {"input": input}, input.descriptor, label=label, axis=axis)

    @operator(input=_FLOAT, output=_OUTPUT)
    def softplus(self, input: MLOperand, *, label: str = "") -> MLOperand:
        """`log(1 + exp(x))` of each element of a float `input`.

        Args:
            input: float32 or float16, any rank.
            label: shown in errors.

        Returns:
            An operand of `input`'s shape and data type.

        Raises:
            ValidationError: the data type of `input` is not allowed.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-softplus-method
        """
        return self._activation("softplus", input, label)

    @operator(input=_FLOAT, output=_OUTPUT)
    def softsign(self, input: MLOperand, *, label: str = "") -> MLOperand:
        """`x / (1 + abs(x))` of each element of a float `input`.

        Args:
            input: float32 or float16, any rank.
            label: shown in errors.

        Returns:
            An operand of `input`'s shape and data type.

        Raises:
            ValidationError: the data type of `input` is not allowed.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-softsign-method
        """
        return self._activation("softsign", input, label)

    @operator(input=_FLOAT, output=_OUTPUT)
    def tanh(self, input: MLOperand, *, label: str = "") -> MLOperand:
        """The hyperbolic tangent of each element of a float `input`.

        Args:
            input: float32 or float16, any rank.
            label: shown in errors.

        Returns:
            An operand of `input`'s shape and data type.

        Raises:
            ValidationError: the data type of `input` is not allowed.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-tanh-method
        """
        return self._activation("tanh", input, label)
