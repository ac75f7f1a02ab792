"""Activation functions: one tensor in, one of the same shape and data type out.

Spec: https://www.w3.org/TR/webnn/, one section each
"""

from typing import Final

from webnn.errors import ValidationError
from webnn.graph.arguments import double, number, unsigned
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

    Each gives an operand of its input's shape and data type, except that `prelu` broadcasts. They raise
    `ValidationError` for another data type and for an option that is not a finite number. Options count as values of
    the input's data type: a `float16` input makes `alpha` the nearest `float16`.
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
        """`input` with every element raised to `min_value` and lowered to `max_value`. NaN stays NaN.

        Args:
            input: any data type and rank.
            min_value: cast to the type of `input`; a Python int keeps all its digits. Default: no lower limit.
            max_value: likewise. Default: no upper limit.
            label: shown in errors.

        Returns:
            An operand of `input`'s shape and data type.

        Raises:
            ValidationError: a bound is no number; as values of the type, `min_value` is greater than `max_value`.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-clamp
        """
        # The specification writes the defaults with their signs swapped.
        low = cast_number(number("min_value", float("-inf") if min_value is None else min_value), input.data_type)
        high = cast_number(number("max_value", float("inf") if max_value is None else max_value), input.data_type)
        if low > high:
            raise ValidationError(f"min_value {low} is greater than max_value {high}, as {input.data_type}")
        return self._add("clamp", {"input": input}, input.descriptor, label=label, min_value=low, max_value=high)

    @operator(input=_FLOAT, output=_OUTPUT)
    def elu(self, input: MLOperand, *, alpha: float = 1.0, label: str = "") -> MLOperand:
        """`max(0, x) + alpha * (exp(min(0, x)) - 1)` of each element of a float `input`.

        Args:
            input: float32 or float16, any rank.
            alpha: a factor for negative elements.
            label: shown in errors.

        Returns:
            An operand of `input`'s shape and data type.

        Raises:
            ValidationError: `input` is of another data type; `alpha` is not finite.

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
            ValidationError: `input` is of another data type.

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
            ValidationError: `input` is of another data type; `alpha` or `beta` is not finite.

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
            ValidationError: `input` is of another data type.

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
            ValidationError: `input` is of another data type; `alpha` is not finite.

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
            ValidationError: `input` is of another data type; `alpha` or `beta` is not finite.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-linear
        """
        return self._activation("linear", input, label, alpha=alpha, beta=beta)

    @operator(input=_SIGNED, slope=Limits(same_as="input", required=FLOATS), output=_OUTPUT)
    def prelu(self, input: MLOperand, slope: MLOperand, *, label: str = "") -> MLOperand:
        """`max(0, x) + slope * min(0, x)`: a leaky ReLU whose slope is a tensor. Integers wrap around.

        Args:
            input: a float or signed type, any rank.
            slope: same data type; its shape and `input`'s broadcast to each other, as the result's does.
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
            ValidationError: `input` is of another data type.

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
            ValidationError: `input` is of another data type.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-sigmoid-method
        """
        return self._activation("sigmoid", input, label)

    @operator(input=Limits(FLOATS, rank=(1, N)), output=Limits(same_as="input", rank=(1, N)))
    def softmax(self, input: MLOperand, axis: int, *, label: str = "") -> MLOperand:
        """`exp(x)`, scaled so that the elements along `axis` add up to 1.

        Args:
            input: a float type, rank at least 1.
            axis: less than the rank of `input`. Unlike in NumPy, it is not counted from the end.
            label: shown in errors.

        Returns:
            An operand of `input`'s shape and data type.

        Raises:
            ValidationError: there is no such axis.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-softmax-method
        """
        axis = unsigned("axis", axis)
        if axis >= input.rank:
            raise ValidationError(f"axis {axis} is not below {input.rank}, the rank of input {list(input.shape)}")
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
            ValidationError: `input` is of another data type.

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
            ValidationError: `input` is of another data type.

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
            ValidationError: `input` is of another data type.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-tanh-method
        """
        return self._activation("tanh", input, label)
